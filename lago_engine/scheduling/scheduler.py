"""Makes time pass: asks customers to do what is due, at real time or along a virtual clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from lago_engine.clock import Clock
from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import AdvanceTime, ReportUsageErrors, SetClock
from lago_engine.errors import ValidationFailed
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.scheduling.usage_errors import due_at

log = structlog.get_logger(__name__)

CHUNK: Final = 200
"""Customers asked at once: few enough that usage committed between two chunks does not wait long."""
POLL_S: Final = 1.0
ACTOR: Final = "clock"

TASKS: Final = (
    "billing", "free_trials", "usage", "draft_refresh", "finalization", "terminations",
    "activations", "expirations", "wallets", "wallet_rules", "wallet_expirations",
    "coupon_expirations", "payment_overdue", "dunning", "usage_errors",
)  # fmt: skip
"""What a virtual clock can be asked to run (test_clocks.md §3; `usage_errors`: events.md §5.3)."""

ACTIONS: Final[Mapping[type[e.DomainEvent], str]] = {
    e.InvoiceFinalized: "invoices",
    e.InvoiceDrafted: "drafts",
    e.SubscriptionStarted: "activations",
    e.SubscriptionTerminated: "terminations",
    e.SubscriptionTrialEnded: "free_trials",
    e.InvoicePaymentOverdue: "overdue",
    e.PaymentRequested: "payments",
}


class Engine(Protocol):
    """What the scheduler needs of the partition."""

    clock: Clock

    def now(self, organization_id: UUID) -> datetime: ...

    async def execute(
        self, command: AdvanceTime | SetClock | ReportUsageErrors, *, actor: str
    ) -> Sequence[e.DomainEvent]: ...


class Settle(Protocol):
    async def __call__(self, organization_id: UUID) -> None: ...


class UsageErrors(Protocol):
    """The hourly reports; `lago_engine.scheduling.usage_errors.UsageErrorReports` has this shape."""

    async def catch_up(self, organization_id: UUID, until: datetime, *, actor: str) -> None: ...
    async def find(self, organization_id: UUID, until: datetime) -> Sequence[ReportUsageErrors]: ...
    async def passed(self, organization_id: UUID, until: datetime) -> None: ...


class Scheduler:
    """Runs what is due; one for a partition."""

    def __init__(
        self,
        engine: Engine,
        due: DueIndex,
        organizations: Mapping[UUID, OrganizationState],
        settle: Settle,
        usage_errors: UsageErrors,
    ) -> None:
        self._engine = engine
        self._due = due
        self._organizations = organizations
        self._settle = settle
        self._usage_errors = usage_errors

    async def run(self) -> None:
        """Follow the real clock for ever. Test organizations whose clock stands still are left alone."""
        while True:
            for organization_id, state in list(self._organizations.items()):
                if state.clock is None:
                    await self._run_due(organization_id)
            await asyncio.sleep(POLL_S)

    async def _run_due(self, organization_id: UUID) -> None:
        try:
            now = self._engine.clock.now()
            await self.catch_up(organization_id, now)
            await self._usage_errors.catch_up(organization_id, now, actor=ACTOR)
        except Exception as error:  # One customer's failure must not stop the clock of all others.
            log.error("due_work_failed", organization_id=str(organization_id), error=repr(error))

    async def catch_up(self, organization_id: UUID, until: datetime) -> Counter[str]:
        """Do everything due up to `until`, each thing dated as it should have been.

        A customer whose work fails is left behind; the first failure is raised when all others are done.
        """
        actions: Counter[str] = Counter()
        failures: dict[UUID, BaseException] = {}
        while True:
            found = self._due.due(organization_id, until, CHUNK + len(failures))
            customers = sorted({customer_id for _, customer_id in found} - failures.keys())
            if not customers:
                break
            failures |= await self._ask(organization_id, customers, until, None, actions)
        for failure in failures.values():
            raise failure
        return actions

    async def catch_up_customer(self, organization_id: UUID, customer_id: UUID) -> None:
        """Do what one customer should have seen done by now, where time is real.

        For requests that end or change what is billed: after downtime they may come before their turn.
        """
        state = self._organizations.get(organization_id)
        if state is None or state.clock is not None:
            return
        now = self._engine.clock.now()
        while (at := self._due.of(organization_id, customer_id)) is not None and at <= now:
            command = AdvanceTime(
                organization_id=organization_id, customer_id=customer_id, until=now
            )
            await self._engine.execute(command, actor=ACTOR)

    async def _ask(
        self,
        organization_id: UUID,
        customers: Sequence[UUID],
        until: datetime,
        tasks: tuple[str, ...] | None,
        actions: Counter[str],
    ) -> dict[UUID, BaseException]:
        """One command per customer; gives the failures."""
        answers = await asyncio.gather(
            *(
                self._engine.execute(
                    AdvanceTime(
                        organization_id=organization_id,
                        customer_id=customer_id,
                        until=until,
                        tasks=tasks,
                    ),
                    actor=ACTOR,
                )
                for customer_id in customers
            ),
            return_exceptions=True,
        )
        failures = {}
        for customer_id, answer in zip(customers, answers, strict=True):
            if isinstance(answer, BaseException):
                failures[customer_id] = answer
                continue
            actions.update(ACTIONS[type(event)] for event in answer if type(event) in ACTIONS)
        return failures

    async def advance(self, organization_id: UUID, to: datetime) -> dict[str, int]:
        """Move a virtual clock to `to` through everything due on the way (test_clocks.md §4)."""
        if to < self._engine.now(organization_id):
            raise ValidationFailed.of("to", "cannot_go_back")
        actions: Counter[str] = Counter()
        now = self._engine.now(organization_id)
        await self._usage_errors.catch_up(organization_id, now, actor=ACTOR)
        for errors in await self._usage_errors.find(organization_id, to):
            actions += await self._advance(organization_id, due_at(errors))
            await self._engine.execute(errors, actor=ACTOR)
        actions += await self._advance(organization_id, to)
        await self._usage_errors.passed(organization_id, to)
        return dict(actions)

    async def _advance(self, organization_id: UUID, to: datetime) -> Counter[str]:
        """Move a virtual clock to `to`; customers do what falls due on the way."""
        actions: Counter[str] = Counter()
        while (first := self._due.first(organization_id)) is not None and first <= to:
            await self._set_clock(organization_id, max(first, self._engine.now(organization_id)))
            actions += await self.catch_up(organization_id, first)
            await self._settle(organization_id)
        await self._set_clock(organization_id, max(to, self._engine.now(organization_id)))
        return actions

    async def _set_clock(self, organization_id: UUID, now: datetime) -> None:
        if self._organizations[organization_id].clock != now:
            await self._engine.execute(
                SetClock(organization_id=organization_id, now=now), actor=ACTOR
            )

    async def run_tasks(self, organization_id: UUID, tasks: Sequence[str]) -> None:
        """Do what is due now, only the named tasks in the given order (test_clocks.md §3)."""
        if any(task not in TASKS for task in tasks):
            raise ValidationFailed.of("tasks", "value_is_invalid")
        now = self._engine.now(organization_id)
        for task in tasks:
            if task == "usage_errors":
                await self._usage_errors.catch_up(organization_id, now, actor=ACTOR)
                continue
            customers = sorted(self._due.customers(organization_id))
            for start in range(0, len(customers), CHUNK):
                chunk = customers[start : start + CHUNK]
                failures = await self._ask(organization_id, chunk, now, (task,), Counter())
                for failure in failures.values():
                    raise failure
            await self._settle(organization_id)
