"""Subscriptions with prices of their own: what they are billed, and that the log proves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.errors import NotFound, ValidationFailed

REGIONS = [{"key": "region", "values": ["eu", "us"]}]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


async def priced_shop(shop: Shop) -> Shop:
    await shop.metric("calls", filters=REGIONS)
    await shop.plan("basic", 3100, {"calls": "0.02"})
    return shop


def charge_id(shop: Shop) -> str:
    return str(shop.engine.organization(shop.id).plans["basic"].charges[0].id)


async def subscription(shop: Shop, customer: str) -> Subscription:
    state = await shop.engine.customer(shop.id, customer)
    assert state is not None
    (found,) = [each for each in state.subscriptions.values() if each.status == "active"]
    return found


def totals(shop: Shop, customer: str) -> list[int]:
    return [invoice["fees_amount_cents"] for invoice in shop.invoices(customer)]


async def test_a_child_plan_prices_its_subscription_and_nobody_elses(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        overrides = {
            "amount_cents": 1000,
            "charges": [{"id": charge_id(shop), "properties": {"amount": "0.5"}}],
        }
        await shop.at("2024-01-01")
        await shop.subscribe("own", "basic", plan_overrides=overrides)
        await shop.subscribe("list", "basic")
        for customer in ("own", "list"):
            for _ in range(10):
                await shop.use(customer, "calls")
        usage = await shop.usage("own")
        assert usage["amount_cents"] == 500
        await shop.advance_to("2024-02-01")
        assert totals(shop, "own") == [1500]
        assert totals(shop, "list") == [3120]
        (document,) = shop.documents("plan_override")
        parent = shop.documents("plan")[0]
        assert (document["code"], document["parent_id"]) == ("basic", parent["lago_id"])
        assert document["charges"][0]["lago_parent_id"] == charge_id(shop)
        assert parent["charges"][0]["properties"] == {"amount": "0.02"}
    home.assert_sound()


async def test_a_change_of_the_parent_leaves_a_child_alone(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.at("2024-01-01")
        await shop.subscribe("own", "basic", plan_overrides={"name": "Mine"})
        await shop.use("own", "calls")
        changes = {"amount_cents": 6200, "charges": []}
        await shop.organization(c.UpdatePlan, code="basic", input=changes)
        await shop.advance_to("2024-02-01")
        assert totals(shop, "own") == [3102]
    home.assert_sound()


async def test_prices_change_in_the_middle_of_a_period(home: Home) -> None:
    """The first change makes the child plan; usage counted before is priced by it, too."""
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.at("2024-01-01")
        await shop.subscribe("own", "basic")
        await shop.use("own", "calls", region="eu")
        await shop.at("2024-01-10")
        sub = await subscription(shop, "own")
        at: dict[str, Any] = {"subscription_id": sub.id, "code": "calls"}
        await shop.order(c.OverrideCharge, "own", **at, input={"properties": {"amount": "1"}})
        await shop.use("own", "calls", region="eu")
        given = {"values": {"region": ["eu"]}, "properties": {"amount": "7"}}
        await shop.order(c.CreateFilterOverride, "own", **at, input=given)
        await shop.use("own", "calls", region="us")
        with pytest.raises(ValidationFailed) as refused:
            await shop.order(c.CreateFilterOverride, "own", **at, input=given)
        assert refused.value.details == {"values": ["value_already_exists"]}
        assert (await shop.usage("own"))["amount_cents"] == 1500
        await shop.advance_to("2024-02-01")
        assert totals(shop, "own") == [3100 + 1400 + 100]
        sub = await subscription(shop, "own")
        assert sub.plan_override
        assert sub.plan_override.version == 2
        filter_ = sub.plan_override.charges[0].filters[0]
        await shop.order(c.DeleteFilterOverride, "own", **at, filter_id=filter_.id)
        with pytest.raises(NotFound) as missing:
            await shop.order(c.DeleteFilterOverride, "own", **at, filter_id=filter_.id)
        assert missing.value.code == "charge_filter_not_found"
    home.assert_sound()


async def test_a_repeated_creation_changes_nothing_and_the_list_price_is_a_change(
    home: Home,
) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.at("2024-01-01")
        overrides = {"amount_cents": 100}
        await shop.subscribe("own", "basic", plan_overrides=overrides)
        first = await subscription(shop, "own")
        await shop.subscribe("own", "basic", plan_overrides=overrides)
        assert await subscription(shop, "own") == first
        await shop.at("2024-01-11")
        await shop.subscribe("own", "basic")
        back = await subscription(shop, "own")
        assert back.id != first.id
        assert plan_of(back, shop.engine.organization(shop.id)).amount_cents == 3100
    home.assert_sound()


async def test_an_update_makes_a_child_and_then_changes_it(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.at("2024-01-01")
        await shop.subscribe("own", "basic")
        sub = await subscription(shop, "own")

        async def update(**overrides: Any) -> Any:
            given = {"plan_overrides": overrides}
            await shop.order(c.UpdateSubscription, "own", subscription_id=sub.id, input=given)
            return (await subscription(shop, "own")).plan_override

        child = await update(amount_cents=500, amount_currency="EUR")
        assert (child.version, child.amount_cents, child.parent_id) == (1, 500, sub.plan_id)
        own_charge = {"id": str(child.charges[0].id), "properties": {"amount": "9"}}
        changed = await update(charges=[own_charge], amount_currency="USD")
        assert (changed.id, changed.version, changed.amount_cents) == (child.id, 2, 500)
        assert changed.amount_currency == "EUR"
        assert changed.charges[0].properties == {"amount": "9"}
        kept = await update(charges=[{"id": "unknown"}])
        assert kept.charges == changed.charges
    home.assert_sound()


async def test_own_prices_survive_a_restart(home: Home) -> None:
    clock = ManualClock(instant("2024-01-01"))
    async with running(home, clock) as opened:
        shop = await priced_shop(await Shop(opened, clock=clock).found())
        given = [{"id": charge_id(shop), "properties": {"amount": "2"}}]
        await shop.subscribe("own", "basic", plan_overrides={"charges": given})
        await shop.use("own", "calls")
    home.snapshot.unlink(missing_ok=True)
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await shop.use("own", "calls", id="after")
        assert (await shop.usage("own"))["amount_cents"] == 400
        await shop.advance_to("2024-02-01")
        assert totals(shop, "own") == [3500]
    home.assert_sound()


async def test_wrong_overrides_are_refused_whole(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        for overrides, details in (
            ({"amount_cents": -1}, {"amount_cents": ["value_is_out_of_range"]}),
            ({"charges": {}}, {"charges": ["value_is_invalid"]}),
            (
                {"charges": [{"id": charge_id(shop), "properties": {"amount": 1}}]},
                {"properties": ["invalid_amount"]},
            ),
            (
                {"usage_thresholds": [{"amount_cents": 1}]},
                {"usage_thresholds": ["not_supported_yet"]},
            ),
        ):
            with pytest.raises(ValidationFailed) as refused:
                await shop.subscribe("own", "basic", plan_overrides=overrides)
            assert refused.value.details == details
        given = {"fixed_charges": [{"id": "x", "units": 1}]}
        with pytest.raises(NotFound) as missing:
            await shop.subscribe("own", "basic", plan_overrides=given)
        assert missing.value.code == "fixed_charge_not_found"
        assert await shop.engine.customer(shop.id, "own") is None
