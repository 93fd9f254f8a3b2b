"""Clients of a server that is killed under them, and their memory of what they were promised."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
from crash.server import Client, Lost

START = "2024-01-01T00:00:00Z"
PLANS = {"calendar": "weekly-arrears", "anniversary": "weekly-advance"}
CODES = ("calls", "gb")
BATCH_MAX = 100
CUSTOMERS_MAX = 12
DAYS_PER_STEP = (1, 2, 4)


class Event(NamedTuple):
    id: str
    subscription: str
    code: str
    quantity: int


Batch = tuple[Event, ...]


class Clients:
    """Everybody who uses one test organization. Every promise of the server is remembered."""

    def __init__(self, http: aiohttp.ClientSession, chance: random.Random) -> None:
        self.call = Client(http)
        self.organization_id = UUID(int=0)
        self.promised: Counter[tuple[str, str]] = Counter()
        """Units by (subscription, metric code)."""
        self.events = 0
        self.unanswered: list[Batch] = []
        self.subscriptions: list[str] = []
        self.advances = 0
        self._accepted: list[Batch] = []
        self._repeated: set[Batch] = set()
        self._unsure: str | None = None
        self._chance = chance
        self._ids = itertools.count()

    async def set_up(self) -> None:
        """A test organization with plans and a provider that always pays."""
        made = await self.call.ok(
            "POST",
            "/test_clock/organizations",
            {"organization": {"name": "Acme", "default_currency": "EUR"}},
        )
        self.call.key = made["api_key"]
        self.organization_id = UUID(made["organization"]["lago_id"])
        await self.call.ok("PUT", "/test_clock", {"test_clock": {"now": START, "rewind": True}})
        provider = {"code": "sim", "type": "stripe", "outcome": "succeeded"}
        await self.call.ok("POST", "/test_clock/payment_providers", {"payment_provider": provider})
        charges = [await self._charge("calls", None), await self._charge("gb", "n")]
        for billing_time, code in PLANS.items():
            plan = {
                "code": code,
                "name": code,
                "interval": "weekly",
                "amount_cents": 700,
                "amount_currency": "EUR",
                "pay_in_advance": billing_time == "anniversary",
                "charges": charges,
            }
            await self.call.ok("POST", "/plans", {"plan": plan})
        for _ in range(4):
            await self._add_customer()

    async def _charge(self, code: str, field: str | None) -> dict[str, Any]:
        kind = {"aggregation_type": "sum_agg" if field else "count_agg", "field_name": field}
        metric = {"billable_metric": {"code": code, "name": code, **kind}}
        made = await self.call.ok("POST", "/billable_metrics", metric)
        return {
            "billable_metric_id": made["billable_metric"]["lago_id"],
            "charge_model": "standard",
            "properties": {"amount": "0.01"},
        }

    # --- load ----------------------------------------------------------------------------------

    async def work(self) -> None:
        """Load from several clients at once, until the server is gone."""
        workers = [self._send(1), self._send(1), *(self._send(BATCH_MAX) for _ in range(4))]
        await asyncio.gather(*workers, self._repeat(), self._order())

    async def _send(self, size_max: int) -> None:
        while True:
            size = self._chance.randint(1, size_max)
            batch = tuple(self._event() for _ in range(size))
            self.unanswered.append(batch)
            try:
                status, answer = await self._post(batch)
            except Lost:
                return
            if status == 422 and batch in self._repeated:
                continue  # The repetition came first, and is told that it was accepted.
            assert status == 200, answer
            self._granted(batch)

    def _event(self) -> Event:
        code = self._chance.choice(CODES)
        quantity = 1 if code == "calls" else self._chance.randint(1, 9)
        name = self._chance.choice(self.subscriptions)
        return Event(f"e{next(self._ids)}", name, code, quantity)

    async def _post(self, batch: Batch) -> tuple[int, Any]:
        events = [
            {
                "transaction_id": event.id,
                "external_subscription_id": event.subscription,
                "code": event.code,
                "properties": {"n": event.quantity},
            }
            for event in batch
        ]
        if len(events) == 1:
            return await self.call("POST", "/events", {"event": events[0]})
        return await self.call("POST", "/events/batch", {"events": events})

    def _granted(self, batch: Batch) -> None:
        """The server said 200, which it may do once."""
        self.unanswered.remove(batch)
        self._accepted.append(batch)
        self.events += len(batch)
        for event in batch:
            self.promised[event.subscription, event.code] += event.quantity

    async def _repeat(self) -> None:
        """A client that sends again what was accepted long ago, or this very moment."""
        while True:
            await asyncio.sleep(0.02)
            known = [*self._accepted, *self.unanswered]
            if not known:
                continue
            batch = self._chance.choice(known[-20:])
            was_accepted = batch in self._accepted
            self._repeated.add(batch)
            try:
                status, _ = await self._post(batch)
            except Lost:
                return
            if was_accepted:
                assert status == 422
            elif status == 200:
                self._granted(batch)

    async def _order(self) -> None:
        """New customers and the passing of time."""
        while True:
            try:
                if len(self.subscriptions) < CUSTOMERS_MAX and self._chance.random() < 0.25:
                    await self._add_customer()
                else:
                    await self.advance(self._chance.choice(DAYS_PER_STEP))
            except Lost:
                return

    async def _add_customer(self) -> None:
        """A customer with one subscription; one that nobody answered is asked for again."""
        name = self._unsure = self._unsure or f"c{len(self.subscriptions)}"
        billing = {
            "payment_provider": "stripe",
            "payment_provider_code": "sim",
            "sync_with_provider": True,
        }
        customer = {"external_id": name, "billing_configuration": billing}
        await self.call.ok("POST", "/customers", {"customer": customer})
        billing_time = "anniversary" if len(self.subscriptions) % 2 else "calendar"
        subscription = {
            "external_customer_id": name,
            "external_id": name,
            "plan_code": PLANS[billing_time],
            "billing_time": billing_time,
        }
        await self.call.ok("POST", "/subscriptions", {"subscription": subscription})
        self._unsure = None
        self.subscriptions.append(name)

    async def advance(self, days: int) -> None:
        """Move the clock; 0 days: finish what an earlier move had begun."""
        now = datetime.fromisoformat(
            (await self.call.ok("GET", "/test_clock"))["test_clock"]["now"]
        )
        to = now + timedelta(days=days)
        await self.call.ok("POST", "/test_clock/advance", {"test_clock": {"to": to.isoformat()}})
        self.advances += 1

    # --- after a restart -----------------------------------------------------------------------

    async def resolve(self) -> None:
        """Send again what was not answered: a duplicate if and only if it is in, and whole or not at all."""
        for batch in list(self.unanswered):
            stored = {await self._is_stored(event) for event in (batch[0], batch[-1])}
            assert len(stored) == 1, "a batch is in by half"
            status, answer = await self._post(batch)
            assert status == (422 if stored == {True} else 200), answer
            self._granted(batch)
        if self._unsure is not None:
            await self._add_customer()

    async def _is_stored(self, event: Event) -> bool:
        status, _ = await self.call("GET", f"/events/{event.id}")
        return status == 200

    async def counted(self) -> Counter[tuple[str, str]]:
        """Units by (subscription, metric code) as billed so far and running."""
        units: Counter[tuple[str, str]] = Counter()
        for fee in await self.call.everything("/fees", "fees", fee_type="charge"):
            assert fee["amount_cents"] == Decimal(fee["units"])
            units[fee["external_subscription_id"], fee["item"]["code"]] += int(
                Decimal(fee["units"])
            )
        for name in self.subscriptions:
            path = f"/customers/{name}/current_usage"
            shown = await self.call.ok("GET", path, external_subscription_id=name)
            for usage in shown["customer_usage"]["charges_usage"]:
                code = usage["billable_metric"]["code"]
                units[name, code] += int(Decimal(usage["units"]))
        return +units
