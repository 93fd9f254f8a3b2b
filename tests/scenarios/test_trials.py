"""Trials: the base fee is free, the rest of the first period is billed when they end (subscriptions.md §4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, sandbox, wire

from lago_engine.domain import commands as c

START = "2024-06-05T12:00:00Z"
TRIAL_END = "2024-06-15T12:00:00Z"


async def in_trial(shop: Shop, *, zone: str = "UTC", start: str = START, **plan: Any) -> Shop:
    """A subscriber of 99.00 a month with ten days for nothing."""
    await shop.at(start)
    await shop.metric("calls")
    fields = {"trial_period": 10, "pay_in_advance": True} | plan
    await shop.plan("basic", 9900, {"calls": "1"}, **fields)
    await shop.customer("acme", timezone=zone)
    return shop


def base_fees(shop: Shop) -> list[tuple[str, int]]:
    """(billed at, amount) of every base fee."""
    return [
        (invoice["created_at"], fee["amount_cents"])
        for invoice in shop.invoices("acme")
        for fee in invoice["fees"]
        if fee["item"]["type"] == "subscription"
    ]


def webhooks(shop: Shop) -> list[str]:
    rows = shop.engine.store.outbox.list(shop.id, 0, 1_000)
    return [row.webhook_type for row in rows if row.object_type == "subscription"]


@pytest.mark.parametrize(
    ("zone", "start", "billing_time", "trial_end", "amount"),
    [
        ("UTC", START, "calendar", TRIAL_END, 5280),
        ("UTC", START, "anniversary", TRIAL_END, 6600),
        ("America/New_York", "2024-06-05T16:00:00Z", "calendar", "2024-06-15T16:00:00Z", 5280),
    ],
)
async def test_the_end_of_a_trial_bills_the_rest_of_the_period(
    tmp_path: Path, zone: str, start: str, billing_time: str, trial_end: str, amount: int
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await in_trial(shop, zone=zone, start=start)
        await shop.organization(
            c.CreateWebhookEndpoint, input={"webhook_url": "http://127.0.0.1:9/"}
        )
        await shop.subscribe("acme", "basic", billing_time=billing_time)
        await shop.use("acme", "calls")
        assert shop.invoices("acme") == []
        await shop.advance_to(trial_end)
        (invoice,) = shop.invoices("acme")
        assert invoice["billing_periods"][0]["invoicing_reason"] == "subscription_starting"
        # Usage of the trial is billed with its period, as ever.
        assert [fee["item"]["type"] for fee in invoice["fees"]] == ["subscription"]
        assert base_fees(shop) == [(trial_end, amount)]
        assert shop.documents("subscription")[0]["trial_ended_at"] == trial_end
        assert webhooks(shop) == ["subscription.started", "subscription.trial_ended"]
        await shop.advance_to("2024-08-01T05:00:00Z")
        assert [paid for _, paid in base_fees(shop)][1:] in ([9900, 9900], [9900])
        first_period = shop.invoices("acme")[1]["fees"]
        assert [f["units"] for f in first_period if f["item"]["type"] == "charge"] == ["1.0"]
    home.assert_sound()


async def test_arrears_bill_only_the_days_after_the_trial(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await in_trial(shop, pay_in_advance=False)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-30")
        assert shop.documents("subscription")[0]["trial_ended_at"] == TRIAL_END
        assert shop.invoices("acme") == []
        await shop.advance_to("2024-08-01")
        assert base_fees(shop) == [
            ("2024-07-01T00:00:00Z", 5280),
            ("2024-08-01T00:00:00Z", 9900),
        ]
    home.assert_sound()


async def test_a_billing_day_inside_the_trial_bills_usage_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await in_trial(shop, trial_period=45)
        await shop.subscribe("acme", "basic")
        await shop.use("acme", "calls")
        await shop.advance_to("2024-07-02")
        (invoice,) = shop.invoices("acme")
        assert [fee["item"]["type"] for fee in invoice["fees"]] == ["charge"]
        await shop.advance_to("2024-08-02")
        # 45 days end on 20 July at noon: 12 of 31 days.
        assert base_fees(shop) == [
            ("2024-07-20T12:00:00Z", 3832),
            ("2024-08-01T00:00:00Z", 9900),
        ]
    home.assert_sound()


async def test_a_trial_that_ends_on_a_billing_day_is_billed_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await in_trial(shop, trial_period=26)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-07-31")
        assert base_fees(shop) == [("2024-07-01T00:00:00Z", 9900)]
        assert shop.documents("subscription")[0]["trial_ended_at"] == "2024-07-01T12:00:00Z"
    home.assert_sound()


async def test_coming_back_under_the_same_id_gives_no_second_trial(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await in_trial(shop, pay_in_advance=False)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-07T12:00:00Z")
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        assert base_fees(shop) == []
        await shop.advance_to("2024-06-10T12:00:00Z")
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-07-01")
        # Still counted from 5 June.
        assert base_fees(shop) == [("2024-07-01T00:00:00Z", 5280)]
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        await shop.subscribe("acme", "basic")
        again = shop.documents("subscription")[-1]
        assert (again["status"], again["trial_ended_at"]) == ("active", TRIAL_END)
    home.assert_sound()


async def test_a_start_in_the_past_whose_trial_is_over_bills_nothing_for_it(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await in_trial(shop)
        await shop.at("2024-07-20")
        await shop.subscribe("acme", "basic", subscription_at=START)
        await shop.advance_to("2024-08-01")
        assert base_fees(shop) == [("2024-08-01T00:00:00Z", 9900)]
        assert wire(instant(TRIAL_END)) == shop.documents("subscription")[0]["trial_ended_at"]
