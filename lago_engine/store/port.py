"""The port of the store: what the engine asks of durable storage, whatever the database.

One writer appends commits; any thread reads. A commit is the unit of durability: its events, usage
segment, documents, outbox entries and cursors are all in, synced, or none of them is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec
from eventsourcing.persistence import ApplicationRecorder, StoredEvent

from lago_engine.errors import UnavailableError
from lago_engine.store.documents import DocumentChange, Documents
from lago_engine.store.outbox import Outbox, OutboxEntry

__all__ = [
    "USAGE_SEGMENTS",
    "USAGE_SEGMENT_TOPIC",
    "CommitBatch",
    "CommitRow",
    "CommitUndecided",
    "Faults",
    "LogRow",
    "Store",
    "StoredEvent",
]

USAGE_SEGMENTS = UUID("5e97e217-5000-5000-8000-000000000001")
"""The stream of usage segments; the version of a row in it is the segment's number."""

USAGE_SEGMENT_TOPIC = "usage_segment.v1"


class CommitBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one transaction writes.

    `seq` counts commits from 1 without a gap; `hash` is the checkpoint over the log so far. Rows
    enter the log in the order of `events`, the usage segment after them. Versions of a stream must
    be new, not dense. `meta` holds small values such as cursors; an existing key is overwritten.
    """

    seq: int
    hash: bytes
    recorded_at_us: int
    events: Sequence[StoredEvent] = ()
    segment: bytes | None = None
    segment_no: int = 0
    documents: Sequence[DocumentChange] = ()
    outbox: Sequence[OutboxEntry] = ()
    meta: Mapping[str, bytes] = {}

    def rows(self) -> list[StoredEvent]:
        """The log rows of this commit, in log order."""
        if self.segment is None:
            return list(self.events)
        assert self.segment_no > 0
        segment = StoredEvent(USAGE_SEGMENTS, self.segment_no, USAGE_SEGMENT_TOPIC, self.segment)
        return [*self.events, segment]


class LogRow(msgspec.Struct, frozen=True):
    """One row of the log. Positions grow in commit order and may skip numbers."""

    position: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes


class CommitRow(msgspec.Struct, frozen=True):
    """One commit; its log rows are those after the previous commit's `last_position`."""

    seq: int
    hash: bytes
    recorded_at_us: int
    last_position: int


class CommitUndecided(UnavailableError):
    """The database did not say whether the commit is durable, and could not be asked.

    The store refuses all further writes. Close it, open it again and reload from the log, which is
    the authority; answering the waiting callers with success or with failure would be a guess.
    """


class Faults(Protocol):
    """Where tests make storage fail; both are called by the thread that commits."""

    def before_commit(self, batch: CommitBatch) -> None:
        """All rows are written, nothing is durable yet. An `OSError` raised here fails the commit."""

    def after_commit(self, batch: CommitBatch) -> None:
        """The commit is durable. An `OSError` raised here stands for a confirmation that got lost."""


class Store(ABC):
    """Durable storage of one partition. Thread-safe; writes are serialized, reads never block them.

    Every method may raise `UnavailableError` when the database does not answer.
    """

    documents: Documents
    outbox: Outbox
    recorder: ApplicationRecorder
    """The library's view of the log, for its projection runners. Not for writing."""

    @abstractmethod
    def commit(self, batch: CommitBatch) -> int:
        """Write the batch in one transaction, durable at return. Gives the last log position.

        Raises `UnavailableError` (disk full, connection lost: nothing was written; safe to retry),
        `ConflictError` (a version or `seq` is taken, or another owner took over: nothing was
        written) or `CommitUndecided`.
        """

    @abstractmethod
    def write_documents(
        self,
        changes: Sequence[DocumentChange],
        *,
        meta: Mapping[str, bytes] | None = None,
        clear_kinds: Sequence[str] = (),
    ) -> None:
        """Write documents and cursors outside of a commit, in one transaction.

        For asynchronous projections and rebuilds. Whole kinds in `clear_kinds` go first.
        """

    @abstractmethod
    def last_commit(self) -> tuple[int, bytes, int] | None:
        """(seq, hash, last position) of the newest commit; None before the first."""

    @abstractmethod
    def last_position(self) -> int:
        """The highest log position, 0 for an empty log."""

    @abstractmethod
    def commits(self, after_seq: int = 0, limit: int = 1000) -> list[CommitRow]:
        """Up to `limit` commits after `after_seq`, in order."""

    @abstractmethod
    def read_log(
        self, after_position: int, limit_rows: int, topics: Sequence[str] = ()
    ) -> list[LogRow]:
        """Up to `limit_rows` rows after a position, in log order; only of `topics` if given."""

    @abstractmethod
    def iter_log(self, after_position: int = 0) -> Iterator[LogRow]:
        """All rows after a position, in log order, read page by page."""

    @abstractmethod
    def iter_commits(self, after_seq: int = 0) -> Iterator[tuple[CommitRow, list[LogRow]]]:
        """All commits after `after_seq`, in order, each with its log rows."""

    @abstractmethod
    def read_stream(self, stream_id: UUID, after_version: int = 0) -> list[LogRow]:
        """The rows of one stream after a version, by version."""

    @abstractmethod
    def read_segments(self, numbers: Sequence[int]) -> list[bytes]:
        """The usage segments of these numbers, in the order asked for.

        Raises `CorruptionError` for a number that was never written.
        """

    @abstractmethod
    def meta_get(self, key: str) -> bytes | None:
        """The value last written under this key."""

    @abstractmethod
    def meta_put(self, key: str, value: bytes) -> None:
        """Write one value outside of a commit, durable at return."""

    @abstractmethod
    def checkpoint(self) -> None:
        """Housekeeping off the commit path; call it every few seconds from a thread of its own."""

    @abstractmethod
    def healthy(self) -> bool:
        """Whether the store can be read and may be written."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; a second call does nothing."""
