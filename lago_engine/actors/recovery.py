"""Opening a partition: the newest snapshot, then the tail of the log; without a snapshot the whole log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.directory import Directory
from lago_engine.actors.index import Progress, catch_up, keep_small, open_with_index
from lago_engine.actors.residents import Residents
from lago_engine.actors.snapshot import SCHEMA, EngineSnapshot, load_snapshot
from lago_engine.actors.streams import CUSTOMER_EVENTS
from lago_engine.actors.usage import UsageWindows
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.customer.due import next_due
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow, open_usage_windows
from lago_engine.errors import CorruptionError, IndexDamaged
from lago_engine.metering import Meter
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.store.codec import EventCodec, unpack_state
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, CommitRow, LogRow, Store

log = structlog.get_logger(__name__)

USAGE_BYTES: Final = 16 * 1024 * 1024
"""Packed usage that is read from the store and given to the core at once: a few hundred thousand events."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Directories beside the store that hold what can be made again from the log."""

    snapshots: Path
    index: Path


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What memory holds at most; events of one batch body."""

    batch: int
    customers: int
    fingerprints: int


class Recovered(msgspec.Struct):
    """A partition's memory, ready to go on after `position`."""

    meter: Meter
    directory: Directory
    due: DueIndex
    residents: Residents
    seq: int
    position: int

    def captured(self, seq: int, position: int) -> EngineSnapshot:
        """A snapshot of it; no commit may be under way."""
        return EngineSnapshot(
            schema=SCHEMA,
            seq=seq,
            hash=self.meter.commit_head[1],
            position=position,
            organizations=tuple(self.residents.organizations.values()),
            subscriptions=self.directory.entries(),
            due=tuple(self.due.entries()),
            meter=self.meter.snapshot(),
        )


def recover(
    store: Store,
    codec: EventCodec,
    secret: bytes,
    places: Places,
    bounds: Bounds,
    *,
    progress: Progress | None = None,
) -> Recovered:
    """The memory of the partition as its log says. Raises CorruptionError."""
    snapshot = load_snapshot(places.snapshots, store)
    meter = None
    if snapshot is not None:
        restored = partial(
            Meter.restore, secret, snapshot.meter, max_batch=bounds.batch, index=places.index
        )
        try:
            meter = open_with_index(restored, places.index, store)
        except IndexDamaged:
            raise
        except CorruptionError as error:
            log.warning("snapshot_unusable", reason=str(error))
    residents = Residents(store, codec, customers_max=bounds.customers)
    if snapshot is None or meter is None:
        fresh = partial(Meter, secret, max_batch=bounds.batch, index=places.index)
        meter = open_with_index(fresh, places.index, store)
        empty = Recovered(meter, Directory(meter), DueIndex(), residents, 0, 0)
        return _Replay(empty, store, codec, bounds.fingerprints, whole=True).run(progress)
    catch_up(meter, store, bounds.fingerprints, progress)
    residents.organizations.update({s.organization.id: s for s in snapshot.organizations})
    due = DueIndex()
    for organization_id, customer_id, at in snapshot.due:
        due.put(organization_id, customer_id, at)
    directory = Directory(meter, snapshot.subscriptions)
    recovered = Recovered(meter, directory, due, residents, snapshot.seq, snapshot.position)
    return _Replay(recovered, store, codec, bounds.fingerprints, whole=False).run(progress)


def _is_usage(rows: Sequence[LogRow]) -> bool:
    return len(rows) == 1 and rows[0].topic == USAGE_SEGMENT_TOPIC


def _together(
    commits: Iterable[tuple[CommitRow, list[LogRow]]],
) -> Iterator[list[tuple[CommitRow, list[LogRow]]]]:
    """Commits that hold usage only, up to `USAGE_BYTES` of them together; each other one alone."""
    usage: list[tuple[CommitRow, list[LogRow]]] = []
    size = 0
    for commit, rows in commits:
        if _is_usage(rows):
            usage.append((commit, rows))
            size += len(rows[0].state)
        if usage and (size >= USAGE_BYTES or usage[-1][0] is not commit):
            yield usage
            usage, size = [], 0
        if not _is_usage(rows):
            yield [(commit, rows)]
    if usage:
        yield usage


class _Replay:
    """Feeds the log after a position into memory, in the order in which it was committed.

    From the beginning of the log (`whole`) customers are folded as they go and their windows opened as they
    were when live; after a snapshot, customers of the tail are read from disk at the end.
    """

    def __init__(
        self,
        memory: Recovered,
        store: Store,
        codec: EventCodec,
        fingerprints_max: int,
        *,
        whole: bool,
    ) -> None:
        self._memory = memory
        self._store = store
        self._codec = codec
        self._fingerprints_max = fingerprints_max
        self._whole = whole
        self._usage = UsageWindows(memory.meter, store)
        self._customers: dict[UUID, CustomerState | None] = {}
        self._windows: dict[UUID, set[UsageWindow]] = {}

    def run(self, progress: Progress | None) -> Recovered:
        memory = self._memory
        last = self._store.last_position()
        for commits in _together(self._store.iter_commits(memory.seq)):
            end, rows = commits[-1]
            if _is_usage(rows):
                memory.meter.apply_usage(
                    [(rows[0].state, commit.seq, commit.hash) for commit, rows in commits]
                )
            else:
                self._commit(end, rows)
            memory.seq, memory.position = end.seq, end.last_position
            keep_small(memory.meter, self._fingerprints_max)
            if progress is not None:
                progress("log", end.last_position, last)
        self._settle()
        return memory

    def _commit(self, commit: CommitRow, rows: Sequence[LogRow]) -> None:
        """A commit with facts: they may open the windows that its usage is for."""
        meter = self._memory.meter
        facts = [row for row in rows if row.topic != USAGE_SEGMENT_TOPIC]
        meter.apply_facts(
            [(row.stream_id, row.version, unpack_state(row.state)[0]) for row in facts]
        )
        applied = [self._apply(row) for row in facts]
        touched = {customer_id for customer_id in applied if customer_id is not None}
        if self._whole:
            self._open_windows(touched)
        for row in rows:
            if row.topic == USAGE_SEGMENT_TOPIC:
                meter.apply_segment(row.state)
        meter.apply_commit(commit.seq, commit.hash)

    def _apply(self, row: LogRow) -> UUID | None:
        _, body = unpack_state(row.state)
        envelope, event = self._codec.decode(row.topic, body)
        organizations = self._memory.residents.organizations
        organization = evolve_organization(organizations.get(envelope.organization_id), event)
        organizations[envelope.organization_id] = organization
        self._memory.directory.apply(event, organization)
        if not isinstance(event, CUSTOMER_EVENTS):
            return None
        if self._whole:
            state = self._customers.get(row.stream_id)
            self._customers[row.stream_id] = evolve_customer(state, event)
        else:
            self._customers[row.stream_id] = None
        return row.stream_id

    def _open_windows(self, touched: set[UUID]) -> None:
        for customer_id in touched:
            state = self._customers[customer_id]
            if state is None:
                continue
            organization = self._memory.residents.organizations[state.profile.organization_id]
            needed = open_usage_windows(state, organization)
            before = self._windows.get(customer_id, set())
            self._usage.open(needed - before)
            self._usage.close(before - needed)
            self._windows[customer_id] = needed

    def _settle(self) -> None:
        """Due instants of the customers the log spoke of; where each organization's webhooks stand."""
        memory = self._memory
        memory.residents.load_outbox_sequences()
        for customer_id, known in self._customers.items():
            state = known if self._whole else memory.residents.load(customer_id).state
            if state is None:
                continue
            organization = memory.residents.organizations[state.profile.organization_id]
            memory.due.put(organization.organization.id, customer_id, next_due(state, organization))
