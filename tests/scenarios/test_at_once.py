"""Commands that arrive together and so are decided in one tick: each sees what the ones before it did."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.bootstrap import CUSTOMERS_RESIDENT_MIN
from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.errors import ValidationFailed


async def priced(shop: Shop) -> Shop:
    await shop.at("2024-06-01T00:00:00Z")
    await shop.metric("calls")
    await shop.metric("gb", "n")
    return await shop.plan("basic", 3000, {"calls": "0.5"})


async def test_a_subscription_is_created_and_terminated(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await priced(shop)
        await shop.customer("acme")
        # Usage came first; it is adopted when the subscription starts.
        await shop.use("acme", "calls", at="2024-06-01T00:00:00Z")
        await shop.at("2024-06-03T12:00:00Z")
        await asyncio.gather(
            shop.subscribe("acme", "basic", subscription_at="2024-06-01T00:00:00Z"),
            shop.order(c.TerminateSubscription, "acme", external_id="acme", input={}),
        )
        (invoice,) = shop.invoices("acme")
        assert [(f["units"], f["amount_cents"]) for f in invoice["fees"]] == [
            ("1.0", 300),
            ("1.0", 50),
        ]
    home.assert_sound()


async def test_a_plan_gets_a_charge_and_its_subscription_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await priced(shop)
        await shop.customer("acme")
        await shop.subscribe("acme", "basic")
        await shop.use("acme", "calls")
        await shop.use("acme", "gb", n="2.5")
        await shop.at("2024-06-10T12:00:00Z")
        state = shop.engine.organization(shop.id)
        charges = [
            {
                "id": str(charge.id),
                "billable_metric_id": str(charge.billable_metric_id),
                "charge_model": "standard",
                "properties": dict(charge.properties),
            }
            for charge in state.plans["basic"].charges
        ]
        gb = {
            "billable_metric_id": str(state.metrics["gb"].id),
            "charge_model": "standard",
            "properties": {"amount": "2"},
        }
        await asyncio.gather(
            shop.organization(c.UpdatePlan, code="basic", input={"charges": [*charges, gb]}),
            shop.order(c.TerminateSubscription, "acme", external_id="acme", input={}),
        )
        (invoice,) = shop.invoices("acme")
        assert [fee["amount_cents"] for fee in invoice["fees"]] == [1000, 50, 500]
    home.assert_sound()


async def test_two_customers_want_the_same_external_id(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await priced(shop)
        answers = await asyncio.gather(
            *(shop.subscribe(name, "basic", "shared") for name in ("a", "b", "c")),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, ValidationFailed)]
        assert [dict(error.details) for error in refused] == [
            {"external_id": ["value_already_exist"]}
        ] * 2
        assert len(shop.documents("subscription")) == 1
    home.assert_sound()


async def test_repeated_creations_make_one_subscription(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await priced(shop)
        await asyncio.gather(*(shop.subscribe("acme", "basic") for _ in range(5)))
        assert len(shop.documents("subscription")) == 1


async def test_more_customers_at_once_than_fit_into_memory(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(CUSTOMERS_RESIDENT_MIN + 200)]
    home, clock = Home(tmp_path), ManualClock(instant("2024-06-01T00:00:00Z"))
    async with running(home, clock, customers_resident_max=1) as opened:
        shop = await Shop(opened).found()
        await priced(shop)
        await asyncio.gather(*(shop.subscribe(name, "basic") for name in names))
        for start in range(0, len(names), 100):
            events = [shop.event(name, "calls") for name in names[start : start + 100]]
            assert (await shop.ingest(events))[0] == 200
        usages = await asyncio.gather(*(shop.usage(name) for name in names))
        assert {usage["amount_cents"] for usage in usages} == {50}
        await shop.advance_to("2024-07-01T00:00:00Z")
        assert [i["total_amount_cents"] for i in shop.invoices()] == [3050] * len(names)
        assert len(opened.engine.partition.residents) == CUSTOMERS_RESIDENT_MIN
    home.assert_sound()


def unstamped(shop: Shop) -> dict[str, Any]:
    """A usage event that gets its timestamp from the server."""
    event = shop.event("acme", "calls")
    del event["timestamp"]
    return event


async def test_usage_that_came_before_the_end_is_billed_by_it(tmp_path: Path) -> None:
    home, clock = Home(tmp_path), ManualClock(instant("2024-06-01T00:00:00Z"))
    async with running(home, clock) as opened:
        shop = await Shop(opened, clock=clock).found()
        await priced(shop)
        await shop.subscribe("acme", "basic")
        # Given usage that is received but not committed yet.
        clock.move_to(instant("2024-06-10T12:00:00Z"))
        ingesting = asyncio.create_task(shop.ingest([unstamped(shop)]))
        await asyncio.sleep(0)
        assert shop.engine.partition.meter.staged_bytes > 0
        # When the subscription ends a moment later.
        clock.move_to(instant("2024-06-10T12:00:00.001Z"))
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        assert (await ingesting)[0] == 200
        (invoice,) = shop.invoices("acme")
        assert [fee["units"] for fee in invoice["fees"]] == ["1.0", "1.0"]
    home.assert_sound()


async def test_usage_that_came_before_a_period_closed_is_billed_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await priced(shop)
        await shop.subscribe("acme", "basic")
        await shop.at("2024-06-30T23:59:59.999Z")
        ingesting = asyncio.create_task(shop.ingest([unstamped(shop)]))
        await asyncio.sleep(0)
        assert shop.engine.partition.meter.staged_bytes > 0
        # When the clock asks for what is due at midnight while the event waits for its commit.
        due = instant("2024-07-01T00:00:00Z")
        await shop.order(c.AdvanceTime, "acme", until=due)
        assert (await ingesting)[0] == 200
        (invoice,) = shop.invoices("acme")
        assert [fee["units"] for fee in invoice["fees"]] == ["1.0", "1.0"]
    home.assert_sound()
