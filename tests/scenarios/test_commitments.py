"""Minimum commitments: the examples of billing_periods.md §10, a plan of 99.00 committed to 500.00."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

COMMITMENT = {"amount_cents": 50000, "invoice_display_name": "At least"}
SKIP = {"on_termination_credit_note": "skip"}


async def committed(shop: Shop, start: str, *, zone: str = "UTC", **plan: Any) -> Shop:
    await shop.at(start)
    await shop.metric("usage", "amount")
    fields = {"minimum_commitment": COMMITMENT} | plan
    await shop.plan("basic", 9900, {"usage": "1"}, **fields)
    await shop.customer("acme", timezone=zone, **fields.pop("customer", {}))
    return shop


def true_ups(shop: Shop) -> list[tuple[str, int]]:
    """(billed at, amount) of every commitment fee."""
    return [
        (invoice["created_at"], fee["amount_cents"])
        for invoice in shop.invoices("acme")
        for fee in invoice["fees"]
        if fee["item"]["type"] == "commitment"
    ]


async def test_arrears_are_reconciled_on_the_invoice_of_the_period(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await committed(shop, "2024-05-20T14:30:00Z")
        await shop.subscribe("acme", "basic")
        await shop.use("acme", "usage", amount="120")
        await shop.advance_to("2024-06-20")
        await shop.use("acme", "usage", amount="500")
        await shop.advance_to("2024-07-01")
        assert true_ups(shop) == [("2024-06-01T00:00:00Z", 3523)]
        fee = shop.invoices("acme")[0]["fees"][-1]
        assert fee["item"]["invoice_display_name"] == "At least"
        assert (fee["item"]["code"], fee["units"]) == ("basic", "1.0")
        assert (fee["from_date"], fee["to_date"]) == (
            "2024-05-20T00:00:00+00:00",
            "2024-05-31T23:59:59+00:00",
        )
    home.assert_sound()


@pytest.mark.parametrize("grace", [0, 4])
async def test_advance_is_reconciled_on_the_next_invoice(tmp_path: Path, grace: int) -> None:
    home = Home(tmp_path)
    async with sandbox(home, invoice_grace_period=grace) as shop:
        await committed(shop, "2024-06-01T00:00:00Z", pay_in_advance=True)
        await shop.subscribe("acme", "basic")
        assert true_ups(shop) == []
        await shop.advance_to("2024-06-15")
        await shop.use("acme", "usage", amount="185")
        await shop.advance_to("2024-07-03")
        assert true_ups(shop) == [("2024-07-01T00:00:00Z", 21600)]
        await shop.advance_to("2024-08-10")
        # July: its base fee of 1 July and no usage.
        assert true_ups(shop)[1:] == [("2024-08-01T00:00:00Z", 40100)]
    home.assert_sound()


@pytest.mark.parametrize(
    ("zone", "in_advance", "ended_at", "usage", "expected"),
    [
        ("America/New_York", False, "2024-06-18T02:00:00Z", "0", 28333 - 5610),
        ("UTC", True, "2024-06-18T09:00:00Z", "70", 13100),
    ],
)
async def test_an_end_reconciles_the_days_that_were_lived(
    tmp_path: Path, zone: str, in_advance: bool, ended_at: str, usage: str, expected: int
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await committed(shop, "2024-05-01T12:00:00Z", zone=zone, pay_in_advance=in_advance)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-10")
        if Decimal(usage):
            await shop.use("acme", "usage", amount=usage)
        await shop.advance_to(ended_at)
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input=SKIP)
        assert true_ups(shop)[-1] == (ended_at, expected)
    home.assert_sound()


async def test_an_upgrade_leaves_its_day_to_the_new_plan(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await committed(shop, "2024-06-01T00:00:00Z")
        more = {"amount_cents": 60000}
        await shop.plan("more", 12000, {"usage": "1"}, minimum_commitment=more)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-18T09:00:00Z")
        await shop.subscribe("acme", "more")
        await shop.advance_to("2024-07-01")
        # 17 of 30 days less 56.10, then 13 of 30 days less 52.00.
        assert true_ups(shop) == [
            ("2024-06-18T09:00:00Z", 28333 - 5610),
            ("2024-07-01T00:00:00Z", 26000 - 5200),
        ]
    home.assert_sound()


@pytest.mark.parametrize("in_advance", [True, False])
async def test_charges_by_the_month_count_towards_the_year(
    tmp_path: Path, in_advance: bool
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await committed(
            shop,
            "2024-01-01T00:00:00Z",
            interval="yearly",
            bill_charges_monthly=True,
            pay_in_advance=in_advance,
        )
        await shop.subscribe("acme", "basic")
        for month in range(1, 13):
            await shop.advance_to(f"2024-{month:02}-05")
            await shop.use("acme", "usage", amount="10")
        await shop.advance_to("2025-03-01")
        assert true_ups(shop) == [("2025-01-01T00:00:00Z", 50000 - 9900 - 12 * 1000)]
    home.assert_sound()


async def test_a_trial_does_not_spare_the_commitment_of_arrears(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await committed(shop, "2024-06-01T00:00:00Z", trial_period=45)
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-07-01")
        assert true_ups(shop) == [("2024-07-01T00:00:00Z", 50000)]
    home.assert_sound()


async def test_the_commitment_has_taxes_of_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.tax("vat", "20", applied_to_organization=True)
        await shop.tax("low", "5")
        await committed(
            shop, "2024-06-01T00:00:00Z", minimum_commitment=COMMITMENT | {"tax_codes": ["low"]}
        )
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-07-01")
        fees = {f["item"]["type"]: f["taxes_amount_cents"] for f in shop.invoices()[0]["fees"]}
        assert fees == {"subscription": 1980, "commitment": 2005}
    home.assert_sound()


async def test_a_late_event_of_an_earlier_period_hides_no_invoice_of_this_one(
    tmp_path: Path,
) -> None:
    """Usage invoiced when it arrives counts for the period of its event, in whatever order it came."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-05-01")
        await shop.metric("usage", "amount")
        metric = shop.engine.organization(shop.id).metrics["usage"]
        charge = {
            "billable_metric_id": str(metric.id),
            "charge_model": "standard",
            "pay_in_advance": True,
            "properties": {"amount": "1"},
        }
        plan = {
            "code": "basic", "name": "Basic", "interval": "monthly", "amount_cents": 9900,
            "amount_currency": "EUR", "pay_in_advance": False, "charges": [charge],
            "minimum_commitment": COMMITMENT,
        }  # fmt: skip
        await shop.organization(c.CreatePlan, input=plan)
        await shop.customer("acme")
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-06-10")
        await shop.use("acme", "usage", amount="100")
        await shop.advance_to("2024-06-20")
        await shop.use("acme", "usage", amount="30", at="2024-05-15")
        await shop.advance_to("2024-07-01")
        assert true_ups(shop)[1:] == [("2024-07-01T00:00:00Z", 50000 - 9900 - 10000)]
    home.assert_sound()
