"""The library's PostgreSQL recorder over a URL, inserting arrays of columns in binary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

CONNECT_TIMEOUT_S = 5
POOL_SIZE = 4
POOL_OVERFLOW = 12


class Datastore(PostgresDatastore):
    """The library's datastore, a pool of reading connections, for the database at a URL."""

    def __init__(self, database_url: str) -> None:
        parameters: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            **conninfo_to_dict(database_url),
        }
        self.conninfo = make_conninfo(**parameters)
        with Connection.connect(self.conninfo) as conn:
            row = conn.execute("SELECT current_schema(), current_setting('server_encoding')")
            schema, encoding = row.fetchone() or ("", "")
        if encoding != "UTF8":
            raise ValueError(f"the database is encoded in {encoding}, it has to be UTF8")
        super().__init__(
            dbname=parameters.get("dbname", ""),
            host=parameters.get("host", ""),
            port=parameters.get("port", ""),
            user=parameters.get("user", ""),
            password=parameters.get("password", ""),
            connect_timeout=CONNECT_TIMEOUT_S,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            schema=schema,
        )
        # The library passes on five parameters; a URL may hold others, such as sslmode.
        assert isinstance(self.pool.kwargs, dict)
        self.pool.kwargs.update(parameters)


class EventRecorder(PostgresApplicationRecorder):
    """Appends to the log table, whose `notification_id` is the position in the log."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore)
        # Every write of ours holds the row of the owner, which orders commits as the lock would.
        self.lock_table_statements = []
        self._insert_arrays = SQL(
            "INSERT INTO {}.{} (originator_id, originator_version, topic, state)"
            " SELECT i, v, t, s FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])"
            " WITH ORDINALITY AS rows (i, v, t, s, n) ORDER BY n"
        ).format(Identifier(datastore.schema), Identifier(self.events_table_name))

    def _insert_stored_events(
        self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any
    ) -> None:
        """Insert all rows with one statement, in order, and wake the log's subscribers."""
        self._notify_channel(curs)
        curs.execute(
            self._insert_arrays,
            (
                [event.originator_id for event in stored_events],
                [event.originator_version for event in stored_events],
                [event.topic for event in stored_events],
                [event.state for event in stored_events],
            ),
        )
