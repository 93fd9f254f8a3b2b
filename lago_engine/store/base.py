"""What both databases share: the reads, the write lock and the order of commits."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder

from lago_engine.errors import ConflictError, CorruptionError, UnavailableError
from lago_engine.store.documents import DocumentChange, Documents
from lago_engine.store.outbox import Outbox
from lago_engine.store.port import (
    USAGE_SEGMENTS,
    CommitBatch,
    CommitRow,
    CommitUndecided,
    Faults,
    LogRow,
    Store,
)
from lago_engine.store.sql import Dialect

PAGE_ROWS = 1000
PAGE_SEGMENTS = 100

UPSERT_META = (
    "INSERT INTO meta (key, value) VALUES (?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)

T = TypeVar("T")


class NoFaults:
    """Storage that fails only when it fails."""

    def before_commit(self, batch: CommitBatch) -> None:
        pass

    def after_commit(self, batch: CommitBatch) -> None:
        pass


class SqlStore(Store):
    """A store over one SQL database; subclasses open it, insert and decide what an error means.

    `sync_delay_s` lengthens every commit, to measure with the sync of a slower disk.
    """

    dialect: Dialect
    position_column: str
    read_only = False

    def __init__(
        self,
        dialect: Dialect,
        recorder: ApplicationRecorder,
        *,
        faults: Faults | None,
        sync_delay_s: float,
    ) -> None:
        self.dialect = dialect
        self.recorder = recorder
        self.documents = Documents(self)
        self.outbox = Outbox(self)
        self._faults = faults or NoFaults()
        self._sync_delay_s = sync_delay_s
        self._write_lock = threading.Lock()
        self._closed = False
        self._undecided = False
        last = self.last_commit()
        self._last_seq, self._last_position = (last[0], last[2]) if last else (0, 0)

    @abstractmethod
    def query(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Any]]:
        """The rows of a read, on a connection that no writer uses."""

    @abstractmethod
    def _commit(self, batch: CommitBatch) -> int:
        """Write the batch and give the last position. Called with the write lock held."""

    @abstractmethod
    def _apply(self, work: Callable[[Any], T]) -> T:
        """Run `work` on a cursor in one durable transaction, with the write lock held."""

    @abstractmethod
    def _write_changes(self, cursor: Any, changes: Sequence[DocumentChange]) -> None:
        """Upsert and delete documents in the transaction of the cursor."""

    @abstractmethod
    def _run(self, cursor: Any, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """Run a statement once per row of parameters; gives the table rows touched."""

    def commit(self, batch: CommitBatch) -> int:
        with self._write_lock:
            self._check_writable()
            if batch.seq != self._last_seq + 1:
                raise ConflictError(f"commit {batch.seq} does not follow {self._last_seq}")
            self._last_position = self._commit(batch)
            self._last_seq = batch.seq
            if self._sync_delay_s:
                time.sleep(self._sync_delay_s)
            return self._last_position

    def write(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """See `Database.write`."""
        if not rows:
            return 0
        with self._write_lock:
            self._check_writable()
            return self._apply(lambda cursor: self._run(cursor, sql, rows))

    def write_documents(
        self,
        changes: Sequence[DocumentChange],
        *,
        meta: Mapping[str, bytes] | None = None,
        clear_kinds: Sequence[str] = (),
    ) -> None:
        def work(cursor: Any) -> None:
            if clear_kinds:
                kinds = [(kind,) for kind in clear_kinds]
                self._run(cursor, "DELETE FROM documents WHERE kind = ?", kinds)
                self._run(cursor, "DELETE FROM document_counts WHERE kind = ?", kinds)
            self._write_changes(cursor, changes)
            if meta:
                self._run(cursor, UPSERT_META, list(meta.items()))

        with self._write_lock:
            self._check_writable()
            self._apply(work)

    def meta_put(self, key: str, value: bytes) -> None:
        self.write(UPSERT_META, [(key, value)])

    def meta_get(self, key: str) -> bytes | None:
        rows = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return bytes(rows[0][0]) if rows else None

    def last_commit(self) -> tuple[int, bytes, int] | None:
        rows = self.query("SELECT seq, hash, last_position FROM commits ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], bytes(rows[0][1]), rows[0][2]) if rows else None

    def last_position(self) -> int:
        sql = f"SELECT coalesce(max({self.position_column}), 0) FROM stored_events"
        return int(self.query(sql)[0][0])

    def commits(self, after_seq: int = 0, limit: int = 1000) -> list[CommitRow]:
        rows = self.query(
            "SELECT seq, hash, recorded_at_us, last_position FROM commits"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )
        return [CommitRow(row[0], bytes(row[1]), row[2], row[3]) for row in rows]

    def read_log(
        self, after_position: int, limit_rows: int, topics: Sequence[str] = ()
    ) -> list[LogRow]:
        condition, params = "", list[object]()
        if topics:
            condition = f" AND topic IN ({', '.join('?' * len(topics))})"
            params += topics
        return self._log_rows(
            f"{self.position_column} > ?{condition} ORDER BY {self.position_column} LIMIT ?",
            (after_position, *params, limit_rows),
        )

    def iter_log(self, after_position: int = 0) -> Iterator[LogRow]:
        while rows := self.read_log(after_position, PAGE_ROWS):
            yield from rows
            after_position = rows[-1].position

    def iter_commits(self, after_seq: int = 0) -> Iterator[tuple[CommitRow, list[LogRow]]]:
        start = self.commits(after_seq - 1, 1) if after_seq else []
        position = start[0].last_position if start else 0
        while page := self.commits(after_seq, PAGE_ROWS):
            # Rows beyond the page belong to later commits and are left to them.
            log = self.iter_log(position)
            row = next(log, None)
            for commit in page:
                rows = []
                while row is not None and row.position <= commit.last_position:
                    rows.append(row)
                    row = next(log, None)
                yield commit, rows
            after_seq, position = page[-1].seq, page[-1].last_position

    def read_stream(self, stream_id: UUID, after_version: int = 0) -> list[LogRow]:
        return self._log_rows(
            "originator_id = ? AND originator_version > ? ORDER BY originator_version",
            (self.dialect.uuid(stream_id), after_version),
        )

    def read_segments(self, numbers: Sequence[int]) -> list[bytes]:
        found: dict[int, bytes] = {}
        for start in range(0, len(numbers), PAGE_SEGMENTS):
            part = numbers[start : start + PAGE_SEGMENTS]
            rows = self.query(
                "SELECT originator_version, state FROM stored_events"
                f" WHERE originator_id = ? AND originator_version IN ({', '.join('?' * len(part))})",
                (self.dialect.uuid(USAGE_SEGMENTS), *part),
            )
            found.update((row[0], bytes(row[1])) for row in rows)
        missing = [number for number in numbers if number not in found]
        if missing:
            raise CorruptionError(f"usage segments {missing[:10]} are not in the log")
        return [found[number] for number in numbers]

    def checkpoint(self) -> None:
        """Nothing to do unless the database leaves it to us."""

    def healthy(self) -> bool:
        if self._closed or self._undecided:
            return False
        try:
            return bool(self.query("SELECT 1"))
        except UnavailableError:
            return False

    def _check_writable(self) -> None:
        if self._closed:
            raise UnavailableError("the store is closed")
        if self.read_only:
            raise UnavailableError("the store was opened for reading only")
        if self._undecided:
            raise CommitUndecided("an earlier commit is undecided; reopen the store")

    def _log_rows(self, condition: str, params: Sequence[object]) -> list[LogRow]:
        rows = self.query(
            f"SELECT {self.position_column}, originator_id, originator_version, topic, state"
            f" FROM stored_events WHERE {condition}",
            params,
        )
        to_uuid = self.dialect.to_uuid
        return [LogRow(row[0], to_uuid(row[1]), row[2], row[3], bytes(row[4])) for row in rows]
