"""One partition: the actors' loop. Commands and usage go in, one commit at a time comes out.

A tick drains waiting commands, decides them one after the other on states that already show the ones before,
seals them together with all usage that gathered meanwhile, commits, and only then answers. Decisions happen
between commits, so they see exactly the usage that precedes them in the log; that is what replay repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog
from eventsourcing.persistence import StoredEvent

from lago_engine.actors.directory import Directory
from lago_engine.actors.mailbox import Command, Mailbox, Waiting
from lago_engine.actors.residents import Resident, Residents, outbox_sequence_key
from lago_engine.actors.tentative import Fact, Tentative
from lago_engine.actors.usage import UsageWindows, WindowNotReady
from lago_engine.clock import Clock
from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    AdvanceTime,
    CreateSubscription,
    CustomerCommand,
    FinalizeInvoice,
    OrganizationCommand,
    TerminateSubscription,
)
from lago_engine.domain.customer.decide import decide_customer
from lago_engine.domain.customer.decision import Recorded
from lago_engine.domain.customer.due import next_due
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow, open_usage_windows
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.timezones import micros
from lago_engine.errors import DomainError, NotFound, UnavailableError
from lago_engine.metering import Meter
from lago_engine.projecting.inline import InlineRunner
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.store.codec import Envelope, EventCodec, pack_state, unpack_state
from lago_engine.store.port import (
    USAGE_SEGMENT_TOPIC,
    CommitBatch,
    CommitUndecided,
    LogRow,
    Store,
)
from lago_engine.webhooks.outbox import WebhookOutbox

log = structlog.get_logger(__name__)
T = TypeVar("T")

COMMANDS_PER_TICK = 500
DECIDING_S = 0.01
"""After so long deciding, what is decided is committed first: usage waits for that commit."""


CLOSING = (AdvanceTime, FinalizeInvoice, TerminateSubscription)
"""Commands after which usage of a window comes too late to be billed."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what may wait for a commit."""

    commands_waiting: int = 20_000
    staged_bytes: int = 64 * 1024 * 1024


class IngestAnswer(msgspec.Struct, frozen=True):
    """The finished answer to a body of usage events; `body` is the whole JSON."""

    status: int
    body: bytes


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit added, for those who react to it."""

    last_position: int
    facts: Sequence[Fact]


Listener = Callable[[Committed], None]


class Partition:
    """All state of one partition, and the only writer of its store."""

    def __init__(
        self,
        *,
        store: Store,
        meter: Meter,
        codec: EventCodec,
        projections: InlineRunner,
        webhooks: WebhookOutbox,
        clock: Clock,
        residents: Residents,
        directory: Directory,
        due: DueIndex,
        limits: Limits,
    ) -> None:
        self.store = store
        self.meter = meter
        self.clock = clock
        self.residents = residents
        self.directory = directory
        self.due = due
        self.usage = UsageWindows(meter, store)
        self.listeners: list[Listener] = []
        self.failed: BaseException | None = None
        self._codec = codec
        self._projections = projections
        self._webhooks = webhooks
        self._limits = limits
        self._mailbox = Mailbox(limits.commands_waiting)
        self._deciding: list[Waiting] = []
        self._batches: dict[int, list[asyncio.Future[bool]]] = {}
        self._wake = asyncio.Event()
        self._failure = asyncio.Event()
        self._closing = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="reader")
        self._loop_task: asyncio.Task[None] | None = None
        self._between_commits: list[Callable[[], Awaitable[None]]] = []
        self._not_needed: set[UsageWindow] = set()
        self._open_windows: dict[UUID, set[UsageWindow]] = {}

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to take commands."""
        self._loop_task = asyncio.create_task(self._run(), name="partition")

    async def stop(self) -> None:
        """Finish what waits, then stop."""
        self._closing = True
        self._wake.set()
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)

    def fail(self, error: BaseException) -> None:
        """Take nothing more: `error` made the engine unable to go on."""
        if self.failed is None:
            self.failed = error
            self._failure.set()

    async def wait_failed(self) -> BaseException:
        """Return what made the partition fail, if it ever does."""
        while self.failed is None:
            await self._failure.wait()
        return self.failed

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """Run a blocking read off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *args)

    async def between_commits(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run `action` while no commit is under way and no decision is being taken."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def guarded() -> None:
            try:
                await action()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._between_commits.append(guarded)
        self._wake.set()
        await done

    # --- looking in ----------------------------------------------------------------------------

    def organization(self, organization_id: UUID) -> OrganizationState:
        """Settings and catalog, as committed. Raises NotFound."""
        state = self.residents.organizations.get(organization_id)
        if state is None:
            raise NotFound("organization")
        return state

    def now(self, organization_id: UUID) -> datetime:
        """The organization's clock: its virtual instant while one is set."""
        state = self.residents.organizations.get(organization_id)
        if state is not None and state.clock is not None:
            return state.clock
        return self.clock.now()

    def decode(self, row: LogRow) -> tuple[Envelope, DomainEvent] | None:
        """The fact in a log row; None for usage."""
        if row.topic == USAGE_SEGMENT_TOPIC:
            return None
        _, body = unpack_state(row.state)
        return self._codec.decode(row.topic, body)

    async def customer_state(self, customer_id: UUID) -> CustomerState | None:
        """A customer as committed."""
        await self._awaken([customer_id])
        state = self.residents.get(customer_id).state
        if not self._deciding:
            self.residents.shrink()
        return state

    # --- usage in ------------------------------------------------------------------------------

    async def ingest(
        self, organization_id: UUID, body: bytes, *, single: bool, partial: bool = False
    ) -> IngestAnswer:
        """Store one body of usage events; returns when the answer may be sent. partial: of a batch, each event for itself.

        Raises UnavailableError: 429 when too much is waiting (decided before parsing), 503 when the commit
        that holds the events, or an original that they repeat, failed.
        """
        self._check_open()
        if self.meter.staged_bytes > self._limits.staged_bytes:
            raise UnavailableError("too much usage is waiting", status=429, retry_after_s=1)
        state = self.residents.organizations[organization_id]
        now_us = self.clock.now_us() if state.clock is None else micros(state.clock)
        answer = self.meter.ingest(
            organization_id, body, single=single, now_us=now_us, partial=partial
        )
        if answer.wait_for and not await self._committed(answer.wait_for):
            raise UnavailableError("the events could not be stored")
        return IngestAnswer(answer.status, answer.body)

    async def _committed(self, batches: Sequence[int]) -> bool:
        """Whether every one of these batches became durable."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[bool]] = []
        for batch in batches:
            futures.append(loop.create_future())
            self._batches.setdefault(batch, []).append(futures[-1])
        self._wake.set()
        return all([await future for future in futures])

    # --- commands in ---------------------------------------------------------------------------

    async def execute(
        self, command: Command, *, actor: str, correlation_id: str = ""
    ) -> Sequence[DomainEvent]:
        """What the command made happen, once it is durable and its documents can be read."""
        self._check_open()
        answer: asyncio.Future[Sequence[DomainEvent]]
        answer = asyncio.get_running_loop().create_future()
        batch = self.meter.open_batch
        self._mailbox.put(Waiting(command, actor, correlation_id, answer, batch))
        self._wake.set()
        return await answer

    def _check_open(self) -> None:
        if self.failed is not None or self._closing:
            raise UnavailableError("the engine is shutting down", retry_after_s=5)

    # --- the loop ------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not (self._closing and not self._has_work()):
                if not self._has_work():
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._tick()
                self._deciding = []
                self.residents.shrink()
        except BaseException as error:
            self.fail(error)
            log.critical("partition_failed", error=repr(error))
            if not isinstance(error, Exception):
                raise
        finally:
            self._refuse_everything()

    def _has_work(self) -> bool:
        return bool(self._mailbox or self._batches or self._between_commits)

    async def _tick(self) -> None:
        for action in self._between_commits[:]:
            await action()
            self._between_commits.remove(action)
        self._deciding = waiting = self._mailbox.take(COMMANDS_PER_TICK)
        recorded_at_us = self.clock.now_us()
        tentative = Tentative(
            self.residents, self._codec, self._projections, self._webhooks, recorded_at_us
        )
        try:
            accepted = await self._decide(waiting, tentative)
        except UnavailableError as error:  # The store cannot be read.
            self._projections.discard()
            self._reject_all(waiting, error)
            return
        if not tentative.facts and not self._batches:
            self._projections.take_changes()
            self._projections.commit()
            self._answer(accepted)
        else:
            await self._commit(tentative, accepted, recorded_at_us)

    async def _decide(self, waiting: list[Waiting], tentative: Tentative) -> list[Waiting]:
        """Decide each command; those that were refused have their answer already."""
        await self._awaken(
            [w.command.customer_id for w in waiting if isinstance(w.command, CustomerCommand)]
        )
        accepted: list[Waiting] = []
        time = asyncio.get_running_loop().time
        until = time() + DECIDING_S
        for number, item in enumerate(waiting):
            late = number > 0 and time() > until
            if late or tentative.must_commit_before(item.command) or self._usage_came_before(item):
                self._mailbox.put_back(waiting[number:])
                break
            try:
                item.recorded = await self._decide_one(item.command, tentative)
            except (DomainError, UnavailableError) as refusal:
                _reject(item.answer, refusal)
                continue
            except Exception as error:  # A defect in one decision must not stop the others.
                log.exception("decision_failed", command=type(item.command).__name__)
                _reject(item.answer, error)
                continue
            command = item.command
            tentative.add(
                item.recorded,
                organization_id=command.organization_id,
                customer_id=command.customer_id if isinstance(command, CustomerCommand) else None,
                actor=item.actor,
                correlation_id=item.correlation_id,
            )
            accepted.append(item)
        return accepted

    async def _decide_one(self, command: Command, tentative: Tentative) -> Sequence[Recorded]:
        organization = tentative.organization(command.organization_id)
        now = organization.clock if organization and organization.clock else self.clock.now()
        if isinstance(command, OrganizationCommand):
            events = decide_organization(organization, command, now=now)
            return [Recorded(event, now) for event in events]
        if organization is None:
            raise NotFound("organization")
        command = self._with_owner(command)
        while True:
            try:
                return decide_customer(
                    tentative.customer(command.customer_id),
                    command,
                    organization=organization,
                    now=now,
                    usage=self.usage.read,
                )
            except WindowNotReady as missing:
                await self.read(self.usage.fold, missing.window)
                self._not_needed.add(missing.window)

    def _usage_came_before(self, item: Waiting) -> bool:
        """Whether the command closes a usage window while usage that came before it is not committed."""
        if not isinstance(item.command, CLOSING):
            return False
        return item.batch == self.meter.open_batch and item.batch in self._batches

    def _with_owner(self, command: CustomerCommand) -> CustomerCommand:
        """A new subscription must know whether another customer has its external id active."""
        if not isinstance(command, CreateSubscription):
            return command
        external_id = command.input.get("external_id")
        name = external_id.strip() if isinstance(external_id, str) else str(external_id)
        owner = self.directory.active_owner(command.organization_id, name)
        taken = owner is not None and owner != command.customer_id
        return msgspec.structs.replace(command, taken_elsewhere=taken)

    async def _awaken(self, customer_ids: Sequence[UUID]) -> None:
        """Bring customers into memory, with the windows they need registered."""
        asleep = {c for c in customer_ids if c not in self.residents}
        for customer_id in asleep:
            resident = await self.read(self.residents.load, customer_id)
            if customer_id not in self.residents:
                self.residents.put(customer_id, resident)
                self._open_windows_of(customer_id, resident.state)

    def _open_windows_of(self, customer_id: UUID, state: CustomerState | None) -> None:
        """Register what the customer needs folded, forget what it needs no more."""
        if state is None:
            return
        organization = self.residents.organizations[state.profile.organization_id]
        needed = open_usage_windows(state, organization)
        before = self._open_windows.get(customer_id, set())
        self.usage.open(needed - before)
        self.usage.close(before - needed)
        self._not_needed -= needed
        if needed:
            self._open_windows[customer_id] = needed
        else:
            self._open_windows.pop(customer_id, None)

    # --- committing ----------------------------------------------------------------------------

    async def _commit(
        self, tentative: Tentative, accepted: list[Waiting], recorded_at_us: int
    ) -> None:
        documents = self._projections.take_changes()
        meta = self.residents.take_snapshots() | {
            outbox_sequence_key(organization_id): str(sequence).encode()
            for organization_id, sequence in tentative.outbox_sequences.items()
        }
        loop = asyncio.get_running_loop()
        sealed_batch = self.meter.open_batch

        def write() -> tuple[int, list[int]]:
            sealed = self.meter.seal(
                recorded_at_us, ((f.stream_id, f.topic, f.body) for f in tentative.facts)
            )
            assert sealed.batch == sealed_batch
            events = [
                StoredEvent(fact.stream_id, version, fact.topic, pack_state(chained, fact.body))
                for fact, version, chained in zip(
                    tentative.facts, sealed.versions, sealed.hashes, strict=True
                )
            ]
            batch = CommitBatch(
                seq=sealed.commit_seq,
                hash=sealed.commit_hash,
                recorded_at_us=recorded_at_us,
                events=events,
                segment=sealed.segment,
                segment_no=sealed.segment_no,
                documents=documents,
                outbox=tentative.outbox,
                meta=meta,
            )
            try:
                position = self.store.commit(batch)
            except BaseException:
                self.meter.rollback()
                raise
            if not tentative.facts:
                self.meter.confirm()
            return position, sealed.versions

        try:
            position, versions = await loop.run_in_executor(self._writer, write)
        except BaseException as error:
            self._undo(sealed_batch, accepted, error)
            if isinstance(error, CommitUndecided) or not isinstance(error, UnavailableError):
                raise
            log.error("commit_failed", error=str(error))
            return
        for fact in tentative.facts:
            self.directory.apply(fact.event, fact.organization)
        self._projections.commit()
        self._keep(tentative, versions)
        if tentative.facts:
            # Windows are open before the usage of this commit is folded, as a replay opens them.
            await loop.run_in_executor(self._writer, self.meter.confirm)
        self._release(sealed_batch, committed=True)
        for listener in self.listeners:
            listener(Committed(last_position=position, facts=tentative.facts))
        self._answer(accepted)

    def _keep(self, tentative: Tentative, versions: list[int]) -> None:
        """The tentative states are the committed ones now."""
        self.residents.organizations.update(tentative.organizations)
        self.residents.outbox_sequences.update(tentative.outbox_sequences)
        last = {fact.customer_id: v for fact, v in zip(tentative.facts, versions, strict=True)}
        for customer_id, state in tentative.customers.items():
            old = self.residents.get(customer_id)
            self.residents.put(customer_id, Resident(state, last[customer_id], old.saved_version))
            if state is not None:
                self._open_windows_of(customer_id, state)
                organization = self.residents.organizations[state.profile.organization_id]
                self.due.put(
                    organization.organization.id, customer_id, next_due(state, organization)
                )
        self.usage.close(self._not_needed)
        self._not_needed.clear()

    def _release(self, sealed_batch: int, *, committed: bool) -> None:
        """Tell who waits for the sealed batch; who waits for a later one waits on."""
        for batch in [batch for batch in self._batches if batch <= sealed_batch]:
            for future in self._batches.pop(batch):
                if not future.done():
                    future.set_result(committed)

    def _undo(self, sealed_batch: int, accepted: list[Waiting], error: BaseException) -> None:
        """A commit failed: forget what was decided on top of it, tell who waits."""
        self._projections.discard()
        self.usage.close(self._not_needed)
        self._not_needed.clear()
        self._release(sealed_batch, committed=False)
        self._reject_all(accepted, UnavailableError(f"the command was not stored: {error}"))

    def _reject_all(self, waiting: Sequence[Waiting], error: UnavailableError) -> None:
        for item in waiting:
            _reject(item.answer, error)

    def _answer(self, accepted: list[Waiting]) -> None:
        for item in accepted:
            if not item.answer.done():
                item.answer.set_result([recorded.event for recorded in item.recorded])

    def _refuse_everything(self) -> None:
        """Nobody may wait for ever for an engine that has stopped."""
        gone = UnavailableError("the engine has stopped", retry_after_s=5)
        self._reject_all([*self._deciding, *self._mailbox.take(len(self._mailbox))], gone)
        for futures in self._batches.values():
            for future in futures:
                if not future.done():
                    future.set_result(False)
        self._batches.clear()


def _reject(answer: asyncio.Future[Sequence[DomainEvent]], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
