"""Yearly and half-yearly plans whose charges are billed by the month (billing_periods.md §5)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engine_kit import Home, Shop, instant, sandbox

from lago_engine.domain import commands as c


class Bill(NamedTuple):
    """A billing: its window of the base fee, that of usage, and the base fee if there is one."""

    window: tuple[str, str]
    usage: tuple[str, str]
    base: int | None


async def subscribed(shop: Shop, start: str, zone: str = "UTC", **plan: Any) -> Shop:
    await shop.at(start)
    await shop.metric("calls")
    await shop.plan("long", 120000, {"calls": "1"}, bill_charges_monthly=True, **plan)
    await shop.customer("acme", timezone=zone)
    return shop


def bills(shop: Shop) -> dict[str, Bill]:
    """By the instant of the billing."""
    made = {}
    for invoice in shop.invoices():
        (period,) = invoice["billing_periods"]
        base = [f["amount_cents"] for f in invoice["fees"] if f["item"]["type"] == "subscription"]
        made[invoice["created_at"]] = Bill(
            (period["subscription_from_datetime"], period["subscription_to_datetime"]),
            (period["charges_from_datetime"], period["charges_to_datetime"]),
            base[0] if base else None,
        )
    return made


async def every_day(shop: Shop, start: str, days: int) -> None:
    """One event at noon of each day, so that a period's usage is its number of days."""
    first = instant(start)
    events = [shop.event("acme", "calls", at=first + timedelta(days=n)) for n in range(days)]
    for lot in range(0, days, 100):
        assert (await shop.ingest(events[lot : lot + 100]))[0] == 200


def counted(shop: Shop) -> int:
    return sum(fee["events_count"] or 0 for i in shop.invoices() for fee in i["fees"])


async def test_a_year_in_advance(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, "2024-03-11T00:00:00Z", interval="yearly", pay_in_advance=True)
        await shop.subscribe("acme", "long")
        await every_day(shop, "2024-03-11T12:00:00Z", 360)
        await shop.advance_to("2025-02-01")
        made = bills(shop)
        assert len(made) == 12
        of_2024 = ("2024-03-11T00:00:00Z", "2024-12-31T23:59:59Z")
        of_2025 = ("2025-01-01T00:00:00Z", "2025-12-31T23:59:59Z")
        # 296 of 366 days.
        assert made["2024-03-11T00:00:00Z"].base == 97049
        assert made["2024-12-01T00:00:00Z"] == Bill(
            of_2024, ("2024-11-01T00:00:00Z", "2024-11-30T23:59:59Z"), None
        )
        assert made["2025-01-01T00:00:00Z"] == Bill(
            of_2025, ("2024-12-01T00:00:00Z", "2024-12-31T23:59:59Z"), 120000
        )
        assert made["2025-02-01T00:00:00Z"] == Bill(
            of_2025, ("2025-01-01T00:00:00Z", "2025-01-31T23:59:59Z"), None
        )
        assert counted(shop) == (instant("2025-02-01") - instant("2024-03-11")).days
    home.assert_sound()


async def test_a_year_in_arrears(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, "2023-03-11T00:00:00Z", interval="yearly")
        await shop.subscribe("acme", "long")
        await shop.advance_to("2024-02-01")
        made = bills(shop)
        of_2023 = ("2023-03-11T00:00:00Z", "2023-12-31T23:59:59Z")
        assert made["2024-01-01T00:00:00Z"] == Bill(
            of_2023, ("2023-12-01T00:00:00Z", "2023-12-31T23:59:59Z"), 97315
        )
        assert made["2024-02-01T00:00:00Z"] == Bill(
            of_2023, ("2024-01-01T00:00:00Z", "2024-01-31T23:59:59Z"), None
        )
        assert [bill.base for bill in made.values()].count(None) == 10
    home.assert_sound()


async def test_half_a_year_by_the_anniversary_in_new_york(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(
            shop,
            "2024-03-15T12:00:00Z",
            "America/New_York",
            interval="semiannual",
            pay_in_advance=True,
        )
        await shop.subscribe("acme", "long", billing_time="anniversary")
        await shop.advance_to("2024-10-15T05:00:00Z")
        made = bills(shop)
        assert made["2024-09-15T04:00:00Z"] == Bill(
            ("2024-09-15T04:00:00Z", "2025-03-15T03:59:59Z"),
            ("2024-08-15T04:00:00Z", "2024-09-15T03:59:59Z"),
            120000,
        )
        assert made["2024-07-15T04:00:00Z"] == Bill(
            ("2024-03-15T04:00:00Z", "2024-09-15T03:59:59Z"),
            ("2024-06-15T04:00:00Z", "2024-07-15T03:59:59Z"),
            None,
        )
        assert [bill.base for bill in made.values() if bill.base] == [120000, 120000]
    home.assert_sound()


async def test_an_end_within_a_month_bills_that_month_and_the_year_so_far(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, "2024-01-01T00:00:00Z", interval="yearly")
        await shop.subscribe("acme", "long")
        await shop.advance_to("2024-09-12T16:00:00Z")
        await shop.use("acme", "calls", at="2024-09-02")
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        # 31 + 29 + … + 12 = 256 of 366 days.
        assert bills(shop)["2024-09-12T16:00:00Z"] == Bill(
            ("2024-01-01T00:00:00Z", "2024-09-12T16:00:00Z"),
            ("2024-09-01T00:00:00Z", "2024-09-12T16:00:00Z"),
            83934,
        )
        assert counted(shop) == 1
    home.assert_sound()


@pytest.mark.parametrize("in_advance", [True, False])
async def test_a_downgrade_waits_for_the_end_of_the_year_that_was_paid(
    tmp_path: Path, in_advance: bool
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, "2024-01-01T00:00:00Z", interval="yearly", pay_in_advance=in_advance)
        await shop.plan("month", 100, {"calls": "1"})
        await shop.subscribe("acme", "long")
        await shop.advance_to("2024-09-12T16:00:00Z")
        await shop.subscribe("acme", "month")
        await shop.advance_to("2024-12-31T23:59:59Z")
        assert [s["status"] for s in shop.documents("subscription")] == ["active", "pending"]
        await shop.advance_to("2025-02-01")
        assert [s["status"] for s in shop.documents("subscription")] == ["terminated", "active"]
        assert sum(bill.base or 0 for bill in bills(shop).values()) == 120000 + 100
    home.assert_sound()
