"""Cascades, deleted plans and metrics, drafts: the catalog changes, and every customer concerned follows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain.customer.state import Subscription
from lago_engine.scheduling.plan_follower import PlanFollower

REGIONS = [{"key": "region", "values": ["eu", "us"]}]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


async def priced_shop(shop: Shop) -> Shop:
    await shop.metric("calls", filters=REGIONS)
    await shop.plan("basic", 3100, {"calls": "0.02"})
    return await shop.at("2024-01-01")


def charge_id(shop: Shop) -> str:
    return str(shop.engine.organization(shop.id).plans["basic"].charges[0].id)


async def subscriptions(shop: Shop, customer: str) -> list[Subscription]:
    state = await shop.engine.customer(shop.id, customer)
    assert state is not None
    return list(state.subscriptions.values())


async def own_plan(shop: Shop, customer: str) -> Any:
    *_, last = await subscriptions(shop, customer)
    return last.plan_override


def totals(shop: Shop, customer: str) -> list[int]:
    return [invoice["fees_amount_cents"] for invoice in shop.invoices(customer)]


async def test_a_cascade_leaves_negotiated_prices_alone(home: Home) -> None:
    """The example of plans.md §11.3, and the price of the plan."""
    async with sandbox(home) as shop:
        await priced_shop(shop)
        negotiated = [{"id": charge_id(shop), "properties": {"amount": "0.015"}}]
        await shop.subscribe("a", "basic", plan_overrides={"name": "A"})
        await shop.subscribe(
            "b", "basic", plan_overrides={"charges": negotiated, "amount_cents": 1000}
        )
        items = [{"id": charge_id(shop), "properties": {"amount": "0.03"}}]
        await shop.organization(c.UpdatePlan, code="basic", input={"charges": items})
        assert (await own_plan(shop, "a")).charges[0].properties == {"amount": "0.02"}
        items = [{"id": charge_id(shop), "properties": {"amount": "0.02"}}]
        await shop.organization(c.UpdatePlan, code="basic", input={"charges": items})
        items = [{"id": charge_id(shop), "properties": {"amount": "0.03"}}]
        given = {"charges": items, "amount_cents": 6200, "cascade_updates": True}
        await shop.organization(c.UpdatePlan, code="basic", input=given)
        a, b = await own_plan(shop, "a"), await own_plan(shop, "b")
        assert (a.amount_cents, a.charges[0].properties) == (6200, {"amount": "0.03"})
        assert (b.amount_cents, b.charges[0].properties) == (1000, {"amount": "0.015"})
        for customer in ("a", "b"):
            for _ in range(200):
                await shop.use(customer, "calls")
        await shop.advance_to("2024-02-01")
        assert (totals(shop, "a"), totals(shop, "b")) == ([6800], [1300])
    home.assert_sound()


async def test_a_charge_comes_and_goes_with_its_parent_once(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.subscribe("a", "basic", plan_overrides={"name": "A"})
        metric = shop.engine.organization(shop.id).metrics["calls"]
        given = {
            "billable_metric_id": str(metric.id), "code": "more", "charge_model": "standard",
            "properties": {"amount": "1"}, "cascade_updates": True,
        }  # fmt: skip
        await shop.organization(c.CreateCharge, plan_code="basic", input=given)
        parent = shop.engine.organization(shop.id).plans["basic"]
        child = await own_plan(shop, "a")
        assert [charge.parent_id for charge in child.charges] == [x.id for x in parent.charges]
        again = c.FollowPlan
        await shop.order(again, "a", plan_id=parent.id, version=parent.version, cascade=True)
        assert await own_plan(shop, "a") == child
        await shop.use("a", "calls")
        assert (await shop.usage("a"))["amount_cents"] == 102
        given = {"cascade_updates": True}
        await shop.organization(c.DeleteCharge, plan_code="basic", code="more", input=given)
        assert [charge.code for charge in (await own_plan(shop, "a")).charges] == ["calls"]
        await shop.organization(c.DeleteBillableMetric, code="calls")
        assert (await own_plan(shop, "a")).charges == ()
    home.assert_sound()


async def test_a_changed_metric_trims_the_filters_of_child_plans(home: Home) -> None:
    async with sandbox(home) as shop:
        await priced_shop(shop)
        filters = [{"values": {"region": ["eu", "us"]}, "properties": {"amount": "1"}}]
        overrides = {"charges": [{"id": charge_id(shop), "filters": filters}]}
        await shop.subscribe("a", "basic", plan_overrides=overrides)
        left = [{"key": "region", "values": ["us"]}]
        await shop.organization(c.UpdateBillableMetric, code="calls", input={"filters": left})
        (filter_,) = (await own_plan(shop, "a")).charges[0].filters
        assert filter_.values == {"region": ("us",)}
        await shop.use("a", "calls", region="eu")
        assert (await shop.usage("a"))["amount_cents"] == 2
    home.assert_sound()


async def test_drafts_show_the_prices_of_now(home: Home) -> None:
    async with sandbox(home, invoice_grace_period=3) as shop:
        await priced_shop(shop)
        await shop.subscribe("a", "basic")
        await shop.use("a", "calls")
        await shop.advance_to("2024-02-01")
        (draft,) = shop.invoices("a")
        assert (draft["status"], draft["fees_amount_cents"]) == ("draft", 3102)
        items = [{"id": charge_id(shop), "properties": {"amount": "5"}}]
        await shop.organization(c.UpdatePlan, code="basic", input={"charges": items})
        assert totals(shop, "a") == [3600]
        await shop.advance_to("2024-02-05")
        assert totals(shop, "a") == [3600]
    home.assert_sound()


async def test_deleting_a_plan_ends_its_subscriptions_first(home: Home) -> None:
    async with sandbox(home, invoice_grace_period=3) as shop:
        await priced_shop(shop)
        await shop.plan("other", 500)
        await shop.subscribe("list", "basic")
        await shop.subscribe("own", "basic", plan_overrides={"amount_cents": 100})
        await shop.subscribe("later", "basic", subscription_at="2024-05-01")
        await shop.subscribe("stays", "other")
        await shop.use("list", "calls")
        await shop.at("2024-01-10T12:00:00Z")
        await shop.organization(c.DeletePlan, code="basic")
        states = {
            customer: [s.status for s in await subscriptions(shop, customer)]
            for customer in ("list", "own", "later", "stays")
        }
        assert states == {
            "list": ["terminated"], "own": ["terminated"], "later": ["canceled"],
            "stays": ["active"],
        }  # fmt: skip
        assert list(shop.engine.organization(shop.id).plans) == ["other"]
        assert [plan["code"] for plan in shop.documents("plan")] == ["other"]
        assert [each["status"] for each in shop.invoices("list")] == ["finalized"]
        assert totals(shop, "list") == [1002]
        await shop.plan("basic", 1)
        shown = shop.documents("deleted_plan")
        assert [(plan["code"], plan["pending_deletion"]) for plan in shown] == [("basic", True)]
    home.assert_sound()


async def test_a_deletion_goes_on_after_a_restart(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(instant("2024-01-01"))
    async with running(home, clock) as opened:
        shop = await priced_shop(await Shop(opened, clock=clock).found())
        await shop.subscribe("a", "basic")
        clock.move_to(clock.now() + timedelta(days=3))
        with monkeypatch.context() as patched:
            # The process dies between the request and what it sets off.
            patched.setattr(PlanFollower, "accept", lambda self, change: self._queue.append(change))
            await shop.organization(c.DeletePlan, code="basic")
        assert shop.engine.organization(shop.id).plans["basic"].pending_deletion
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await shop.engine.settle(shop.id)
        assert shop.engine.organization(shop.id).plans == {}
        assert [s.status for s in await subscriptions(shop, "a")] == ["terminated"]
    home.assert_sound()


async def test_a_scheduled_downgrade_that_is_none_any_more(home: Home) -> None:
    """Canceled when its old plan got cheaper; an upgrade at once when its new plan got dearer."""
    async with sandbox(home) as shop:
        await priced_shop(shop)
        await shop.plan("small", 1000)
        for customer in ("a", "b"):
            await shop.subscribe(customer, "basic")
        await shop.subscribe("a", "small")
        assert [s.status for s in await subscriptions(shop, "a")] == ["active", "pending"]
        await shop.organization(c.UpdatePlan, code="basic", input={"amount_cents": 900})
        assert [s.status for s in await subscriptions(shop, "a")] == ["active", "canceled"]
        assert not (await subscriptions(shop, "a"))[0].replaced_by
        await shop.organization(c.UpdatePlan, code="basic", input={"amount_cents": 3100})
        await shop.subscribe("b", "small")
        await shop.at("2024-01-11")
        await shop.organization(c.UpdatePlan, code="small", input={"amount_cents": 5000})
        old, canceled, new = await subscriptions(shop, "b")
        assert (old.status, canceled.status, new.status) == ("terminated", "canceled", "active")
        assert (new.plan_code, new.external_id) == ("small", "b")
    home.assert_sound()
