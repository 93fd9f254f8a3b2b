"""One customer whose due work fails does not keep the others from being billed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from engine_kit import instant

from lago_engine.clock import Clock, ManualClock
from lago_engine.domain.commands import AdvanceTime, ReportUsageErrors, SetClock
from lago_engine.domain.events import DomainEvent
from lago_engine.errors import UnavailableError
from lago_engine.scheduling.due_index import DueIndex
from lago_engine.scheduling.scheduler import CHUNK, Scheduler

ORGANIZATION = UUID(int=1)
NOW = instant("2024-02-01")
CUSTOMERS = [UUID(int=100 + n) for n in range(2 * CHUNK + 50)]


class Ledger:
    """Does what is due for a customer, who is then due tomorrow; fails for the broken ones."""

    def __init__(self, due: DueIndex, broken: Sequence[UUID]) -> None:
        self.clock: Clock = ManualClock(NOW)
        self.done: list[UUID] = []
        self._due = due
        self._broken = broken

    def now(self, organization_id: UUID) -> datetime:
        return NOW

    async def execute(
        self, command: AdvanceTime | SetClock, *, actor: str
    ) -> Sequence[DomainEvent]:
        assert isinstance(command, AdvanceTime)
        if command.customer_id in self._broken:
            raise UnavailableError("broken")
        self.done.append(command.customer_id)
        self._due.put(ORGANIZATION, command.customer_id, NOW + timedelta(days=1))
        return []


class NoUsage:
    """No organization has usage."""

    async def find(self, organization_id: UUID, until: datetime) -> Sequence[ReportUsageErrors]:
        return []

    async def catch_up(self, organization_id: UUID, until: datetime, *, actor: str) -> None:
        """There is nothing to report."""

    async def passed(self, organization_id: UUID, until: datetime) -> None:
        """There is nothing to remember."""


async def settle(organization_id: UUID) -> None:
    """Nothing is set off."""


@pytest.mark.parametrize("broken", [1, CHUNK, CHUNK + 7])
async def test_the_clock_goes_on_for_everybody_else(broken: int) -> None:
    # The broken ones are due first, so that they fill whole chunks.
    due = DueIndex()
    for n, customer in enumerate(CUSTOMERS):
        due.put(ORGANIZATION, customer, NOW - timedelta(hours=1000 - n))
    ledger = Ledger(due, CUSTOMERS[:broken])
    scheduler = Scheduler(ledger, due, {}, settle, usage_errors=NoUsage())
    with pytest.raises(UnavailableError, match="broken"):
        await scheduler.catch_up(ORGANIZATION, NOW)
    assert sorted(ledger.done) == CUSTOMERS[broken:]
    assert len(due.due(ORGANIZATION, NOW, 1_000)) == broken
