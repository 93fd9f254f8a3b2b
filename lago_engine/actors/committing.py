"""Committing one tick: the sealed usage and the decided facts become durable, then memory follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog
from eventsourcing.persistence import StoredEvent

from lago_engine.actors.batches import Batches
from lago_engine.actors.directory import Directory
from lago_engine.actors.mailbox import Waiting
from lago_engine.actors.open_windows import OpenWindows
from lago_engine.actors.refolding import Refolder
from lago_engine.actors.residents import Resident, Residents, outbox_sequence_key
from lago_engine.actors.tentative import Fact, Tentative
from lago_engine.domain.customer.due import next_due
from lago_engine.errors import UnavailableError
from lago_engine.metering import Meter, Sealed
from lago_engine.projecting.inline import InlineRunner
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.store.codec import pack_state
from lago_engine.store.documents import DocumentChange
from lago_engine.store.port import CommitBatch, CommitUndecided, Store

log = structlog.get_logger(__name__)


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit added, for those who react to it."""

    last_position: int
    facts: Sequence[Fact]


Listener = Callable[[Committed], None]


class Committer:
    """The one writer of the store; one commit at a time, on a thread of its own."""

    def __init__(
        self,
        *,
        store: Store,
        meter: Meter,
        projections: InlineRunner,
        residents: Residents,
        directory: Directory,
        due: DueIndex,
        windows: OpenWindows,
        batches: Batches,
        refolder: Refolder,
    ) -> None:
        self.listeners: list[Listener] = []
        self._store = store
        self._meter = meter
        self._projections = projections
        self._residents = residents
        self._directory = directory
        self._due = due
        self._windows = windows
        self._batches = batches
        self._refolder = refolder
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")

    def stop(self) -> None:
        """Wait for the commit under way."""
        self._writer.shutdown(wait=True)

    async def commit(
        self, tentative: Tentative, accepted: Sequence[Waiting], recorded_at_us: int
    ) -> None:
        """Store what was decided and the usage that gathered, then answer the accepted commands.

        A commit that failed leaves no trace in memory, and everybody who waited for it is told. Raises when
        it cannot be known whether the store has it.
        """
        documents = self._projections.take_changes()
        meta = self._residents.take_snapshots() | {
            outbox_sequence_key(organization_id): str(sequence).encode()
            for organization_id, sequence in tentative.outbox_sequences.items()
        }
        loop = asyncio.get_running_loop()
        sealed_batch = self._meter.open_batch

        def write() -> tuple[int, list[int]]:
            sealed = self._meter.seal(
                recorded_at_us, ((f.stream_id, f.topic, f.body) for f in tentative.facts)
            )
            assert sealed.batch == sealed_batch
            return self._write(_batch(sealed, tentative, recorded_at_us, documents, meta), sealed)

        try:
            position, versions = await loop.run_in_executor(self._writer, write)
        except BaseException as error:
            self._undo(sealed_batch, accepted, error)
            if isinstance(error, CommitUndecided) or not isinstance(error, UnavailableError):
                raise
            log.error("commit_failed", error=str(error))
            return
        for fact in tentative.facts:
            self._directory.apply(fact.event, fact.organization)
        self._projections.commit()
        self._keep(tentative, versions)
        if tentative.facts:
            # Windows are open before the usage of this commit is folded, as a replay opens them.
            await loop.run_in_executor(self._writer, self._meter.confirm)
        if tentative.facts:
            self._refolder.follow()
        self._batches.release(sealed_batch, committed=True)
        for listener in self.listeners:
            listener(Committed(last_position=position, facts=tentative.facts))
        for item in accepted:
            item.succeed()

    def _write(self, batch: CommitBatch, sealed: Sealed) -> tuple[int, list[int]]:
        """Blocks until the store has it; (last position, versions of the facts)."""
        try:
            position = self._store.commit(batch)
        except BaseException:
            self._meter.rollback()
            raise
        if not batch.events:
            self._meter.confirm()
        return position, sealed.versions

    def _keep(self, tentative: Tentative, versions: Sequence[int]) -> None:
        """The tentative states are the committed ones now."""
        residents = self._residents
        residents.organizations.update(tentative.organizations)
        residents.outbox_sequences.update(tentative.outbox_sequences)
        last = {fact.customer_id: v for fact, v in zip(tentative.facts, versions, strict=True)}
        for customer_id, state in tentative.customers.items():
            old = residents.get(customer_id)
            residents.put(customer_id, Resident(state, last[customer_id], old.saved_version))
            if state is not None:
                self._windows.follow(customer_id, state)
                organization = residents.organizations[state.profile.organization_id]
                self._due.put(
                    organization.organization.id, customer_id, next_due(state, organization)
                )
        self._windows.give_back()

    def _undo(self, sealed_batch: int, accepted: Sequence[Waiting], error: BaseException) -> None:
        """A commit failed: forget what was decided on top of it, tell who waits."""
        self._projections.discard()
        self._windows.give_back()
        self._batches.release(sealed_batch, committed=False)
        for item in accepted:
            item.reject(UnavailableError(f"the command was not stored: {error}"))


def _batch(
    sealed: Sealed,
    tentative: Tentative,
    recorded_at_us: int,
    documents: Sequence[DocumentChange],
    meta: Mapping[str, bytes],
) -> CommitBatch:
    facts = zip(tentative.facts, sealed.versions, sealed.hashes, strict=True)
    return CommitBatch(
        seq=sealed.commit_seq,
        hash=sealed.commit_hash,
        recorded_at_us=recorded_at_us,
        events=[
            StoredEvent(fact.stream_id, version, fact.topic, pack_state(chained, fact.body))
            for fact, version, chained in facts
        ],
        segment=sealed.segment,
        segment_no=sealed.segment_no,
        documents=documents,
        outbox=tentative.outbox,
        meta=meta,
    )
