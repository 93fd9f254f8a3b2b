"""The embedded store: one SQLite file in a directory that one process owns."""

from __future__ import annotations

import fcntl
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from eventsourcing.sqlite import SQLiteCursor

from lago_engine.errors import ConflictError, CorruptionError, UnavailableError
from lago_engine.store import outbox
from lago_engine.store.base import UPSERT_META, SqlStore
from lago_engine.store.documents import DocumentChange, last_changes
from lago_engine.store.port import CommitBatch, CommitUndecided, Faults
from lago_engine.store.sqlite_dialect import SQLiteDialect
from lago_engine.store.sqlite_recorder import Datastore, EventRecorder, connect
from lago_engine.store.sqlite_tables import TABLES

FILE_NAME = "lago_engine.sqlite3"
LOCK_NAME = "lago_engine.lock"
WAL_BYTES_MAX = 64 * 1024 * 1024
"""Beyond this size a checkpoint holds up commits for a moment to start the WAL afresh."""

CHECKPOINT_WAIT_MS = 200

# Errors of COMMIT that come before the frame that would make it durable is complete.
NOT_COMMITTED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_WRITE)

UPSERT_DOCUMENT = (
    "INSERT INTO documents (kind, organization_id, key, parent, sort_key, body)"
    " VALUES (?,?,?,?,?, CAST(? AS TEXT)) ON CONFLICT (kind, organization_id, key) DO UPDATE"
    " SET parent = excluded.parent, sort_key = excluded.sort_key, body = excluded.body"
)
DELETE_DOCUMENT = "DELETE FROM documents WHERE kind = ? AND organization_id = ? AND key = ?"

# Triggers for each row would cost more than writing the documents. NOT INDEXED keeps the planner
# from walking the whole key index only because it is already grouped.
COUNT_ADDED = (
    "INSERT INTO document_counts SELECT kind, organization_id, count(*) FROM documents NOT INDEXED"
    " WHERE position > ? GROUP BY kind, organization_id ON CONFLICT (kind, organization_id)"
    " DO UPDATE SET documents = document_counts.documents + excluded.documents"
)
COUNT_REMOVED = (
    "UPDATE document_counts SET documents = documents - 1 WHERE kind = ? AND organization_id = ?"
)

T = TypeVar("T")


class SQLiteStore(SqlStore):
    """One writing connection under a lock; readers take connections of their own.

    Raises `ConflictError` when another process has the directory open, unless it is only read.
    """

    position_column = "rowid"

    def __init__(
        self,
        data_dir: Path,
        *,
        faults: Faults | None = None,
        sync_delay_s: float = 0.0,
        read_only: bool = False,
    ) -> None:
        self.read_only = read_only
        self._path = data_dir / FILE_NAME
        if read_only and not self._path.exists():
            raise UnavailableError(f"there is no store in {data_dir}")
        data_dir.mkdir(parents=True, exist_ok=True)
        self._lock_file = None if read_only else _lock(data_dir / LOCK_NAME)
        self._idle: deque[sqlite3.Connection] = deque()
        try:
            self._writer = connect(self._path, read_only=read_only)
            self._datastore = Datastore(self._path)
            self._events = EventRecorder(self._datastore)
            if not read_only:
                tables = [*self._events.create_table_statements, TABLES]
                self._writer.executescript(";".join(tables))
            super().__init__(
                SQLiteDialect(), self._events, faults=faults, sync_delay_s=sync_delay_s
            )
        except BaseException as error:
            self._unlock()
            if isinstance(error, sqlite3.Error):
                raise _meaning(error) from error
            raise

    def _unlock(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Any]]:
        try:
            conn = self._idle.pop()
        except IndexError:
            conn = self._connect_reader()
        try:
            return conn.execute(sql, params).fetchall()
        except sqlite3.DatabaseError as error:
            raise _meaning(error) from error
        finally:
            self._idle.append(conn)
            if self._closed:
                self._close_readers()

    def checkpoint(self) -> None:
        """Move the WAL into the database file. Commits wait only when the WAL has grown large."""
        if self._closed or self.read_only:
            return
        try:
            with closing(connect(self._path, read_only=True)) as conn:
                conn.execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_MS}")
                conn.execute("PRAGMA wal_checkpoint(PASSIVE)")
                if self._path.with_name(f"{FILE_NAME}-wal").stat().st_size > WAL_BYTES_MAX:
                    with self._write_lock:
                        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:
            raise _meaning(error) from error

    def close(self) -> None:
        with self._write_lock:
            if self._closed:
                return
            self._closed = True
            self._close_readers()
            self._datastore.close()
            self._writer.close()
            self._unlock()

    def _connect_reader(self) -> sqlite3.Connection:
        if self._closed:
            raise UnavailableError("the store is closed")
        return connect(self._path, read_only=True)

    def _close_readers(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _commit(self, batch: CommitBatch) -> int:
        with self._transaction() as cursor:
            positions = self._events._insert_events(SQLiteCursor(cursor), batch.rows())
            position = positions[-1] if positions else self._last_position
            commit = (batch.seq, batch.hash, batch.recorded_at_us, position)
            cursor.execute("INSERT INTO commits VALUES (?,?,?,?)", commit)
            self._write_changes(cursor, batch.documents)
            entries = [outbox.insert_params(self.dialect, entry) for entry in batch.outbox]
            cursor.executemany(outbox.INSERT, entries)
            cursor.executemany(UPSERT_META, batch.meta.items())
            self._faults.before_commit(batch)
        try:
            self._faults.after_commit(batch)
        except OSError as error:
            raise self._doubt(error) from error
        return position

    def _apply(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        with self._transaction() as cursor:
            return work(cursor)

    def _run(self, cursor: sqlite3.Cursor, sql: str, rows: Sequence[Sequence[object]]) -> int:
        return cursor.executemany(sql, rows).rowcount

    def _write_changes(self, cursor: sqlite3.Cursor, changes: Sequence[DocumentChange]) -> None:
        upserts = []
        for change in last_changes(changes):
            name = (change.kind, change.organization_id.hex, change.key)
            if change.body is not None:
                upserts.append((*name, change.parent, change.sort_key, change.body))
            elif cursor.execute(DELETE_DOCUMENT, name).rowcount:
                cursor.execute(COUNT_REMOVED, name[:2])
        if upserts:
            last = cursor.execute("SELECT coalesce(max(position), 0) FROM documents").fetchone()
            cursor.executemany(UPSERT_DOCUMENT, upserts)
            cursor.execute(COUNT_ADDED, tuple(last))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """A cursor on the writer; durable when the block ends, without a trace when it raises."""
        with closing(self._writer.cursor()) as cursor:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
            except BaseException as error:
                self._roll_back()
                if isinstance(error, sqlite3.Error | OSError):
                    raise _meaning(error) from error
                raise
            try:
                cursor.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                if error.sqlite_errorcode in NOT_COMMITTED:
                    raise _meaning(error) from error
                raise self._doubt(error) from error

    def _roll_back(self) -> None:
        # SQLite itself has rolled back after some errors.
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _doubt(self, error: Exception) -> CommitUndecided:
        """A commit whose sync failed may be found by the recovery at the next opening, or not."""
        self._undecided = True
        return CommitUndecided(f"a commit is undecided: {error}")


def _lock(path: Path) -> IO[bytes]:
    """Own the directory for as long as the file is open; the kernel lets go when we die."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ConflictError(f"{path.parent} is open in another process") from error
    return file


def _meaning(error: sqlite3.Error | OSError) -> Exception:
    """The engine's error for a failure that left nothing behind; mistakes of ours stay as they are."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
        return ConflictError(str(error))
    if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptionError(str(error))
    if isinstance(error, sqlite3.OperationalError | OSError):
        return UnavailableError(str(error))
    return error
