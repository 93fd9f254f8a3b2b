"""Opening a partition: the newest snapshot, then the tail of the log; without a snapshot the whole log.

A snapshot is a cache beside the log, never the authority: one that is damaged, of another version, or ahead of
the log is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.directory import Directory, Entry
from lago_engine.actors.residents import Residents
from lago_engine.actors.streams import CUSTOMER_EVENTS
from lago_engine.actors.usage import UsageWindows
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.due import next_due
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow, open_usage_windows
from lago_engine.errors import CorruptionError
from lago_engine.metering import Meter
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.store.codec import EventCodec, unpack_state
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, LogRow, Store

log = structlog.get_logger(__name__)

Progress = Callable[[int], None]
"""Told the position in the log that has been read."""

SNAPSHOT_NAME: Final = "engine.snapshot"
_MAGIC: Final = b"lago_engine.snapshot.1\n"


class EngineSnapshot(msgspec.Struct, frozen=True):
    """Everything a partition holds in memory at one commit, customers apart."""

    schema: str
    seq: int
    hash: bytes
    position: int
    organizations: tuple[OrganizationState, ...]
    subscriptions: tuple[Entry, ...]
    due: tuple[tuple[UUID, UUID, datetime], ...]
    meter: bytes


_SCHEMA: Final = sha256(
    msgspec.json.encode(
        [msgspec.json.schema(Entry), repr(msgspec.inspect.type_info(OrganizationState))],
        order="deterministic",
    )
).hexdigest()


class Recovered(msgspec.Struct):
    """A partition's memory, ready to go on after `position`."""

    meter: Meter
    directory: Directory
    due: DueIndex
    residents: Residents
    seq: int
    position: int


def save_snapshot(folder: Path, recovered: Recovered) -> Path:
    """Write the snapshot beside the store; the file is whole or absent."""
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = EngineSnapshot(
        schema=_SCHEMA,
        seq=recovered.seq,
        hash=recovered.meter.commit_head[1],
        position=recovered.position,
        organizations=tuple(recovered.residents.organizations.values()),
        subscriptions=recovered.directory.entries(),
        due=tuple(recovered.due.entries()),
        meter=recovered.meter.snapshot(),
    )
    body = msgspec.msgpack.encode(snapshot)
    path = folder / SNAPSHOT_NAME
    temporary = path.with_suffix(".part")
    temporary.write_bytes(_MAGIC + sha256(body).digest() + body)
    temporary.replace(path)
    return path


def _load_snapshot(folder: Path, store: Store) -> EngineSnapshot | None:
    path = folder / SNAPSHOT_NAME
    if not path.exists():
        return None
    raw = path.read_bytes()
    head = len(_MAGIC) + 32
    body = raw[head:]
    if not raw.startswith(_MAGIC) or sha256(body).digest() != raw[len(_MAGIC) : head]:
        log.warning("snapshot_unusable", reason="damaged", path=str(path))
        return None
    try:
        snapshot = msgspec.msgpack.decode(body, type=EngineSnapshot)
    except msgspec.MsgspecError:
        snapshot = None
    if snapshot is None or snapshot.schema != _SCHEMA:
        log.warning("snapshot_unusable", reason="other version", path=str(path))
        return None
    commit = next(iter(store.commits(snapshot.seq - 1, 1)), None)
    stands_for = snapshot.seq, snapshot.hash, snapshot.position
    if commit is None or (commit.seq, commit.hash, commit.last_position) != stands_for:
        log.warning("snapshot_unusable", reason="not of this log", path=str(path))
        return None
    return snapshot


def recover(
    store: Store,
    codec: EventCodec,
    secret: bytes,
    folder: Path,
    *,
    batch_max: int,
    customers_max: int,
    progress: Progress | None = None,
) -> Recovered:
    """The memory of the partition as its log says. Raises CorruptionError."""
    snapshot = _load_snapshot(folder, store)
    meter = None
    if snapshot is not None:
        try:
            meter = Meter.restore(secret, snapshot.meter, max_batch=batch_max)
        except CorruptionError as error:
            log.warning("snapshot_unusable", reason=str(error))
    residents = Residents(store, codec, customers_max=customers_max)
    if snapshot is None or meter is None:
        meter = Meter(secret, max_batch=batch_max)
        empty = Recovered(meter, Directory(meter), DueIndex(), residents, 0, 0)
        return _Replay(empty, store, codec, whole=True).run(progress)
    residents.organizations.update({s.organization.id: s for s in snapshot.organizations})
    due = DueIndex()
    for organization_id, customer_id, at in snapshot.due:
        due.put(organization_id, customer_id, at)
    directory = Directory(meter, snapshot.subscriptions)
    recovered = Recovered(meter, directory, due, residents, snapshot.seq, snapshot.position)
    return _Replay(recovered, store, codec, whole=False).run(progress)


class _Replay:
    """Feeds the log after a position into memory, in the order in which it was committed.

    From the beginning of the log (`whole`) customers are folded as they go and their windows opened as they
    were when live; after a snapshot, customers of the tail are read from disk at the end.
    """

    def __init__(self, memory: Recovered, store: Store, codec: EventCodec, *, whole: bool) -> None:
        self._memory = memory
        self._store = store
        self._codec = codec
        self._whole = whole
        self._usage = UsageWindows(memory.meter, store)
        self._customers: dict[UUID, CustomerState | None] = {}
        self._windows: dict[UUID, set[UsageWindow]] = {}

    def run(self, progress: Progress | None) -> Recovered:
        memory = self._memory
        for commit, rows in self._store.iter_commits(memory.seq):
            touched: set[UUID] = set()
            facts = [row for row in rows if row.topic != USAGE_SEGMENT_TOPIC]
            memory.meter.apply_facts(
                [(row.stream_id, row.version, unpack_state(row.state)[0]) for row in facts]
            )
            for row in facts:
                customer_id = self._apply(row)
                if customer_id is not None:
                    touched.add(customer_id)
            if self._whole:
                self._open_windows(touched)
            for row in rows:
                if row.topic == USAGE_SEGMENT_TOPIC:
                    memory.meter.apply_segment(row.state)
            memory.meter.apply_commit(commit.seq, commit.hash)
            memory.seq, memory.position = commit.seq, commit.last_position
            if progress is not None:
                progress(commit.last_position)
        self._settle()
        return memory

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
