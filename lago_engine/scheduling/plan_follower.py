"""Tells customers that the catalog changed: child plans follow, subscriptions of a deleted plan end (plans.md §11.2, §12).

One thing after the other, in the order of the log. The cursor moves past a change only when every customer concerned
has followed it, so a crash repeats a change; customers do nothing twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog

from lago_engine.domain import commands as c
from lago_engine.domain import events as e
from lago_engine.domain.catalog.fixed_units import changed_units
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.errors import DomainError, UnavailableError
from lago_engine.projecting.wire import members, read_string
from lago_engine.store.port import Store
from lago_engine.store.query import Filter, Query

log = structlog.get_logger(__name__)
T = TypeVar("T")

ACTOR: Final = "catalog"
BACKOFF_S: Final = 1.0
PAGE: Final = 1000
CHUNK: Final = 200
"""Customers asked at once."""

CHANGES: Final = (
    e.PlanUpdated, e.PlanDeletionRequested, e.BillableMetricUpdated, e.BillableMetricDeleted,
    e.AddOnDeleted,
)  # fmt: skip

_LIVE: Final = Filter("status", "in", ("active", "pending"))
_OWN_PRICES: Final = Filter("_.has_own_plan", "not_null")


class Change(Protocol):
    """A committed event at its place in the log."""

    @property
    def position(self) -> int: ...
    @property
    def organization_id(self) -> UUID: ...
    @property
    def event(self) -> e.DomainEvent: ...


class Engine(Protocol):
    """What the follower needs of the engine."""

    @property
    def store(self) -> Store: ...

    def organization(self, organization_id: UUID) -> OrganizationState: ...

    async def read(self, function: Callable[..., T], *args: object) -> T: ...

    async def execute(
        self, command: c.CustomerCommand | c.OrganizationCommand, *, actor: str
    ) -> Sequence[e.DomainEvent]: ...


class PlanFollower:
    """Carries changes of the catalog to the customers they concern."""

    def __init__(self, engine: Engine, *, backoff_s: float = BACKOFF_S) -> None:
        self._engine = engine
        self._backoff_s = backoff_s
        self._queue: deque[Change] = deque()
        self._refused: list[Change] = []
        self._worker: asyncio.Task[None] | None = None
        self._pausing = False
        self._seen = 0

    @property
    def cursor(self) -> int:
        """The log position up to which everything has been done."""
        return min((change.position - 1 for change in self._unfinished()), default=self._seen)

    def _unfinished(self) -> Iterable[Change]:
        return (*self._queue, *self._refused)

    def concerns(self, event: e.DomainEvent) -> bool:
        """Whether customers have to follow the event."""
        return isinstance(event, CHANGES)

    def saw(self, position: int) -> None:
        """The log was read up to `position`."""
        self._seen = max(self._seen, position)

    def accept(self, change: Change) -> None:
        """Follow one event, after those accepted before."""
        self._queue.append(change)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="plan-follower")

    async def settle(self, organization_id: UUID) -> None:
        """Wait until all of the organization is followed; what waits for the store is left to it."""
        while any(change.organization_id == organization_id for change in self._queue):
            if self._worker is None or self._worker.done() or self._pausing:
                return
            await asyncio.wait([self._worker], timeout=0.05)

    async def stop(self) -> None:
        """Abandon what is under way; the cursor makes the next start take it up again."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # --- following -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._queue:
            try:
                await self._follow(self._queue[0])
            except UnavailableError as error:
                log.warning("following_delayed", error=str(error))
                await self._pause()
                continue
            except DomainError as error:
                # A person must change something first; the next start, or the same request again, tries again.
                log.error(
                    "not_followed", change=type(self._queue[0].event).__name__, error=str(error)
                )
                self._refused.append(self._queue[0])
            self._queue.popleft()

    async def _pause(self) -> None:
        self._pausing = True
        await asyncio.sleep(self._backoff_s)
        self._pausing = False

    async def _follow(self, change: Change) -> None:
        match change.event:
            case e.PlanUpdated():
                await self._follow_update(change.organization_id, change.event)
            case e.PlanDeletionRequested(plan=plan):
                await self._end_plan(change.organization_id, plan.id)
            case e.BillableMetricUpdated(metric=metric) | e.BillableMetricDeleted(metric=metric):
                customers = await self._customers(change.organization_id, _LIVE, _OWN_PRICES)
                await self._ask(change, c.FollowMetric, customers, metric_id=metric.id)
            case e.AddOnDeleted(add_on=add_on):
                customers = await self._customers(change.organization_id, _LIVE, _OWN_PRICES)
                await self._ask(change, c.FollowAddOn, customers, add_on_id=add_on.id)

    async def _follow_update(self, organization_id: UUID, event: e.PlanUpdated) -> None:
        """Prices first, then drafts that show them: a draft needs what metering learns in between."""
        plan = event.plan
        concerned = set(await self._customers(organization_id, Filter("status", "eq", "pending")))
        on_plan = Filter("_.plan_id", "eq", str(plan.id))
        before = self._engine.organization(organization_id).plan(plan.id, plan.version - 1)
        if changed_units(before.fixed_charges, plan.fixed_charges):
            concerned |= set(await self._customers(organization_id, _LIVE, on_plan))
        elif event.cascade:
            concerned |= set(await self._customers(organization_id, _LIVE, _OWN_PRICES, on_plan))
        await self._execute(
            c.FollowPlan(
                organization_id=organization_id,
                customer_id=customer_id,
                plan_id=plan.id,
                version=plan.version,
                cascade=event.cascade,
                applied_at_once=event.applied_at_once,
            )
            for customer_id in sorted(concerned)
        )
        drafted = await self._engine.read(self._drafted, organization_id)
        await self._execute(
            c.RefreshDrafts(
                organization_id=organization_id, customer_id=customer_id, plan_id=plan.id
            )
            for customer_id in drafted
        )

    async def _end_plan(self, organization_id: UUID, plan_id: UUID) -> None:
        """Until nobody is on it: the plan can be subscribed to before it is gone, and not afterwards."""
        on_plan = Filter("_.plan_id", "eq", str(plan_id))
        for _ in ("before it is gone", "who came in the last moment"):
            while customers := await self._customers(organization_id, _LIVE, on_plan):
                await self._leave(organization_id, plan_id, customers)
            await self._leave(
                organization_id, plan_id, await self._engine.read(self._drafted, organization_id)
            )
            await self._execute([c.RemovePlan(organization_id=organization_id, plan_id=plan_id)])

    async def _leave(self, organization_id: UUID, plan_id: UUID, customers: Sequence[UUID]) -> None:
        await self._execute(
            c.LeavePlan(organization_id=organization_id, customer_id=customer_id, plan_id=plan_id)
            for customer_id in customers
        )

    async def _ask(
        self,
        change: Change,
        kind: type[c.FollowMetric | c.FollowAddOn],
        customers: Sequence[UUID],
        **named: UUID,
    ) -> None:
        organization_id = change.organization_id
        await self._execute(
            kind(organization_id=organization_id, customer_id=customer_id, **named)
            for customer_id in customers
        )

    async def _execute(self, commands: Iterable[c.CustomerCommand | c.OrganizationCommand]) -> None:
        """All of them; the first failure is raised when the others are done."""
        waiting, failures = list(commands), list[BaseException]()
        for start in range(0, len(waiting), CHUNK):
            answers = await asyncio.gather(
                *(
                    self._engine.execute(command, actor=ACTOR)
                    for command in waiting[start : start + CHUNK]
                ),
                return_exceptions=True,
            )
            failures += [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in failures:
            raise failure

    # --- who is concerned ----------------------------------------------------------------------

    async def _customers(self, organization_id: UUID, *conditions: Filter) -> Sequence[UUID]:
        """The customers that have a subscription which meets all conditions."""
        return await self._engine.read(self._owners, organization_id, "subscription", conditions)

    def _drafted(self, organization_id: UUID) -> Sequence[UUID]:
        """The customers that have a draft."""
        return self._owners(organization_id, "invoice", (Filter("status", "eq", "draft"),))

    def _owners(
        self, organization_id: UUID, kind: str, conditions: tuple[Filter, ...]
    ) -> Sequence[UUID]:
        owners: set[UUID] = set()
        documents, offset, total = self._engine.store.documents, 0, 1
        while offset < total:
            query = Query(
                filters=conditions, order=(("position", "asc"),), offset=offset, limit=PAGE
            )
            bodies, total = documents.list(organization_id, kind, query)
            for body in bodies:
                document = members(body)
                whose = document if kind == "subscription" else members(document["customer"])
                name = "lago_customer_id" if kind == "subscription" else "lago_id"
                owners.add(UUID(read_string(whose[name])))
            offset += PAGE
        return sorted(owners)
