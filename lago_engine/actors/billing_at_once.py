"""Mails customers whose usage is to be billed when it arrives, until all of it is (charges.md §9).

The meter keeps such usage from its commit until the commit of its fee, so nothing is lost when a decision or a commit
fails, or when the process ends in between: what still waits is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from lago_engine.actors.directory import Directory, Entry
from lago_engine.actors.mailbox import Mailbox, Waiting
from lago_engine.domain.commands import BillUsageInAdvance
from lago_engine.domain.events import DomainEvent
from lago_engine.metering import Meter

log = structlog.get_logger(__name__)

ACTOR: Final = "usage"
SUBSCRIPTIONS_AT_ONCE: Final = 200
RETRY_S: Final = 1.0


class BillingAtOnce:
    """At most one command per customer is under way."""

    def __init__(
        self, meter: Meter, directory: Directory, mailbox: Mailbox, wake: Callable[[], None]
    ) -> None:
        self._meter = meter
        self._directory = directory
        self._mailbox = mailbox
        self._wake = wake
        self._under_way: dict[UUID, tuple[UUID, asyncio.Future[Sequence[DomainEvent]]]] = {}
        self._resting: set[UUID] = set()
        self._stopped = False

    def mail(self) -> None:
        """Ask the customers with waiting usage to bill it; after each commit, and at the start."""
        if self._stopped:
            return
        subscriptions: dict[UUID, list[Entry]] = {}
        for subscription_id in self._meter.pending_subscriptions(SUBSCRIPTIONS_AT_ONCE):
            entry = self._directory.entry(subscription_id)
            subscriptions.setdefault(entry.customer_id, []).append(entry)
        for customer_id in subscriptions.keys() - self._under_way.keys() - self._resting:
            self._ask(customer_id, subscriptions[customer_id])

    def _ask(self, customer_id: UUID, entries: Sequence[Entry]) -> None:
        organization_id = entries[0].organization_id
        answer: asyncio.Future[Sequence[DomainEvent]]
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(partial(self._answered, customer_id))
        self._under_way[customer_id] = organization_id, answer
        command = BillUsageInAdvance(
            organization_id=organization_id,
            customer_id=customer_id,
            subscription_ids=tuple(entry.id for entry in entries),
        )
        self._mailbox.put_first(Waiting(command, ACTOR, "", answer, self._meter.open_batch))
        self._wake()

    def _answered(self, customer_id: UUID, answer: asyncio.Future[Sequence[DomainEvent]]) -> None:
        del self._under_way[customer_id]
        error = answer.exception()
        if error is None:
            self.mail()
        elif not self._stopped:
            log.error("billing_at_once_failed", customer_id=str(customer_id), error=repr(error))
            self._resting.add(customer_id)
            asyncio.get_running_loop().call_later(RETRY_S, self._rested, customer_id)

    def _rested(self, customer_id: UUID) -> None:
        self._resting.discard(customer_id)
        self.mail()

    async def settle(self, organization_id: UUID) -> None:
        """Return when no command for the organization is under way; one that failed is not waited for."""
        while True:
            answers = [
                answer for owner, answer in self._under_way.values() if owner == organization_id
            ]
            if not answers:
                return
            await asyncio.wait(answers)

    async def settle_customer(self, customer_id: UUID) -> None:
        """Return when the command under way for the customer, if there is one, has its answer."""
        known = self._under_way.get(customer_id)
        if known is not None:
            await asyncio.wait([known[1]])

    def stop(self) -> None:
        """The engine ends: what waits is billed after the next start."""
        self._stopped = True
