"""The store on PostgreSQL: one fenced owner writes, a pool of connections reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, LiteralString, TypeVar

import psycopg
import psycopg_pool
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row, tuple_row

from lago_engine.errors import ConflictError, UnavailableError
from lago_engine.store import outbox
from lago_engine.store.base import UPSERT_META, SqlStore
from lago_engine.store.documents import DocumentChange, last_changes
from lago_engine.store.port import CommitBatch, CommitUndecided, Faults
from lago_engine.store.postgres_dialect import PostgresDialect
from lago_engine.store.postgres_recorder import Datastore, EventRecorder
from lago_engine.store.postgres_tables import TABLES

SCHEMA_LOCK = 0x6C61676F
"""The advisory lock under which tables are made; two processes doing so at once would fail."""

RESOLVE_TIMEOUT_S = 60.0
"""How long to keep asking whether a commit is durable after its confirmation got lost."""

RESOLVE_PAUSE_S = 0.2
LOCK_TIMEOUT_S = 30
IDLE_TIMEOUT_S = 10
"""When the server gives up a transaction or a connection of ours that died unnoticed."""

UPSERT_DOCUMENTS = (
    "INSERT INTO documents (kind, organization_id, key, parent, sort_key, body)"
    " SELECT k, o, y, p, s, b FROM unnest(%b::text[], %b::uuid[], %b::text[], %b::text[],"
    " %b::text[], %b::text[]) WITH ORDINALITY AS rows (k, o, y, p, s, b, n) ORDER BY n"
    " ON CONFLICT (kind, organization_id, key) DO UPDATE"
    " SET parent = excluded.parent, sort_key = excluded.sort_key, body = excluded.body"
)
DELETE_DOCUMENTS = (
    "DELETE FROM documents USING unnest(%b::text[], %b::uuid[], %b::text[]) AS gone (k, o, y)"
    " WHERE kind = k AND organization_id = o AND key = y"
)
# Not max(notification_id): its plan, made while the table is small, would go on scanning it.
INSERT_COMMIT = (
    "INSERT INTO commits VALUES (%s, %s, %s, CASE WHEN %s THEN"
    " currval(pg_get_serial_sequence('stored_events', 'notification_id')) ELSE %s END)"
    " RETURNING last_position"
)
LOCK_OWNER = "SELECT epoch FROM store_owner FOR UPDATE"

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


class PostgresStore(SqlStore):
    """A store in the current schema of the database at a URL.

    Opening it raises the epoch of the owner; whoever had it open before is fenced: each of its
    writes raises `ConflictError`. Opening it for reading only leaves the owner alone.
    """

    position_column = "notification_id"

    def __init__(
        self,
        database_url: str,
        *,
        faults: Faults | None = None,
        sync_delay_s: float = 0.0,
        read_only: bool = False,
    ) -> None:
        self.read_only = read_only
        self._fenced = False
        self._connection: Connection | None = None
        try:
            self._datastore = Datastore(database_url)
            events = self._existing_tables() if read_only else self._create_tables()
            self._epoch = 0 if read_only else self._take_over()
        except (psycopg.OperationalError, OperationalError) as error:
            raise UnavailableError(str(error)) from error
        super().__init__(PostgresDialect(), events, faults=faults, sync_delay_s=sync_delay_s)
        self._events = events

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Any]]:
        try:
            return self._read(_marked(sql), params)
        except (OperationalError, InterfaceError) as error:
            if isinstance(error.__cause__, psycopg_pool.PoolTimeout | psycopg_pool.PoolClosed):
                raise UnavailableError(str(error)) from error
        # A server that restarted has left dead connections in the pool.
        self._datastore.pool.check()
        try:
            return self._read(_marked(sql), params)
        except (OperationalError, InterfaceError) as error:
            raise UnavailableError(str(error)) from error

    def healthy(self) -> bool:
        return not self._fenced and super().healthy()

    def close(self) -> None:
        with self._write_lock:
            self._closed = True
            self._disconnect()
            self._datastore.close()

    def _read(self, sql: LiteralString, params: Sequence[object]) -> list[Sequence[Any]]:
        with (
            self._datastore.get_connection() as conn,
            conn.cursor(row_factory=tuple_row) as cursor,
        ):
            return list(cursor.execute(sql, params).fetchall())

    def _create_tables(self) -> EventRecorder:
        writer = self._writer()
        writer.execute("SELECT pg_advisory_lock(%s)", (SCHEMA_LOCK,))
        try:
            recorder = EventRecorder(self._datastore)
            recorder.create_table()
            writer.execute(TABLES)
        finally:
            writer.execute("SELECT pg_advisory_unlock(%s)", (SCHEMA_LOCK,))
        return recorder

    def _existing_tables(self) -> EventRecorder:
        if self._read("SELECT to_regclass('store_owner')", ())[0][0] is None:
            self._datastore.close()
            raise UnavailableError("there is no store in the database")
        return EventRecorder(self._datastore)

    def _take_over(self) -> int:
        """Fence the owner so far; its commit in flight, if any, ends first."""
        bumped = self._writer().execute("UPDATE store_owner SET epoch = epoch + 1 RETURNING epoch")
        return int(_only(bumped)[0])

    def _commit(self, batch: CommitBatch) -> int:
        in_doubt, position = False, 0
        try:
            with self._undone_on_error() as conn:
                with conn.pipeline() as pipeline:
                    owner = self._begin(conn)
                    committed = self._write_batch(conn, batch)
                    # Unlike the end of the pipeline, this leaves the server's clock for idle
                    # transactions running: nothing may follow the sync but COMMIT.
                    pipeline.sync()
                    self._check_owner(owner)
                    position = int(_only(committed)[0])
                    self._faults.before_commit(batch)
                    in_doubt = True
                    answer = conn.execute("COMMIT")
                _require_committed(answer)
            self._faults.after_commit(batch)
        except (UnavailableError, psycopg.Error, OSError) as error:
            if not in_doubt:
                raise
            self._resolve(batch, error)
        return position

    def _write_batch(self, conn: Connection, batch: CommitBatch) -> Cursor:
        """Queue all statements; the cursor will hold the last position."""
        cursor = conn.cursor()
        rows = batch.rows()
        if rows:
            self._events._insert_stored_events(conn.cursor(row_factory=dict_row), rows)
        committed = conn.execute(
            INSERT_COMMIT,
            (batch.seq, batch.hash, batch.recorded_at_us, bool(rows), self._last_position),
        )
        self._write_changes(cursor, batch.documents)
        for entry in batch.outbox:
            cursor.execute(_marked(outbox.INSERT), outbox.insert_params(self.dialect, entry))
        for item in batch.meta.items():
            cursor.execute(_marked(UPSERT_META), item)
        return committed

    def _apply(self, work: Callable[[Cursor], T]) -> T:
        with self._undone_on_error() as conn:
            self._check_owner(self._begin(conn))
            result = work(conn.cursor())
            _require_committed(conn.execute("COMMIT"))
        return result

    def _run(self, cursor: Cursor, sql: str, rows: Sequence[Sequence[object]]) -> int:
        cursor.executemany(_marked(sql), rows)
        return cursor.rowcount

    def _write_changes(self, cursor: Cursor, changes: Sequence[DocumentChange]) -> None:
        changes = last_changes(changes)
        deletes = [change for change in changes if change.body is None]
        if deletes:
            cursor.execute(DELETE_DOCUMENTS, _names(deletes))
        upserts = [change for change in changes if change.body is not None]
        if upserts:
            values = (
                [change.parent for change in upserts],
                [change.sort_key for change in upserts],
                [change.body.decode() for change in upserts if change.body is not None],
            )
            cursor.execute(UPSERT_DOCUMENTS, (*_names(upserts), *values))

    def _begin(self, conn: Connection) -> Cursor:
        conn.execute("BEGIN")
        return conn.execute(LOCK_OWNER)

    def _check_owner(self, owner: Cursor) -> None:
        epoch = _only(owner)[0]
        if epoch != self._epoch:
            self._fenced = True
            raise ConflictError(f"owner {epoch} has taken over the store from {self._epoch}")

    @contextmanager
    def _undone_on_error(self) -> Iterator[Connection]:
        """The writer's connection; whatever its transaction did is rolled back on an error."""
        conn: Connection | None = None
        try:
            conn = self._writer()
            yield conn
        except BaseException as error:
            if conn is not None:
                with suppress(psycopg.Error):  # A dead connection has rolled back by itself.
                    conn.execute("ROLLBACK")
            if isinstance(error, psycopg.Error | OSError):
                raise _meaning(error) from error
            raise

    def _resolve(self, batch: CommitBatch, error: Exception) -> None:
        """Find out whether a commit is durable whose confirmation got lost; return if it is."""
        found = self._committed_hash(batch.seq, error)
        if found is None:
            raise UnavailableError(f"commit {batch.seq}: {error}") from error
        if found != batch.hash:
            raise ConflictError(f"commit {batch.seq} was made by another owner") from error

    def _committed_hash(self, seq: int, lost: Exception) -> bytes | None:
        """The hash of a commit, asked for until the database answers."""
        deadline = time.monotonic() + RESOLVE_TIMEOUT_S
        while True:
            try:
                return self._read_back(seq)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self._undecided = True
                    raise CommitUndecided(f"commit {seq}: {error}") from lost
                time.sleep(RESOLVE_PAUSE_S)

    def _read_back(self, seq: int) -> bytes | None:
        self._disconnect()
        conn = self._writer()
        with conn.transaction():
            # The lost transaction holds this row until it has ended, one way or the other.
            conn.execute(LOCK_OWNER)
            row = conn.execute("SELECT hash FROM commits WHERE seq = %s", (seq,)).fetchone()
        return bytes(row[0]) if row else None

    def _writer(self) -> Connection:
        """The writing connection, a new one if the last one broke."""
        if self._connection is None or self._connection.closed:
            conn = psycopg.connect(self._datastore.conninfo, autocommit=True)
            settings = {
                "synchronous_commit": "on",
                "lock_timeout": f"{LOCK_TIMEOUT_S}s",
                "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S}s",
                "tcp_keepalives_idle": f"{IDLE_TIMEOUT_S}s",
                "tcp_keepalives_interval": "2s",
                "tcp_keepalives_count": "3",
            }
            for setting in settings.items():
                conn.execute("SELECT set_config(%s, %s, false)", setting)
            self._connection = conn
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _require_committed(answer: Cursor) -> None:
    """A server that has given the transaction up answers COMMIT with ROLLBACK, without an error."""
    if answer.statusmessage != "COMMIT":
        raise psycopg.OperationalError(f"the server answered COMMIT with {answer.statusmessage}")


def _only(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row


def _names(changes: Sequence[DocumentChange]) -> tuple[list[object], ...]:
    return (
        [change.kind for change in changes],
        [change.organization_id for change in changes],
        [change.key for change in changes],
    )


@lru_cache(maxsize=1024)
def _marked(sql: str) -> LiteralString:
    """Shared SQL in psycopg's spelling of parameters."""
    return sql.replace("?", "%s")


def _meaning(error: psycopg.Error | OSError) -> Exception:
    """The engine's error for a failure that left nothing behind; mistakes of ours stay as they are."""
    if isinstance(error, UniqueViolation):
        return ConflictError(str(error))
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError):
        return UnavailableError(str(error))
    return error
