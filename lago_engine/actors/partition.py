"""One partition: the actors' loop. Commands and usage go in, one commit at a time comes out.

A tick drains waiting commands, decides them one after the other on states that already show the ones before,
seals them together with all usage that gathered meanwhile, commits, and only then answers. Decisions happen
between commits, so they see exactly the usage that precedes them in the log; that is what replay repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.aside import Aside
from lago_engine.actors.batches import Batches
from lago_engine.actors.billing_at_once import BillingAtOnce
from lago_engine.actors.committing import Committer, Listener
from lago_engine.actors.deciding import Decider
from lago_engine.actors.directory import Directory
from lago_engine.actors.mailbox import Command, Mailbox, Waiting
from lago_engine.actors.open_windows import OpenWindows
from lago_engine.actors.pending import PendingReader
from lago_engine.actors.refolding import Refolder
from lago_engine.actors.residents import Residents
from lago_engine.actors.tentative import Tentative
from lago_engine.actors.usage import UsageWindows
from lago_engine.clock import Clock
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CustomerCommand
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.timezones import micros
from lago_engine.errors import IndexDamaged, NotFound, UnavailableError
from lago_engine.metering import Meter
from lago_engine.projecting.inline import InlineRunner
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.store.codec import Envelope, EventCodec, unpack_state
from lago_engine.store.documents import DocumentChange
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, LogRow, Store
from lago_engine.webhooks.outbox import WebhookOutbox

log = structlog.get_logger(__name__)
T = TypeVar("T")

COMMANDS_PER_TICK: Final = 500


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what may wait for a commit, or to be billed when it arrives."""

    commands_waiting: int = 20_000
    staged_bytes: int = 64 * 1024 * 1024
    pending_in_advance: int = 100_000


class IngestAnswer(msgspec.Struct, frozen=True):
    """The finished answer to a body of usage events; `body` is the whole JSON."""

    status: int
    body: bytes


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
        self.pending = PendingReader(meter, store)
        self.failed: BaseException | None = None
        self._codec = codec
        self._projections = projections
        self._webhooks = webhooks
        self._limits = limits
        self._mailbox = Mailbox(limits.commands_waiting)
        self._deciding: list[Waiting] = []
        self._batches = Batches()
        self._wake = asyncio.Event()
        self._failure = asyncio.Event()
        self._closing = False
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="reader")
        self._loop_task: asyncio.Task[None] | None = None
        self._between_commits: list[Callable[[], Awaitable[None]]] = []
        self.refolder = Refolder(self.usage)
        self._windows = OpenWindows(self.usage, residents)
        self._aside = Aside(self.refolder, self._mailbox, self._windows, self._wake.set)
        self._decider = Decider(
            meter=meter,
            clock=clock,
            directory=directory,
            usage=self.usage,
            pending=self.pending,
            windows=self._windows,
            batches=self._batches,
            aside=self._aside,
            read=self.read,
        )
        self.billing_at_once = BillingAtOnce(meter, directory, self._mailbox, self._wake.set)
        self._committer = Committer(
            store=store,
            meter=meter,
            projections=projections,
            residents=residents,
            directory=directory,
            due=due,
            windows=self._windows,
            batches=self._batches,
            refolder=self.refolder,
        )

    @property
    def listeners(self) -> list[Listener]:
        """Called after each commit, before its commands are answered."""
        return self._committer.listeners

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to take commands, and to complete the windows that were not."""
        self.refolder.follow()
        self._loop_task = asyncio.create_task(self._run(), name="partition")
        self.billing_at_once.mail()

    async def stop(self) -> None:
        """Finish what waits, then stop."""
        self._closing = True
        self._wake.set()
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
        await self.refolder.stop()
        self._committer.stop()
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

    def rehearsal(self) -> InlineRunner:
        """The projections over the stored documents, for facts that will not be stored."""
        return self._projections.rehearsal(self.store.documents)

    async def customer_state(self, customer_id: UUID) -> CustomerState | None:
        """A customer as committed."""
        await self._awaken([customer_id])
        state = self.residents.get(customer_id).state
        if not self._deciding:
            self.residents.shrink()
        return state

    def imagine(
        self, organization_id: UUID, event: DomainEvent, at: datetime
    ) -> Sequence[DocumentChange]:
        """The documents that a fact would write if it happened now; nothing is kept of it."""
        envelope = Envelope(
            recorded_at_us=micros(at),
            occurred_at_us=micros(at),
            actor="",
            correlation_id="",
            causation_id="",
            organization_id=organization_id,
        )
        return self._projections.imagine(envelope, event, self.organization(organization_id))

    async def complete(self, window: UsageWindow) -> None:
        """Return when a usage window can be read; asked for later, folded earlier."""
        incomplete = self.usage.require(window)
        if incomplete is not None:
            await asyncio.shield(self.refolder.ready(incomplete))

    def return_windows(self, customer_id: UUID, windows: Iterable[UsageWindow]) -> None:
        """Windows that a question had completed; the next commit closes those nobody else needs."""
        self._windows.borrow(customer_id, windows)

    # --- usage in ------------------------------------------------------------------------------

    async def ingest(
        self, organization_id: UUID, body: bytes, *, single: bool, partial: bool = False
    ) -> IngestAnswer:
        """Store one body of usage events; returns when the answer may be sent. partial: of a batch, each event for itself.

        Raises UnavailableError: 429 when too much is waiting (decided before parsing), 503 when the commit
        that holds the events, or an original that they repeat, failed.
        """
        self._check_open()
        if self._is_behind():
            raise UnavailableError("too much usage is waiting", status=429, retry_after_s=1)
        state = self.residents.organizations[organization_id]
        now_us = self.clock.now_us() if state.clock is None else micros(state.clock)
        try:
            answer = self.meter.ingest(
                organization_id, body, single=single, now_us=now_us, partial=partial
            )
        except IndexDamaged as error:  # Nobody can say what is a duplicate before it is made again.
            self.fail(error)
            raise UnavailableError("the index of usage events is damaged") from error
        except OSError as error:
            raise UnavailableError(f"the index of usage events: {error}") from error
        if answer.wait_for and not await self._committed(answer.wait_for):
            raise UnavailableError("the events could not be stored")
        return IngestAnswer(answer.status, answer.body)

    def _is_behind(self) -> bool:
        """Whether too much usage waits for its commit, or to be billed at once."""
        return (
            self.meter.staged_bytes > self._limits.staged_bytes
            or self.meter.pending_in_advance > self._limits.pending_in_advance
        )

    async def _committed(self, batches: Sequence[int]) -> bool:
        """Whether every one of these batches became durable."""
        futures = self._batches.wait_for(batches)
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
        item = Waiting(command, actor, correlation_id, answer, batch)
        self._mailbox.put(item, aside=len(self._aside))
        self._wake.set()
        return await answer

    def _check_open(self) -> None:
        if self.failed is not None or self._closing:
            raise UnavailableError("the engine is shutting down", retry_after_s=5)

    # --- the loop ------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not (self._closing and not self._has_work() and not self._aside):
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
            await self._awaken(
                [w.command.customer_id for w in waiting if isinstance(w.command, CustomerCommand)]
            )
            accepted, later = self._decider.decide(waiting, tentative)
        except UnavailableError as error:  # The store cannot be read.
            self._projections.discard()
            _reject_all(waiting, error)
            return
        self._mailbox.put_back(later)
        if not tentative.facts and not self._batches:
            self._projections.take_changes()
            self._projections.commit()
            for item in accepted:
                item.succeed()
        else:
            await self._committer.commit(tentative, accepted, recorded_at_us)
            self.billing_at_once.mail()

    async def _awaken(self, customer_ids: Sequence[UUID]) -> None:
        """Bring customers into memory, with the windows they need registered."""
        asleep = {c for c in customer_ids if c not in self.residents}
        for customer_id in asleep:
            resident = await self.read(self.residents.load, customer_id)
            if customer_id not in self.residents:
                self.residents.put(customer_id, resident)
                self._windows.follow(customer_id, resident.state)

    def _refuse_everything(self) -> None:
        """Nobody may wait for ever for an engine that has stopped."""
        self.billing_at_once.stop()
        gone = UnavailableError("the engine has stopped", retry_after_s=5)
        _reject_all([*self._deciding, *self._mailbox.take(len(self._mailbox))], gone)
        self._aside.refuse(gone)
        self._batches.abandon()


def _reject_all(waiting: Sequence[Waiting], error: UnavailableError) -> None:
    for item in waiting:
        item.reject(error)
