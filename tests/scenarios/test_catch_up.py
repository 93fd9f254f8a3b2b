"""An engine that was closed for weeks bills what it missed as if it had never stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine_kit import Home, Shop, instant, running

from lago_engine.clock import ManualClock
from lago_engine.domain.customer.due import next_due

START = instant("2024-01-05T10:00:00Z")
CLOSED = instant("2024-01-22T00:00:00Z")
DAYS_DOWN = 40
REOPENED = CLOSED + timedelta(days=DAYS_DOWN)
KINDS = ("customer", "subscription", "invoice", "fee", "payment")
ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")


async def set_up(shop: Shop) -> None:
    await shop.found()
    await shop.tax("vat", "20", applied_to_organization=True)
    await shop.metric("calls")
    prices = {"calls": "0.37"}
    await shop.plan("weekly", 700, prices, interval="weekly")
    await shop.plan("monthly", 3100, prices, pay_in_advance=True)
    await shop.plan("tried", 3100, prices, pay_in_advance=True, trial_period=21)
    await shop.plan("yearly", 99900, prices, interval="yearly", bill_charges_monthly=True)
    for n, zone in enumerate(ZONES):
        name, other = f"c{n}", "anniversary" if n % 2 else "calendar"
        grace = {"invoice_grace_period": n}
        await shop.customer(name, timezone=zone, net_payment_term=3, billing_configuration=grace)
        await shop.subscribe(name, "weekly", f"{name}-w", billing_time=other)
        await shop.subscribe(name, "monthly", f"{name}-m", billing_time="anniversary")
        later = "2024-02-03T09:00:00Z"
        await shop.subscribe(name, "weekly", f"{name}-p", subscription_at=later)
        await shop.subscribe(name, "weekly", f"{name}-e", ending_at="2024-02-14T09:00:00Z")
        await shop.subscribe(name, "tried", f"{name}-t", billing_time=other)
        await shop.subscribe(name, "yearly", f"{name}-y", billing_time=other)
        await shop.subscribe(name, "monthly", f"{name}-d")
        await shop.subscribe(name, "weekly", f"{name}-d")
        events = [
            shop.event(
                f"{name}-{kind}", "calls", at=START + timedelta(hours=7 * k), id=f"{kind}{k}"
            )
            for kind in "wmetyd"
            for k in range(30)
        ]
        for lot in range(0, len(events), 100):
            assert (await shop.ingest(events[lot : lot + 100]))[0] == 200


async def live(home: Home, stops: Sequence[datetime]) -> dict[str, list[dict[str, Any]]]:
    """Documents after a life in which the engine ran between START and CLOSED and at each of `stops`."""
    clock = ManualClock(START)
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await set_up(shop)
        await shop.advance_to(CLOSED)
    documents: dict[str, list[dict[str, Any]]] = {}
    for stop in stops:
        clock.move_to(stop)
        async with running(home, clock) as opened:
            shop = Shop(opened, clock=clock)
            await caught_up(shop)
            documents = {kind: shop.documents(kind) for kind in KINDS}
    home.assert_sound()
    return {kind: sorted(found, key=by_id) for kind, found in documents.items()}


async def caught_up(shop: Shop) -> None:
    """Wait until the engine, by itself, has nothing due any more."""
    async with asyncio.timeout(20):
        while any([await is_behind(shop, f"c{n}") for n in range(len(ZONES))]):
            await asyncio.sleep(0.05)


async def is_behind(shop: Shop, customer: str) -> bool:
    state = await shop.engine.customer(shop.id, customer)
    assert state is not None
    due = next_due(state, shop.engine.organization(shop.id))
    return due is not None and due <= shop.now


def by_id(document: dict[str, Any]) -> str:
    return str(document["lago_id"])


async def test_weeks_later_the_same_invoices(tmp_path: Path) -> None:
    days = [CLOSED + timedelta(days=n) for n in range(1, DAYS_DOWN + 1)]
    never_stopped = await live(Home(tmp_path / "a"), days)
    stopped = await live(Home(tmp_path / "b"), [REOPENED])
    assert len(stopped["invoice"]) > 40
    assert {invoice["status"] for invoice in stopped["invoice"]} == {"draft", "finalized"}
    for kind in KINDS:
        assert stopped[kind] == never_stopped[kind], kind
