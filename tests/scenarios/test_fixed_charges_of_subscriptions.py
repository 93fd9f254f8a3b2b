"""Units of fixed charges that a subscription has for itself, and how changes of a plan reach every subscription."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from engine_kit import ACTOR, Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain import ids
from lago_engine.domain.customer.state import Subscription
from lago_engine.errors import NotFound, ValidationFailed

AT_ONCE = {"apply_units_immediately": True}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


async def sold(shop: Shop, **fields: Any) -> Shop:
    """A plan that sells 10 seats at 10.00 in advance and 1 desk at 5.00 in arrears."""
    for code in ("seats", "desks"):
        given = {"code": code, "name": code, "amount_cents": 1000, "amount_currency": "EUR"}
        await shop.organization(c.CreateAddOn, input=given)
    sold = {"charge_model": "standard", **fields}
    seats = {"add_on_code": "seats", "units": 10, "properties": {"amount": "10"}}
    desks = {"add_on_code": "desks", "units": 1, "properties": {"amount": "5"}}
    await shop.plan(
        "team", 0, fixed_charges=[sold | seats | {"pay_in_advance": True}, sold | desks]
    )
    return await shop.at("2024-06-01")


def fixed_charge_id(shop: Shop, code: str = "seats") -> str:
    charges = shop.engine.organization(shop.id).plans["team"].fixed_charges
    return next(str(each.id) for each in charges if each.code == code)


def fees(shop: Shop, customer: str = "acme") -> list[tuple[str, str, str, int]]:
    """(day billed, add-on, units, amount)."""
    return [
        (invoice["created_at"][5:10], fee["item"]["code"], fee["units"], fee["amount_cents"])
        for invoice in shop.invoices(customer)
        for fee in invoice["fees"]
        if fee["item"]["type"] == "fixed_charge"
    ]


async def subscription(shop: Shop, customer: str = "acme") -> Subscription:
    state = await shop.engine.customer(shop.id, customer)
    assert state is not None
    return next(each for each in state.subscriptions.values() if each.status == "active")


async def override(shop: Shop, code: str = "seats", customer: str = "acme", **given: Any) -> None:
    own = (await subscription(shop, customer)).id
    await shop.order(c.OverrideFixedCharge, customer, subscription_id=own, code=code, input=given)


async def change(shop: Shop, units: int, code: str = "seats", **fields: Any) -> None:
    given = {"units": units, **fields}
    await shop.organization(c.UpdateFixedCharge, plan_code="team", code=code, input=given)


async def test_own_units_make_no_child_plan_and_stay_when_the_plan_changes(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        await shop.subscribe("acme", "team")
        await shop.subscribe("other", "team")
        await shop.advance_to("2024-06-11")
        await override(shop, units=15, **AT_ONCE)
        assert not (await subscription(shop)).plan_override
        await change(shop, 20, **AT_ONCE)
        await shop.advance_to("2024-07-01")
        assert fees(shop) == [
            ("06-01", "seats", "10.0", 10000),
            ("06-11", "seats", "5.0", 5000),
            ("07-01", "seats", "15.0", 15000),
            ("07-01", "desks", "1.0", 500),
        ]
        assert fees(shop, "other") == [
            ("06-01", "seats", "10.0", 10000),
            ("06-11", "seats", "10.0", 10000),
            ("07-01", "seats", "20.0", 20000),
            ("07-01", "desks", "1.0", 500),
        ]
    home.assert_sound()


async def test_own_units_from_the_start_are_folded_into_a_child_plan(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        own = [{"id": fixed_charge_id(shop), "units": 3}]
        await shop.subscribe("acme", "team", plan_overrides={"fixed_charges": own})
        before = await subscription(shop)
        assert before.units_overrides
        assert not before.plan_override
        await shop.advance_to("2024-06-11")
        await override(shop, code="desks", properties={"amount": "7"}, units=4)
        after = await subscription(shop)
        assert after.plan_override
        assert not after.units_overrides
        await shop.advance_to("2024-06-12")
        await override(shop, units=5, **AT_ONCE)
        await shop.advance_to("2024-08-01")
        assert fees(shop) == [
            ("06-01", "seats", "3.0", 3000),
            ("06-12", "seats", "2.0", 2000),
            ("07-01", "seats", "5.0", 5000),
            # Four desks from July on.
            ("07-01", "desks", "1.0", 700),
            ("08-01", "seats", "5.0", 5000),
            ("08-01", "desks", "4.0", 2800),
        ]
    home.assert_sound()


async def test_an_update_of_the_subscription_sets_units(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        await shop.subscribe("acme", "team")
        own = (await subscription(shop)).id
        await shop.advance_to("2024-06-11")
        key = fixed_charge_id(shop)
        item = {"id": key, "units": "12.5", **AT_ONCE}
        update = {"plan_overrides": {"fixed_charges": [item]}}
        await shop.order(c.UpdateSubscription, "acme", subscription_id=own, input=update)
        assert fees(shop)[1:] == [("06-11", "seats", "2.5", 2500)]
        for wrong, refusal in (
            ({"id": str(own), "units": 1}, NotFound),
            ({"id": key, "units": -1}, ValidationFailed),
            ({"id": key, "units": None}, ValidationFailed),
            ({"id": key, "units": "x", **AT_ONCE}, ValidationFailed),
        ):
            update = {"plan_overrides": {"fixed_charges": [wrong]}}
            with pytest.raises(refusal):
                await shop.order(c.UpdateSubscription, "acme", subscription_id=own, input=update)
        # A child plan, and its units at once.
        item = {"id": key, "units": "20", "invoice_display_name": "Chairs", **AT_ONCE}
        update = {"plan_overrides": {"fixed_charges": [item]}}
        await shop.order(c.UpdateSubscription, "acme", subscription_id=own, input=update)
        assert fees(shop)[2:] == [("06-11", "seats", "7.5", 7500)]
    home.assert_sound()


async def test_a_cascade_carries_units_to_child_plans(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        await shop.subscribe("acme", "team", plan_overrides={"name": "Mine"})
        await shop.subscribe("deaf", "team", plan_overrides={"name": "Mine"})
        await override(shop, customer="deaf", units=11)
        await shop.advance_to("2024-06-11")
        await change(shop, 12, **AT_ONCE)
        assert fees(shop)[1:] == []
        await change(shop, 10, **AT_ONCE)
        await change(shop, 12, **AT_ONCE, cascade_updates=True)
        assert fees(shop)[1:] == [("06-11", "seats", "2.0", 2000)]
        assert fees(shop, "deaf")[1:] == []
    home.assert_sound()


async def test_a_new_fixed_charge_reaches_running_subscriptions(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-16")
        given = {
            "add_on_code": "desks", "code": "more", "charge_model": "standard", "units": 2,
            "properties": {"amount": "30"}, "pay_in_advance": True, "prorated": True,
        }  # fmt: skip
        await shop.organization(c.CreateFixedCharge, plan_code="team", input=given | AT_ONCE)
        assert fees(shop)[1:] == [("06-16", "desks", "2.0", 3000)]
        await shop.organization(c.DeleteFixedCharge, plan_code="team", code="more", input={})
        await shop.advance_to("2024-07-01")
        assert [fee[1:3] for fee in fees(shop)[2:]] == [("seats", "10.0"), ("desks", "1.0")]
    home.assert_sound()


async def test_units_are_part_of_what_is_kept_of_a_customer(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop)
        await shop.subscribe("acme", "team")
        await override(shop, units=13, **AT_ONCE)
        state = await shop.engine.customer(shop.id, "acme")
        assert state is not None
        assert len(state.billed_units[(await subscription(shop)).id]) == 2
        kept = msgspec.msgpack.encode(state)
        assert msgspec.msgpack.decode(kept, type=type(state)) == state


async def test_every_customer_follows_once_also_when_told_again(home: Home) -> None:
    """The engine stops right after the plan has changed; the next start carries it on."""
    clock = ManualClock(instant("2024-06-01"))
    names = [f"c{number}" for number in range(300)]
    async with running(home, clock) as opened:
        shop = await Shop(opened, clock=clock).found()
        await sold(shop)
        for name in names:
            await shop.subscribe(name, "team")
        clock.move_to(instant("2024-06-11"))
        given = {"units": 12, **AT_ONCE}
        await opened.engine.execute(
            c.UpdateFixedCharge(
                organization_id=shop.id, plan_code="team", code="seats", input=given
            ),
            actor=ACTOR,
        )
        await opened.engine.follower.stop()
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await opened.engine.settle(shop.id)
        version = opened.engine.organization(shop.id).plans["team"].version
        key = fixed_charge_id(shop)
        plan_id = opened.engine.organization(shop.id).plans["team"].id
        for name in names[:20]:
            again = c.FollowPlan(
                organization_id=shop.id,
                customer_id=ids.customer_id(shop.id, name),
                plan_id=plan_id,
                version=version,
                cascade=False,
                applied_at_once=(UUID(key),),
            )
            assert await opened.engine.execute(again, actor=ACTOR) == []
        billed = [fees(shop, name)[1:] for name in names]
        assert billed == [[("06-11", "seats", "2.0", 2000)]] * len(names)
    home.assert_sound()
