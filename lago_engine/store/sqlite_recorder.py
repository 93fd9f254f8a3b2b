"""The library's SQLite recorder, made durable: our connections, our table, one statement a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
)

BUSY_TIMEOUT_S = 10
WRITER_CACHE_KIB = 65536
READER_CACHE_KIB = 8192

# `rowid` is declared so that VACUUM keeps it, AUTOINCREMENT so that none is ever given out twice.
EVENTS_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version)
)
"""


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection with every setting that durability and speed rest on, said explicitly."""
    conn = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=256,
    )
    conn.row_factory = sqlite3.Row
    conn.create_function("fold", 1, _fold, deterministic=True)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 0",
        "secure_delete = OFF",
        f"cache_size = -{READER_CACHE_KIB if read_only else WRITER_CACHE_KIB}",
        f"query_only = {int(read_only)}",
    ):
        conn.execute(f"PRAGMA {pragma}").close()
    return conn


def _fold(text: str | None) -> str | None:
    return None if text is None else text.lower()


class Pool(SQLiteConnectionPool):
    """The library's pool with our connections, for reading: the store has its own writer."""

    def _create_connection(self) -> SQLiteConnection:
        return SQLiteConnection(connect(Path(self.db_name), read_only=True), max_age=None)


class Datastore(SQLiteDatastore):
    """The library's datastore over a file at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.pool = Pool(db_name=str(path))


class EventRecorder(SQLiteApplicationRecorder):
    """Appends to the log table, whose `rowid` is the position in the log."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore)
        self.insert_events_statement = (
            f"INSERT INTO {self.events_table_name}"
            " (originator_id, originator_version, topic, state) VALUES (?,?,?,?)"
        )

    def construct_create_table_statements(self) -> list[str]:
        return [EVENTS_TABLE.format(table=self.events_table_name)]

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int] | None:
        """Insert all rows with one statement; their positions follow each other."""
        if not stored_events:
            return []
        c.executemany(self.insert_events_statement, map(_row, stored_events))
        c.execute("SELECT last_insert_rowid()")
        last = int(c.fetchone()[0])
        return range(last - len(stored_events) + 1, last + 1)


def _row(event: StoredEvent) -> tuple[str, int, str, bytes]:
    assert isinstance(event.originator_id, UUID)
    return event.originator_id.hex, event.originator_version, event.topic, event.state
