"""Changes of plan: who is billed what, when, and what the chain of subscriptions shows (subscriptions.md §3).

Amounts are the worked examples of §3.1, §3.2 and billing_periods.md §8.3: June, plans by the month.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, sandbox

from lago_engine.domain import commands as c

CHANGE = "2024-06-18T09:00:00Z"
PRICES = {"calls": "1"}


async def open_shop(shop: Shop, start: str = "2024-05-01", *, zone: str = "UTC") -> Shop:
    await shop.at(start)
    await shop.organization(c.CreateWebhookEndpoint, input={"webhook_url": "http://127.0.0.1:9/"})
    await shop.metric("calls")
    await shop.plan("small", 3000, PRICES)
    await shop.plan("big", 12000, PRICES)
    await shop.plan("small-advance", 3000, PRICES, pay_in_advance=True)
    await shop.plan("big-advance", 12000, PRICES, pay_in_advance=True)
    await shop.plan("year", 120000, PRICES, interval="yearly", pay_in_advance=True)
    await shop.customer("acme", timezone=zone)
    return shop


def subscriptions(shop: Shop) -> dict[str, dict[str, Any]]:
    """By plan code, the latest of each."""
    return {each["plan_code"]: each for each in shop.documents("subscription")}


def lines(invoice: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(plan, type of fee, amount) of each fee."""
    plans = {p["lago_subscription_id"]: p["lago_plan_id"] for p in invoice["billing_periods"]}
    return [
        (plans[fee["lago_subscription_id"]], fee["item"]["type"], fee["amount_cents"])
        for fee in invoice["fees"]
    ]


def billed(shop: Shop, invoice: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    codes = {str(p.id): p.code for p in shop.engine.organization(shop.id).plans.values()}
    return [(codes[plan], kind, amount) for plan, kind, amount in lines(invoice)]


def webhooks(shop: Shop, after: int = 0) -> list[str]:
    rows = shop.engine.store.outbox.list(shop.id, after, 1_000)
    return [row.webhook_type for row in rows if row.object_type in ("subscription", "invoice")]


@pytest.mark.parametrize(
    ("zone", "at", "new", "old_fee", "new_fee"),
    [
        ("UTC", CHANGE, "big-advance", 1700, 5200),
        ("UTC", CHANGE, "big", 1700, None),
        ("America/New_York", "2024-06-18T02:00:00Z", "big-advance", 1600, 5600),
        ("Asia/Tokyo", "2024-06-17T20:00:00Z", "big-advance", 1700, 5200),
        ("UTC", CHANGE, "year", 1700, 64590),
    ],
)
async def test_an_upgrade_bills_the_old_plan_to_yesterday_and_the_new_one_from_today(
    tmp_path: Path, zone: str, at: str, new: str, old_fee: int, new_fee: int | None
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop, zone=zone)
        await shop.subscribe("acme", "small", "s", name="Main")
        await shop.advance_to(at)
        await shop.use("s", "calls", at="2024-06-10")
        before = len(shop.invoices())
        await shop.subscribe("acme", new, "s")
        (invoice,) = shop.invoices()[before:]
        expected = [("small", "subscription", old_fee), ("small", "charge", 100)]
        expected += [] if new_fee is None else [(new, "subscription", new_fee)]
        # Lines are ordered by the subscription's name, else by the plan's.
        assert sorted(billed(shop, invoice)) == sorted(expected)
        reasons = {p["invoicing_reason"] for p in invoice["billing_periods"]}
        started = {"subscription_starting"} if new_fee is not None else set()
        assert reasons == {"subscription_terminating"} | started
        old, current = subscriptions(shop)["small"], subscriptions(shop)[new]
        assert (old["status"], old["terminated_at"], old["next_plan_code"]) == (
            "terminated",
            at,
            new,
        )
        assert old["downgrade_plan_date"] is None
        assert (current["status"], current["previous_plan_code"], current["name"]) == (
            "active",
            "small",
            "",
        )
        assert current["subscription_at"] == old["subscription_at"]
        assert instant(current["started_at"]) == instant(at)
    home.assert_sound()


async def test_the_usage_of_an_upgrade_day_is_split_at_the_instant(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "small", "s")
        await shop.advance_to(CHANGE)
        for at in ("2024-06-18T08:59:59.999Z", CHANGE):
            await shop.use("s", "calls", at=at)
        await shop.subscribe("acme", "big", "s")
        await shop.use("s", "calls", at="2024-06-18T09:00:00.001Z")
        await shop.advance_to("2024-07-02")
        *_, closing, july = shop.invoices()
        assert billed(shop, closing) == [("small", "subscription", 1700), ("small", "charge", 100)]
        # 13 days of 30.
        assert billed(shop, july) == [("big", "subscription", 5200), ("big", "charge", 200)]
    home.assert_sound()


async def test_an_upgrade_webhooks(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await open_shop(shop, start=CHANGE)
        await shop.subscribe("acme", "small", "s")
        await shop.subscribe("acme", "big-advance", "s")
        assert webhooks(shop) == [
            "subscription.started",
            "subscription.terminated",
            "subscription.started",
            "invoice.created",
        ]


async def test_an_equal_price_counts_as_an_upgrade(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await open_shop(shop)
        await shop.plan("weekly", 692, interval="weekly")  # 52 × 6.92 < 12 × 30.00
        await shop.plan("quarter", 9000, interval="quarterly")
        await shop.subscribe("acme", "small", "s")
        await shop.advance_to(CHANGE)
        await shop.subscribe("acme", "weekly", "s")
        assert subscriptions(shop)["weekly"]["status"] == "pending"
        await shop.subscribe("acme", "quarter", "s")
        shown = {code: each["status"] for code, each in subscriptions(shop).items()}
        assert shown == {"small": "terminated", "weekly": "canceled", "quarter": "active"}


async def test_the_terms_that_an_upgrade_inherits(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await open_shop(shop)
        terms = {
            "name": "Main",
            "ending_at": "2024-12-24T00:00:00Z",
            "purchase_order_number": "PO-1",
            "consolidate_invoice": False,
            "billing_time": "anniversary",
            "progressive_billing_disabled": True,
        }
        await shop.subscribe("acme", "small", "s", **terms)
        await shop.advance_to(CHANGE)
        await shop.subscribe("acme", "big", "s", purchase_order_number="PO-2")
        new = subscriptions(shop)["big"]
        assert {key: new[key] for key in terms} == terms | {
            "name": "",
            "purchase_order_number": "PO-2",
            "progressive_billing_disabled": False,
        }


async def test_different_order_numbers_are_billed_apart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "small", "s", purchase_order_number="A")
        await shop.advance_to(CHANGE)
        before = len(shop.invoices())
        await shop.subscribe("acme", "big-advance", "s", purchase_order_number="B")
        made = [billed(shop, invoice)[0] for invoice in shop.invoices()[before:]]
        assert made == [("small", "subscription", 1700), ("big-advance", "subscription", 5200)]
    home.assert_sound()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(
    ("old", "new", "at_the_change", "a_month_later"),
    [
        ("big-advance", "small-advance", [("small-advance", 3000)], [("small-advance", 3000)]),
        ("big", "small", [("big", 12000)], [("small", 3000)]),
        ("big", "small-advance", [("big", 12000), ("small-advance", 3000)], [("small-advance", 3000)]),
    ],
)  # fmt: skip
async def test_a_downgrade_waits_for_the_end_of_the_period(
    tmp_path: Path,
    zone: str,
    old: str,
    new: str,
    at_the_change: list[tuple[str, int]],
    a_month_later: list[tuple[str, int]],
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop, zone=zone)
        await shop.subscribe("acme", old, "s")
        await shop.advance_to(CHANGE)
        before = len(shop.invoices())
        await shop.subscribe("acme", new, "s")
        assert len(shop.invoices()) == before
        current = shop.documents("subscription")[0]
        assert (current["status"], current["next_plan_code"]) == ("active", new)
        await shop.advance_to("2024-06-30T10:00:00Z")
        await shop.use("s", "calls", at="2024-06-30T10:00:00Z")
        await shop.advance_to("2024-07-02")
        await shop.use("s", "calls")
        (changed,) = shop.invoices()[before:]
        fees = [(p, a) for p, kind, a in billed(shop, changed) if kind == "subscription"]
        assert sorted(fees) == sorted(at_the_change)
        assert (old, "charge", 100) in billed(shop, changed)
        first, second = shop.documents("subscription")
        assert (first["status"], first["downgrade_plan_date"]) == ("terminated", "2024-07-01")
        assert second["status"] == "active"
        # Without a gap, to the microsecond.
        assert instant(first["terminated_at"]) == instant(second["started_at"])
        await shop.advance_to("2024-08-02")
        _, august = shop.invoices()[before:]
        fees = [(p, a) for p, kind, a in billed(shop, august) if kind == "subscription"]
        assert fees == a_month_later
        assert (new, "charge", 100) in billed(shop, august)
    home.assert_sound()


async def test_giving_up_a_scheduled_downgrade(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "big", "s")
        await shop.advance_to(CHANGE)
        await shop.subscribe("acme", "small", "s")
        # The plan in force once more changes nothing.
        await shop.subscribe("acme", "big", "s")
        assert subscriptions(shop)["small"]["status"] == "pending"
        pending = {"status": "pending"}
        await shop.order(c.TerminateSubscription, "acme", external_id="s", input=pending)
        assert webhooks(shop)[-3:] == [
            "subscription.updated",
            "subscription.canceled",
            "subscription.updated",
        ]
        assert subscriptions(shop)["small"]["status"] == "canceled"
        assert subscriptions(shop)["big"]["next_plan_code"] is None
        await shop.advance_to("2024-07-02")
        assert billed(shop, shop.invoices()[-1]) == [("big", "subscription", 12000)]
    home.assert_sound()


async def test_another_downgrade_takes_the_place_of_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.plan("tiny", 100, PRICES)
        await shop.subscribe("acme", "big", "s")
        await shop.advance_to(CHANGE)
        await shop.subscribe("acme", "small", "s")
        await shop.subscribe("acme", "tiny", "s")
        await shop.advance_to("2024-08-02")
        shown = {code: each["status"] for code, each in subscriptions(shop).items()}
        assert shown == {"big": "terminated", "small": "canceled", "tiny": "active"}
        assert billed(shop, shop.invoices()[-1]) == [("tiny", "subscription", 100)]
    home.assert_sound()


async def test_several_changes_in_one_period(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.plan("bigger", 30000, PRICES)
        await shop.subscribe("acme", "small", "s")
        await shop.advance_to("2024-06-11T09:00:00Z")
        before = len(shop.invoices())
        await shop.subscribe("acme", "big", "s")
        await shop.advance_to("2024-06-21T09:00:00Z")
        await shop.subscribe("acme", "bigger", "s")
        await shop.subscribe("acme", "small", "s")
        await shop.advance_to("2024-08-02")
        fees = [
            [(plan, amount) for plan, _, amount in billed(shop, invoice)]
            for invoice in shop.invoices()[before:]
        ]
        # Ten days, ten days, ten days: each day is paid once.
        assert fees == [[("small", 1000)], [("big", 4000)], [("bigger", 10000)], [("small", 3000)]]
        chain = [each["status"] for each in shop.documents("subscription")]
        assert chain == ["terminated", "terminated", "terminated", "active"]
    home.assert_sound()


async def test_an_end_cancels_a_scheduled_downgrade(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "big", "s")
        await shop.advance_to(CHANGE)
        await shop.subscribe("acme", "small", "s")
        await shop.order(c.TerminateSubscription, "acme", external_id="s", input={})
        shown = {code: each["status"] for code, each in subscriptions(shop).items()}
        assert shown == {"big": "terminated", "small": "canceled"}
        # 18 days of June at 4.00.
        assert billed(shop, shop.invoices()[-1]) == [("big", "subscription", 7200)]
        await shop.advance_to("2024-09-01")
        assert billed(shop, shop.invoices()[-1]) == [("big", "subscription", 7200)]
    home.assert_sound()


@pytest.mark.parametrize("plan", ["small", "big-advance"])
async def test_a_subscription_that_has_not_started_just_starts_on_the_other_plan(
    tmp_path: Path, plan: str
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "big", "s", subscription_at="2024-06-16T00:00:00Z")
        await shop.subscribe("acme", plan, "s", name="Other")
        (only,) = shop.documents("subscription")
        assert (only["plan_code"], only["name"], only["status"]) == (plan, "Other", "pending")
        await shop.advance_to("2024-07-02")
        (only,) = shop.documents("subscription")
        assert (only["plan_code"], only["status"]) == (plan, "active")
        first = shop.invoices()[0]["fees"][0]
        assert first["amount_cents"] == (1500 if plan == "small" else 6000)
    home.assert_sound()


@pytest.mark.parametrize(
    ("zone", "at", "credited", "new_fee"),
    [
        ("UTC", CHANGE, 1300, 5200),
        ("America/New_York", "2024-06-18T02:00:00Z", 1400, 5600),
        ("Asia/Tokyo", "2024-06-17T20:00:00Z", 1300, 5200),
    ],
)
async def test_an_upgrade_gives_back_prepaid_days_and_today(
    tmp_path: Path, zone: str, at: str, credited: int, new_fee: int
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop, zone=zone)
        await shop.subscribe("acme", "small-advance", "s")
        await shop.advance_to(at)
        await shop.subscribe("acme", "big-advance", "s")
        (note,) = shop.documents("credit_note")
        assert (note["total_amount_cents"], note["reason"]) == (credited, "order_cancellation")
        latest = shop.invoices()[-1]
        assert billed(shop, latest) == [("big-advance", "subscription", new_fee)]
        assert latest["credit_notes_amount_cents"] == credited
        assert latest["total_amount_cents"] == new_fee - credited
    home.assert_sound()
