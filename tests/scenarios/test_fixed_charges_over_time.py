"""Fixed charges with trials, monthly billing of long plans, grace, voids, changes of plan and zone, taxes and commitments."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

Fees = list[tuple[str, str, str, int]]
AT_ONCE = {"apply_units_immediately": True}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def sold(price: str, units: int = 1, **fields: Any) -> dict[str, Any]:
    standard = {"charge_model": "standard", "properties": {"amount": price}}
    return {"add_on_code": "seats", "units": units, **standard, **fields}


def ahead(price: str, units: int = 1, **fields: Any) -> dict[str, Any]:
    return sold(price, units, pay_in_advance=True, code="ahead", **fields)


async def seats(shop: Shop) -> Shop:
    given = {"code": "seats", "name": "Seats", "amount_cents": 1000, "amount_currency": "EUR"}
    await shop.organization(c.CreateAddOn, input=given)
    return shop


def fees(shop: Shop, customer: str = "acme") -> Fees:
    """(day billed, type, window, amount) of every fee."""
    return [
        (
            invoice["created_at"][:10],
            fee["item"]["type"],
            f"{fee['from_date'][:10]} {fee['to_date'][:10]}",
            fee["amount_cents"],
        )
        for invoice in shop.invoices(customer)
        for fee in invoice["fees"]
    ]


async def units(shop: Shop, count: int, code: str = "ahead", **fields: Any) -> None:
    given = {"units": count, **fields}
    await shop.organization(c.UpdateFixedCharge, plan_code="team", code=code, input=given)


async def test_a_trial_frees_the_base_fee_only(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan(
            "team", 3000, fixed_charges=[ahead("10")], pay_in_advance=True, trial_period=10
        )
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-07-01")
        assert fees(shop) == [
            ("2024-06-01", "fixed_charge", "2024-06-01 2024-06-30", 1000),
            ("2024-06-11", "subscription", "2024-06-01 2024-06-30", 2000),
            ("2024-07-01", "subscription", "2024-07-01 2024-07-31", 3000),
            ("2024-07-01", "fixed_charge", "2024-07-01 2024-07-31", 1000),
        ]
    home.assert_sound()


async def test_a_start_in_the_past_is_billed_from_the_next_period_on(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[sold("10"), ahead("7")])
        await shop.at("2024-06-10")
        await shop.subscribe("acme", "team", subscription_at="2024-04-15T00:00:00Z")
        assert fees(shop) == []
        await shop.advance_to("2024-07-01")
        assert [fee for fee in fees(shop) if fee[1] == "fixed_charge"] == [
            ("2024-07-01", "fixed_charge", "2024-06-01 2024-06-30", 1000),
            ("2024-07-01", "fixed_charge", "2024-07-01 2024-07-31", 700),
        ]
    home.assert_sound()


async def test_a_yearly_plan_may_bill_fixed_charges_monthly(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan(
            "team",
            0,
            interval="yearly",
            pay_in_advance=True,
            bill_fixed_charges_monthly=True,
            fixed_charges=[sold("31", prorated=True), ahead("7")],
        )
        await shop.at("2024-03-11")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-05-01")
        assert [fee for fee in fees(shop) if fee[1] == "fixed_charge"] == [
            ("2024-03-11", "fixed_charge", "2024-03-11 2024-03-31", 700),
            ("2024-04-01", "fixed_charge", "2024-03-11 2024-03-31", 2100),
            ("2024-04-01", "fixed_charge", "2024-04-01 2024-04-30", 700),
            ("2024-05-01", "fixed_charge", "2024-04-01 2024-04-30", 3100),
            ("2024-05-01", "fixed_charge", "2024-05-01 2024-05-31", 700),
        ]
    home.assert_sound()


async def test_fixed_charges_stay_yearly_where_only_usage_is_billed_monthly(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan(
            "team",
            0,
            interval="yearly",
            pay_in_advance=True,
            bill_charges_monthly=True,
            fixed_charges=[sold("366", prorated=True), ahead("366", prorated=True)],
        )
        await shop.at("2024-03-11")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-05-05")
        await units(shop, 2, **AT_ONCE)
        await shop.advance_to("2025-02-02")
        assert [fee for fee in fees(shop) if fee[1] == "fixed_charge"] == [
            ("2024-03-11", "fixed_charge", "2024-03-11 2024-12-31", 29600),
            ("2024-05-05", "fixed_charge", "2024-03-11 2024-12-31", 24100),
            ("2025-01-01", "fixed_charge", "2024-03-11 2024-12-31", 29600),
            ("2025-01-01", "fixed_charge", "2025-01-01 2025-12-31", 73200),
        ]
    home.assert_sound()


async def test_a_draft_bills_what_was_known_when_it_was_made(home: Home) -> None:
    """Renewal and increase at one instant: the draft is computed again, the increase stays beside it."""
    async with sandbox(home, invoice_grace_period=5) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[ahead("10", 10)], pay_in_advance=True)
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-07-01")
        await units(shop, 14, **AT_ONCE)
        for draft in shop.invoices("acme"):
            if draft["status"] == "draft":
                key = draft["lago_id"]
                await shop.order(c.RefreshInvoice, "acme", invoice_id=UUID(key))
        await shop.advance_to("2024-07-10")
        billed = [(day, cents) for day, kind, _, cents in fees(shop) if kind == "fixed_charge"]
        assert billed == [("2024-06-01", 10000), ("2024-07-01", 10000), ("2024-07-01", 4000)]
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
    home.assert_sound()


async def test_a_voided_invoice_has_billed_nothing(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[ahead("10", 10)])
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        invoice_id = UUID(shop.invoices("acme")[0]["lago_id"])
        await shop.order(c.VoidInvoice, "acme", invoice_id=invoice_id, input={})
        await units(shop, 11, **AT_ONCE)
        assert fees(shop)[1:] == [("2024-06-01", "fixed_charge", "2024-06-01 2024-06-30", 11000)]
    home.assert_sound()


async def test_changes_of_plan_settle_the_old_and_begin_the_new(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan("team", 3000, fixed_charges=[sold("30", prorated=True)])
        await shop.plan("more", 6000, fixed_charges=[sold("60"), ahead("9")])
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-16")
        await shop.subscribe("acme", "more")
        assert fees(shop) == [
            ("2024-06-16", "fixed_charge", "2024-06-16 2024-06-30", 900),
            ("2024-06-16", "subscription", "2024-06-01 2024-06-16", 1500),
            ("2024-06-16", "fixed_charge", "2024-06-01 2024-06-16", 1600),
        ]
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-08-01")
        assert fees(shop)[3:] == [
            ("2024-07-01", "subscription", "2024-06-16 2024-06-30", 3000),
            ("2024-07-01", "fixed_charge", "2024-06-16 2024-06-30", 6000),
            ("2024-08-01", "subscription", "2024-07-01 2024-07-31", 3000),
            ("2024-08-01", "fixed_charge", "2024-07-01 2024-07-31", 3000),
        ]
    home.assert_sound()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
async def test_another_zone_bills_no_period_twice(home: Home, zone: str) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[ahead("10", 10)])
        await shop.at("2024-06-01")
        await shop.customer("acme", timezone="UTC")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-20")
        await shop.customer("acme", timezone=zone)
        await units(shop, 11, **AT_ONCE)
        await shop.advance_to("2024-07-02")
        billed = [cents for _, kind, _, cents in fees(shop) if kind == "fixed_charge"]
        assert billed == [10000, 1000, 11000]
    home.assert_sound()


async def test_taxes_coupons_and_commitments_know_fixed_charges(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.tax("vat", "20", applied_to_organization=True)
        await shop.tax("low", "5")
        await shop.plan(
            "team",
            0,
            fixed_charges=[sold("30", tax_codes=["low"]), sold("20", code="plain")],
            minimum_commitment={"amount_cents": 6000},
        )
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-07-01")
        (invoice,) = shop.invoices("acme")
        assert [
            (fee["item"]["type"], fee["amount_cents"], fee["taxes_amount_cents"])
            for fee in invoice["fees"]
        ] == [
            ("subscription", 0, 0),
            ("fixed_charge", 3000, 150),
            ("fixed_charge", 2000, 400),
            ("commitment", 1000, 200),
        ]
    home.assert_sound()


async def test_fewer_units_give_nothing_back_and_more_are_counted_from_the_most(home: Home) -> None:
    """The invoice of nothing is closed where invoices of zero are skipped, and counts all the same."""
    async with sandbox(home, finalize_zero_amount_invoice=False) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[ahead("10", 10)])
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-10")
        await units(shop, 8, **AT_ONCE)
        await shop.advance_to("2024-06-20")
        await units(shop, 12, **AT_ONCE)
        assert [fee[3] for fee in fees(shop)] == [10000, 2000]
        assert [invoice["status"] for invoice in shop.invoices("acme")] == ["finalized"] * 2
    home.assert_sound()


async def test_a_period_that_is_overdue_is_billed_before_more_of_it(home: Home) -> None:
    async with sandbox(home) as shop:
        await seats(shop)
        await shop.plan("team", 0, fixed_charges=[ahead("10", 10)])
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        # The clock moved and nothing ran, as after a downtime.
        await shop.at("2024-07-03")
        await units(shop, 12, **AT_ONCE)
        assert [(fee[0], fee[3]) for fee in fees(shop) if fee[1] == "fixed_charge"] == [
            ("2024-06-01", 10000),
            ("2024-07-01", 10000),
            ("2024-07-03", 2000),
        ]
    home.assert_sound()
