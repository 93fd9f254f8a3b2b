"""Intervals × billing times × advance or arrears × zones × grace periods, against the slow oracle.

Usage is put where mistakes would show: the last and the first instant around every local midnight, and late.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from engine_kit import Home, Shop, instant, sandbox
from scenarios import oracle
from scenarios.oracle import Contract, Used

START = instant("2024-01-30T20:00:00Z")
"""Already the 31st in Tokyo and Kolkata, the 30th elsewhere: anchors that short months clamp."""

END = instant("2024-04-05T00:00:00Z")
"""After three months; New York moved its clocks on 10 March."""

PRICES = {"calls": "0.105", "gb": "0.333"}
TAX_RATE = "7.7"
A_MOMENT = timedelta(milliseconds=1)


def contracts(zone: str) -> Iterator[Contract]:
    terms = itertools.product(("monthly", "weekly"), (False, True), (False, True), (0, 3))
    for interval, anniversary, in_advance, grace in terms:
        yield Contract(
            start=START,
            zone=zone,
            interval=interval,
            anniversary=anniversary,
            in_advance=in_advance,
            amount_cents=3_001,
            prices=PRICES,
            tax_rate=TAX_RATE,
            grace=grace,
        )


def name(contract: Contract) -> str:
    billing = "anniversary" if contract.anniversary else "calendar"
    payment = "advance" if contract.in_advance else "arrears"
    return f"{contract.interval}-{billing}-{payment}-grace{contract.grace}"


def plan(contract: Contract) -> str:
    return f"{contract.interval}-{'advance' if contract.in_advance else 'arrears'}"


def usage(contract: Contract) -> list[Used]:
    """Two events around each period's end, sent at once, and one of the closed period sent a day later."""
    found = [Used(START, "calls", "1", START), Used(START + A_MOMENT, "gb", "0.5", START)]
    day = oracle.local_day(START, contract.zone) + oracle.DAY
    while oracle.midnight(day, contract.zone) < END:
        if oracle.opens_period(contract, day):
            edge = oracle.midnight(day, contract.zone)
            earlier, later = edge - A_MOMENT * 10, edge + timedelta(days=1)
            found.append(Used(edge - A_MOMENT, "calls", "1", earlier))
            found.append(Used(edge, "calls", "1", earlier))
            found.append(Used(edge - A_MOMENT, "gb", "1.25", earlier))
            found.append(Used(edge - timedelta(hours=7), "gb", "100", later))
        day += oracle.DAY
    return [event for event in found if event.received < END]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata"])
async def test_every_kind_of_period(tmp_path: Path, zone: str) -> None:
    cases = {name(contract): (contract, usage(contract)) for contract in contracts(zone)}
    home = Home(tmp_path)
    async with sandbox(home, timezone=zone) as shop:
        await set_up(shop, cases)
        await live(shop, cases)
        made = {case: shop.invoices(case) for case in cases}
    for case, (contract, events) in cases.items():
        expected = list(oracle.invoices(contract, events, END))
        final = [invoice for invoice in made[case] if invoice["status"] == "finalized"]
        assert len(expected) >= 2, case
        assert [oracle.described(invoice) for invoice in final] == expected, case
        for draft in made[case][len(final) :]:
            assert draft["status"] == "draft", case
            assert oracle.midnight(date.fromisoformat(draft["issuing_date"]), zone) > END, case
    home.assert_sound()


async def set_up(shop: Shop, cases: dict[str, tuple[Contract, list[Used]]]) -> None:
    await shop.at(START)
    await shop.tax("vat", TAX_RATE, applied_to_organization=True)
    await shop.metric("calls")
    await shop.metric("gb", "amount")
    for contract, _ in cases.values():
        if plan(contract) not in shop.engine.organization(shop.id).plans:
            terms = {"interval": contract.interval, "pay_in_advance": contract.in_advance}
            await shop.plan(plan(contract), contract.amount_cents, PRICES, **terms)
    for case, (contract, _) in cases.items():
        grace = {"invoice_grace_period": contract.grace}
        await shop.customer(case, billing_configuration=grace)
        billing_time = "anniversary" if contract.anniversary else "calendar"
        await shop.subscribe(case, plan(contract), billing_time=billing_time)


async def live(shop: Shop, cases: dict[str, tuple[Contract, list[Used]]]) -> None:
    """Time passes up to each instant at which usage arrives."""
    arrivals: dict[datetime, list[tuple[str, Used]]] = {}
    for case, (_, events) in cases.items():
        for event in events:
            arrivals.setdefault(event.received, []).append((case, event))
    for received, arrived in sorted(arrivals.items()):
        await shop.advance_to(received)
        sent = [shop.event(case, e.code, at=e.at, amount=e.quantity) for case, e in arrived]
        for first in range(0, len(sent), 100):
            status, answer = await shop.ingest(sent[first : first + 100])
            assert status == 200, answer
    await shop.advance_to(END)
