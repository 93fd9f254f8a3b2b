"""Fixed charges: the examples of billing_periods.md §12 and charges.md §15, over the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.audit.explain import explain
from lago_engine.domain import commands as c


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def seats(units: str = "10", price: str = "10", **fields: Any) -> dict[str, Any]:
    return {
        "add_on_code": "seats",
        "charge_model": "standard",
        "properties": {"amount": price},
        "units": units,
        **fields,
    }


async def sold(shop: Shop, *fixed_charges: dict[str, Any], **plan: Any) -> Shop:
    """A plan without a base fee that sells seats."""
    given = {"code": "seats", "name": "Seats", "amount_cents": 1000, "amount_currency": "EUR"}
    await shop.organization(c.CreateAddOn, input=given)
    await shop.plan("team", 0, fixed_charges=list(fixed_charges), **plan)
    return shop


async def set_units(shop: Shop, units: str, *, at_once: bool = True, plan: str = "team") -> None:
    given = {"units": units, "apply_units_immediately": at_once}
    await shop.organization(c.UpdateFixedCharge, plan_code=plan, code="seats", input=given)


def fees(shop: Shop, customer: str = "acme") -> list[tuple[str, str, int]]:
    """(billed at, units, amount) of every fee of a fixed charge."""
    return [
        (invoice["created_at"], fee["units"], fee["amount_cents"])
        for invoice in shop.invoices(customer)
        for fee in invoice["fees"]
        if fee["item"]["type"] == "fixed_charge"
    ]


@pytest.mark.parametrize(("prorated", "expected"), [(False, 12000), (True, 10933)])
async def test_arrears_bill_the_units_of_the_period(
    home: Home, prorated: bool, expected: int
) -> None:
    """10 from the start, 14 from 21 June, 12 from 25 June."""
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=prorated))
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-21T10:00:00Z")
        await set_units(shop, "14")
        await shop.advance_to("2024-06-25T10:00:00Z")
        await set_units(shop, "12")
        assert shop.invoices() == []
        await shop.advance_to("2024-07-01")
        assert fees(shop) == [("2024-07-01T00:00:00Z", "12.0", expected)]
        (fee,) = [f for f in shop.invoices()[0]["fees"] if f["item"]["type"] == "fixed_charge"]
        assert fee["item"]["item_type"] == "AddOn"
        assert fee["lago_fixed_charge_id"]
        await shop.advance_to("2024-08-01")
        assert fees(shop)[1:] == [("2024-08-01T00:00:00Z", "12.0", 12000)]
    home.assert_sound()


async def test_days_are_those_of_the_customer(home: Home) -> None:
    """New York: 10 → 14 at 20 June 22:00 local."""
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=True))
        await shop.at("2024-06-01T04:00:00Z")
        await shop.customer("acme", timezone="America/New_York")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-21T02:00:00Z")
        await set_units(shop, "14")
        await shop.advance_to("2024-07-02")
        assert fees(shop) == [("2024-07-01T04:00:00Z", "14.0", 11467)]
    home.assert_sound()


@pytest.mark.parametrize(("ends", "expected"), [("2024-06-18T09:00:00Z", 6000)])
async def test_an_end_bills_the_days_until_then(home: Home, ends: str, expected: int) -> None:
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=True), seats(pay_in_advance=True, code="ahead"))
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to(ends)
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        assert fees(shop) == [
            ("2024-06-01T00:00:00Z", "10.0", 10000),
            (ends, "10.0", expected),
        ]
    home.assert_sound()


@pytest.mark.parametrize("grace", [0, 3])
async def test_increases_in_advance_are_invoiced_at_once(home: Home, grace: int) -> None:
    """Start 16 June with 10, 14 on the 21st, 12 on the 25th; July costs 12."""
    async with sandbox(home, invoice_grace_period=grace) as shop:
        await sold(shop, seats(prorated=True, pay_in_advance=True))
        await shop.at("2024-06-16")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-21T10:00:00Z")
        await set_units(shop, "14")
        await shop.advance_to("2024-06-25T10:00:00Z")
        await set_units(shop, "12")
        await shop.advance_to("2024-07-10")
        assert fees(shop) == [
            ("2024-06-16T00:00:00Z", "10.0", 5000),
            ("2024-06-21T10:00:00Z", "4.0", 1333),
            ("2024-06-25T10:00:00Z", "0.0", 0),
            ("2024-07-01T00:00:00Z", "12.0", 12000),
        ]
        first, more, *_ = shop.invoices()
        assert [more["status"], more["fees"][0]["precise_unit_amount"]] == [
            "finalized",
            "3.333333333333333",
        ]
        assert first["invoice_type"] == "subscription"
        (explained,) = explain(shop.engine.store, more["number"]).fees
        assert explained.derivation[0].startswith("4.0 units of the fixed charge")
        assert "4.0 × 3.333333333333333" in explained.derivation[1]
    home.assert_sound()


async def test_charges_example_of_an_immediate_increase(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop, seats(price="6", prorated=True, pay_in_advance=True))
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-11")
        await set_units(shop, "15")
        assert fees(shop)[1:] == [("2024-06-11T00:00:00Z", "5.0", 2000)]
    home.assert_sound()


@pytest.mark.parametrize(
    ("zone", "at"),
    [("America/New_York", "2024-06-16T16:00:00Z"), ("Asia/Tokyo", "2024-06-15T23:00:00Z")],
)
async def test_the_share_of_an_increase_counts_local_days(home: Home, zone: str, at: str) -> None:
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=True, pay_in_advance=True))
        await shop.at("2024-05-31T20:00:00Z")
        await shop.customer("acme", timezone=zone)
        await shop.subscribe("acme", "team", subscription_at="2024-06-01T12:00:00Z")
        await shop.advance_to(at)
        await set_units(shop, "14")
        assert fees(shop)[-1][1:] == ("4.0", 2000)
    home.assert_sound()


async def test_a_change_for_later_waits_for_the_next_period(home: Home) -> None:
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=True), seats(pay_in_advance=True, code="ahead"))
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-10")
        await set_units(shop, "20", at_once=False)
        given = {"units": "30"}
        await shop.organization(c.UpdateFixedCharge, plan_code="team", code="ahead", input=given)
        await shop.advance_to("2024-06-20")
        await set_units(shop, "12", at_once=False)
        await shop.advance_to("2024-08-01")
        assert fees(shop) == [
            ("2024-06-01T00:00:00Z", "10.0", 10000),
            ("2024-07-01T00:00:00Z", "10.0", 10000),
            ("2024-07-01T00:00:00Z", "30.0", 30000),
            ("2024-08-01T00:00:00Z", "12.0", 12000),
            ("2024-08-01T00:00:00Z", "30.0", 30000),
        ]
    home.assert_sound()


TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "10", "flat_amount": "5"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "6", "flat_amount": "1"},
]


async def test_an_increase_is_priced_in_the_tiers_it_reaches(home: Home) -> None:
    graduated = {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}}
    async with sandbox(home) as shop:
        await sold(shop, seats(pay_in_advance=True) | graduated)
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-11")
        await set_units(shop, "12")
        assert fees(shop) == [
            ("2024-06-01T00:00:00Z", "10.0", 10500),
            ("2024-06-11T00:00:00Z", "2.0", 1300),
        ]
    home.assert_sound()


async def test_an_upgrade_deducts_what_was_paid_for_the_same_days(home: Home) -> None:
    """10 × 10.00 paid on 1 June; on the 16th 12 × 15.00: 9000 − 5000; and again on the same day."""
    async with sandbox(home) as shop:
        await sold(shop, seats(prorated=True, pay_in_advance=True))
        more = seats("12", "15", prorated=True, pay_in_advance=True)
        await shop.plan("more", 0, fixed_charges=[more])
        await shop.plan("most", 100, fixed_charges=[more])
        await shop.at("2024-06-01")
        await shop.subscribe("acme", "team")
        await shop.advance_to("2024-06-16T12:00:00Z")
        await shop.subscribe("acme", "more")
        assert fees(shop)[1:] == [("2024-06-16T12:00:00Z", "12.0", 4000)]
        await shop.advance_to("2024-06-16T15:00:00Z")
        await shop.subscribe("acme", "most")
        assert fees(shop)[2:] == [("2024-06-16T15:00:00Z", "12.0", 0)]
        await shop.advance_to("2024-07-01")
        assert fees(shop)[-1] == ("2024-07-01T00:00:00Z", "12.0", 18000)
    home.assert_sound()
