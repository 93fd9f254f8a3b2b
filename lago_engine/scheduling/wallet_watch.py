"""Looks at wallets soon after usage was committed that may have used them up (coupons_wallets_credit_notes.md §6.3, §7).

Ingestion pays nothing for it: usage moves the head of its customer's stream, and only customers with wallets have their
head compared with the one they had when they were last looked at.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

import structlog

from lago_engine.domain.commands import RefreshWallets
from lago_engine.domain.events import DomainEvent
from lago_engine.errors import LagoError

log = structlog.get_logger(__name__)

ACTOR: Final = "wallets"
EVERY_S: Final = 0.2
LOOKED_AT_ONCE: Final = 20_000
"""Heads compared in one round: some milliseconds. Customers take turns."""
ASKED_AT_ONCE: Final = 200


class Engine(Protocol):
    """What the watch needs of the engine."""

    def head_version(self, customer_id: UUID) -> int:
        """The latest committed version of the customer's stream, usage included."""

    async def execute(self, command: RefreshWallets, *, actor: str) -> Sequence[DomainEvent]: ...


class WalletWatch:
    """Asks customers to look at their wallets; one for a partition."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._organizations: dict[UUID, UUID] = {}
        self._turns: deque[UUID] = deque()
        self._seen: dict[UUID, int] = {}

    def watch(self, organization_id: UUID, customer_id: UUID) -> None:
        """The customer has a wallet."""
        if customer_id not in self._organizations:
            self._organizations[customer_id] = organization_id
            self._turns.append(customer_id)

    async def run(self) -> None:
        """Follow the commits for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self._ask(self._next_changed())

    async def settle(self, organization_id: UUID) -> None:
        """Return when every wallet of the organization was looked at since its last commit."""
        mine = [c for c, owner in self._organizations.items() if owner == organization_id]
        while changed := self._changed(mine):
            if not await self._ask(changed):
                return

    def _next_changed(self) -> list[UUID]:
        turns = self._turns
        looked_at = [turns.popleft() for _ in range(min(LOOKED_AT_ONCE, len(turns)))]
        turns.extend(looked_at)
        return self._changed(looked_at)

    def _changed(self, customers: Iterable[UUID]) -> list[UUID]:
        head, seen = self._engine.head_version, self._seen
        return [each for each in customers if seen.get(each) != head(each)]

    async def _ask(self, customers: Sequence[UUID]) -> bool:
        """Whether all of them could be asked; those that could not are asked again later."""
        done = True
        for start in range(0, len(customers), ASKED_AT_ONCE):
            chunk = customers[start : start + ASKED_AT_ONCE]
            answers = await asyncio.gather(*map(self._refresh, chunk))
            done = done and all(answers)
        return done

    async def _refresh(self, customer_id: UUID) -> bool:
        version = self._engine.head_version(customer_id)
        command = RefreshWallets(
            organization_id=self._organizations[customer_id], customer_id=customer_id
        )
        try:
            await self._engine.execute(command, actor=ACTOR)
        except LagoError as error:  # One customer's failure must not keep the others waiting.
            log.error("wallets_not_refreshed", customer_id=str(customer_id), error=repr(error))
            return False
        self._seen[customer_id] = version
        return True
