"""Lives of subscriptions: starts, ends, and moves between time zones. Expected figures are written by hand.

The amounts are the worked examples of billing_periods.md §4, §6, §8 and §16: a plan of 99.00 a month.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, instant, sandbox

from lago_engine.domain import commands as c


async def on_a_plan(shop: Shop, *, zone: str, start: str, **plan: Any) -> Shop:
    await shop.at(start)
    await shop.metric("calls")
    await shop.plan("basic", 9900, {"calls": "0.01"}, **plan)
    await shop.customer("acme", timezone=zone)
    return shop


def windows(invoice: dict[str, Any]) -> tuple[str, str, str, str]:
    (period,) = invoice["billing_periods"]
    return (
        period["subscription_from_datetime"],
        period["subscription_to_datetime"],
        period["charges_from_datetime"],
        period["charges_to_datetime"],
    )


def base_fees(shop: Shop) -> list[int]:
    return [
        fee["amount_cents"]
        for invoice in shop.invoices("acme")
        for fee in invoice["fees"]
        if fee["item"]["type"] == "subscription"
    ]


@pytest.mark.parametrize(
    ("start", "zone", "billed_at", "base", "expected"),
    [
        ("2024-05-20T14:30:00Z", "UTC", "2024-06-01T00:00:00Z", 3832,
         ("2024-05-20T00:00:00Z", "2024-05-31T23:59:59Z", "2024-05-20T14:30:00Z", "2024-05-31T23:59:59Z")),
        ("2024-05-20T14:30:00Z", "America/New_York", "2024-06-01T04:00:00Z", 3832,
         ("2024-05-20T04:00:00Z", "2024-06-01T03:59:59Z", "2024-05-20T14:30:00Z", "2024-06-01T03:59:59Z")),
        ("2024-05-20T16:30:00Z", "Asia/Tokyo", "2024-05-31T15:00:00Z", 3513,
         ("2024-05-20T15:00:00Z", "2024-05-31T14:59:59Z", "2024-05-20T16:30:00Z", "2024-05-31T14:59:59Z")),
    ],
)  # fmt: skip
async def test_first_periods(
    tmp_path: Path, start: str, zone: str, billed_at: str, base: int, expected: tuple[str, ...]
) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await on_a_plan(shop, zone=zone, start=start)
        await shop.subscribe("acme", "basic")
        await shop.advance_to(instant(billed_at) - timedelta(milliseconds=1))
        assert shop.invoices("acme") == []
        await shop.advance_to(billed_at)
        (invoice,) = shop.invoices("acme")
        assert invoice["created_at"] == billed_at
        assert windows(invoice) == expected
        assert base_fees(shop) == [base]


@pytest.mark.parametrize(
    ("zone", "terminated_at", "base", "started"),
    [
        ("UTC", "2024-06-18T09:00:00Z", 5940, "2024-06-01T00:00:00Z"),
        ("America/New_York", "2024-06-18T02:00:00Z", 5610, "2024-06-01T04:00:00Z"),
        # On a billing day, after the clock has billed: one day of the new period.
        ("UTC", "2024-06-01T15:00:00Z", 330, "2024-06-01T00:00:00Z"),
    ],
)
async def test_termination_bills_the_days_and_the_usage_so_far(
    tmp_path: Path, zone: str, terminated_at: str, base: int, started: str
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(shop, zone=zone, start="2024-05-20T14:30:00Z")
        await shop.subscribe("acme", "basic")
        await shop.advance_to(terminated_at)
        edge = instant(terminated_at) - timedelta(seconds=1)
        await shop.use("acme", "calls", at=edge)
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        # An event at or after the end belongs to nobody.
        await shop.use("acme", "calls", at=terminated_at)
        await shop.advance_to("2024-09-01")
        last = shop.invoices("acme")[-1]
        assert last["billing_periods"][0]["invoicing_reason"] == "subscription_terminating"
        assert windows(last) == (started, terminated_at, started, terminated_at)
        assert base_fees(shop)[-1] == base
        assert last["fees"][1]["units"] == "1.0"
        assert len(shop.invoices("acme")) == 2
    home.assert_sound()


async def test_a_finished_period_that_was_not_billed_is_billed_by_the_termination(
    tmp_path: Path,
) -> None:
    # Given a clock that stands still, so that June is over and not billed yet.
    async with sandbox(Home(tmp_path)) as shop:
        await on_a_plan(shop, zone="UTC", start="2024-06-01T00:00:00Z")
        await shop.subscribe("acme", "basic")
        await shop.at("2024-07-01T00:05:00Z")
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        await shop.advance_to("2024-09-01")
        (invoice,) = shop.invoices("acme")
        june = ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59Z")
        assert windows(invoice) == (*june, *june)
        assert base_fees(shop) == [9900]


async def test_a_scheduled_end(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(shop, zone="America/New_York", start="2024-06-01T04:00:00Z")
        await shop.subscribe("acme", "basic", ending_at="2024-06-18T12:00:00Z")
        await shop.advance_to("2024-06-18T03:59:59Z")
        assert shop.documents("subscription")[0]["status"] == "active"
        await shop.advance_to("2024-09-01")
        (subscription,) = shop.documents("subscription")
        assert (subscription["status"], subscription["terminated_at"]) == (
            "terminated",
            "2024-06-18T04:00:00Z",
        )
        # An end at midnight still counts that day (§6).
        assert base_fees(shop) == [5940]
    home.assert_sound()


@pytest.mark.parametrize(
    ("in_advance", "base"), [(False, [3300, 9900]), (True, [3300, 9900, 9900])]
)
async def test_a_pending_subscription_starts_on_its_day(
    tmp_path: Path, in_advance: bool, base: list[int]
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(
            shop, zone="Asia/Tokyo", start="2024-06-01T00:00:00Z", pay_in_advance=in_advance
        )
        await shop.subscribe("acme", "basic", subscription_at="2024-06-21T03:00:00Z")
        await shop.use("acme", "calls", at="2024-06-20T20:00:00Z")
        await shop.advance_to("2024-06-20T14:59:59Z")
        assert [s["status"] for s in shop.documents("subscription")] == ["pending"]
        assert shop.invoices("acme") == []
        # Local midnight of its day.
        await shop.advance_to("2024-06-20T15:00:00Z")
        (subscription,) = shop.documents("subscription")
        assert subscription["status"] == "active"
        assert subscription["started_at"] == "2024-06-21T03:00:00.000Z"
        await shop.use("acme", "calls", at="2024-06-21T03:00:00Z")
        await shop.advance_to("2024-08-01T00:00:00Z")
        assert base_fees(shop) == base
        # Usage before the first instant is not billed.
        used = [
            f for i in shop.invoices("acme") for f in i["fees"] if f["item"]["type"] == "charge"
        ]
        assert [fee["units"] for fee in used] == ["1.0"]
    home.assert_sound()


async def test_a_canceled_pending_subscription_never_starts(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await on_a_plan(shop, zone="UTC", start="2024-06-01T00:00:00Z")
        await shop.subscribe("acme", "basic", subscription_at="2024-06-21T03:00:00Z")
        pending = {"status": "pending"}
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input=pending)
        await shop.advance_to("2024-09-01")
        assert [s["status"] for s in shop.documents("subscription")] == ["canceled"]
        assert shop.invoices("acme") == []


@pytest.mark.parametrize(
    ("old", "new", "usage_windows"),
    [
        ("America/New_York", "Asia/Tokyo", [
            ("2024-05-01T04:00:00Z", "2024-06-01T03:59:59Z"),
            ("2024-06-01T04:00:00Z", "2024-06-30T14:59:59Z"),
            ("2024-06-30T15:00:00Z", "2024-07-31T14:59:59Z"),
        ]),
        ("Asia/Tokyo", "America/New_York", [
            ("2024-05-01T04:00:00Z", "2024-05-31T14:59:59Z"),
            ("2024-05-31T15:00:00Z", "2024-07-01T03:59:59Z"),
            ("2024-07-01T04:00:00Z", "2024-08-01T03:59:59Z"),
        ]),
    ],
)  # fmt: skip
async def test_a_move_to_another_time_zone_leaves_no_gap_and_no_overlap(
    tmp_path: Path, old: str, new: str, usage_windows: list[tuple[str, str]]
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(shop, zone=old, start="2024-05-01T04:00:00Z")
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-15")
        await shop.customer("acme", timezone=new)
        first, end = instant("2024-05-01T04:00:00Z"), instant(usage_windows[-1][1])
        hours = [first + timedelta(hours=n) for n in range((end - first) // timedelta(hours=1) + 1)]
        await shop.advance_to("2024-06-16")
        # Of May only what is sent before it is billed could count; here it is about June and July.
        later = [hour for hour in hours if hour > instant(usage_windows[0][1])]
        for start in range(0, len(later), 100):
            events = [shop.event("acme", "calls", at=hour) for hour in later[start : start + 100]]
            assert (await shop.ingest(events))[0] == 200
        await shop.advance_to("2024-08-02")
        made = shop.invoices("acme")
        assert [windows(invoice)[2:] for invoice in made] == usage_windows
        counted = sum(fee["events_count"] or 0 for invoice in made for fee in invoice["fees"])
        assert counted == len(later)
    home.assert_sound()


@pytest.mark.parametrize(
    ("old", "new"), [("Asia/Tokyo", "America/New_York"), ("America/New_York", "Asia/Tokyo")]
)
@pytest.mark.parametrize("interval", ["weekly", "monthly"])
async def test_a_move_that_moves_the_anniversary_by_a_day_skips_no_period(
    tmp_path: Path, old: str, new: str, interval: str
) -> None:
    # Given an anchor that is 1 May in Tokyo and 30 April in New York.
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(shop, zone=old, start="2024-04-30T20:00:00Z", interval=interval)
        await shop.subscribe("acme", "basic", billing_time="anniversary")
        await shop.advance_to("2024-06-10")
        await shop.customer("acme", timezone=new)
        # An update of the subscription keeps the day that waits to be billed.
        (subscription,) = shop.documents("subscription")
        given = {"name": "moved"}
        await shop.order(
            c.UpdateSubscription, "acme", subscription_id=UUID(subscription["lago_id"]), input=given
        )
        await shop.advance_to("2024-08-02")
        used = [windows(invoice)[2:] for invoice in shop.invoices("acme")]
        gaps = [
            instant(later[0]) - instant(earlier[1]) for earlier, later in itertools.pairwise(used)
        ]
        assert gaps == [timedelta(seconds=1)] * (2 if interval == "monthly" else 12)
    home.assert_sound()


async def test_overdue(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await on_a_plan(shop, zone="Asia/Tokyo", start="2024-01-01T00:00:00Z")
        for name in ("late", "paid", "voided"):
            await shop.customer(name, timezone="Asia/Tokyo", net_payment_term=10)
            await shop.subscribe(name, "basic")
        await shop.advance_to("2024-02-05")
        invoices = {name: shop.invoices(name)[0] for name in ("late", "paid", "voided")}
        assert invoices["late"]["payment_due_date"] == "2024-02-11"
        await pay(shop, "paid", invoices["paid"], invoices["paid"]["total_amount_cents"])
        await shop.order(c.VoidInvoice, "voided", invoice_id=_id(invoices["voided"]), input={})
        await shop.advance_to("2024-02-11T14:59:59Z")
        assert not shop.invoices("late")[0]["payment_overdue"]
        await shop.advance_to("2024-02-11T15:00:00Z")
        overdue = {name: shop.invoices(name)[0]["payment_overdue"] for name in invoices}
        assert overdue == {"late": True, "paid": False, "voided": False}
        await pay(shop, "late", invoices["late"], invoices["late"]["total_amount_cents"])
        assert not shop.invoices("late")[0]["payment_overdue"]
    home.assert_sound()


def _id(invoice: dict[str, Any]) -> UUID:
    return UUID(invoice["lago_id"])


async def pay(shop: Shop, customer: str, invoice: dict[str, Any], amount: int) -> None:
    given = {"amount_cents": amount, "reference": "transfer"}
    await shop.order(c.RecordManualPayment, customer, invoice_id=_id(invoice), input=given)
