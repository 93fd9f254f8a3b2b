"""A thousand customers with a hundred usage events each, a month closed: every invoice is recomputed by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from engine_kit import Home, Shop, instant, sandbox
from scenarios import oracle
from scenarios.oracle import Contract, Used

CUSTOMERS = 1_000
EVENTS_BEFORE, EVENTS_AFTER = 70, 30
MID_CLOSING = instant("2024-01-31T12:00:00Z")
REOPENED = instant("2024-02-03T00:00:00Z")
END = instant("2024-03-02T12:00:00Z")
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")
PRICES = {"calls": "0.0173", "gb": "1.005"}
TAX_RATE = "19.6"
IN_FLIGHT = 8


class Account:
    """A customer's contract and usage, made up by a seeded generator."""

    def __init__(self, number: int) -> None:
        chance = random.Random(number)
        self.name = f"c{number:04d}"
        self.contract = Contract(
            start=instant("2024-01-01T06:00:00Z") + timedelta(minutes=chance.randrange(27 * 1440)),
            zone=ZONES[number % 4],
            interval="monthly",
            anniversary=bool(number // 4 % 2),
            in_advance=bool(number // 8 % 2),
            amount_cents=4_900,
            prices=PRICES,
            tax_rate=TAX_RATE,
        )
        self.usage = [
            *self._events(chance, EVENTS_BEFORE, self.contract.start, MID_CLOSING),
            *self._events(chance, EVENTS_AFTER, REOPENED, REOPENED + timedelta(days=20)),
        ]

    def _events(
        self, chance: random.Random, count: int, start: datetime, end: datetime
    ) -> list[Used]:
        milliseconds = (end - start) // timedelta(milliseconds=1)
        found = []
        for _ in range(count):
            at = start + timedelta(milliseconds=chance.randrange(milliseconds))
            quantity = f"{chance.randrange(10_000)}.{chance.randrange(1_000):03d}"
            code = chance.choice(("calls", "gb"))
            found.append(Used(at, code, "1" if code == "calls" else quantity, start))
        return found

    @property
    def plan(self) -> str:
        return "prepaid" if self.contract.in_advance else "postpaid"


async def test_every_invoice_of_a_closed_month(tmp_path: Path) -> None:
    accounts = [Account(number) for number in range(CUSTOMERS)]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await set_up(shop, accounts)
        await shop.at(MID_CLOSING)
        await send(shop, accounts, 0, EVENTS_BEFORE)
        await shop.advance_to(REOPENED)
        await send(shop, accounts, EVENTS_BEFORE, EVENTS_BEFORE + EVENTS_AFTER)
        await shop.advance_to(END)
        made = shop.invoices()
    assert len({invoice["number"] for invoice in made}) == len(made) > 2 * CUSTOMERS
    by_customer: dict[str, list[dict[str, object]]] = {account.name: [] for account in accounts}
    for invoice in made:
        by_customer[invoice["customer"]["external_id"]].append(oracle.described(invoice))
    for account in accounts:
        expected = list(oracle.invoices(account.contract, account.usage, END))
        assert by_customer[account.name] == expected, account.name
    report = home.assert_sound()
    assert report.usage_events == CUSTOMERS * (EVENTS_BEFORE + EVENTS_AFTER)
    assert report.invoices == len(made)


async def set_up(shop: Shop, accounts: Sequence[Account]) -> None:
    await shop.at("2024-01-01T00:00:00Z")
    await shop.tax("vat", TAX_RATE, applied_to_organization=True)
    await shop.metric("calls")
    await shop.metric("gb", "amount")
    await shop.plan("prepaid", 4_900, PRICES, pay_in_advance=True)
    await shop.plan("postpaid", 4_900, PRICES)
    for account in accounts:
        terms = account.contract
        billing_time = "anniversary" if terms.anniversary else "calendar"
        await shop.at(terms.start)
        await shop.customer(account.name, timezone=terms.zone)
        await shop.subscribe(account.name, account.plan, billing_time=billing_time)


async def send(shop: Shop, accounts: Sequence[Account], first: int, last: int) -> None:
    """Each batch mixes customers; one in fifty is sent twice, and the second time nothing may count."""
    events = [
        shop.event(
            account.name, used.code, at=used.at, id=f"{account.name}-{n}", amount=used.quantity
        )
        for n in range(first, last)
        for account in accounts
        for used in (account.usage[n],)
    ]
    random.Random(first).shuffle(events)
    batches = [events[start : start + 100] for start in range(0, len(events), 100)]
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def send_one(number: int) -> None:
        async with slots:
            status, answer = await shop.ingest(batches[number])
            assert status == 200, answer
            if number % 50 == 0:
                status, _ = await shop.ingest(batches[number])
                assert status == 422

    await asyncio.gather(*(send_one(number) for number in range(len(batches))))
