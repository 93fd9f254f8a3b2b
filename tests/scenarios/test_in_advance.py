"""Charges that are paid in advance: billed when their events arrive, once, whatever happens around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "2"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "3"},
]
SHARES = [
    {"from_value": 0, "to_value": 1000, "rate": "2", "flat_amount": "1"},
    {"from_value": 1001, "to_value": None, "rate": "1", "flat_amount": "3"},
]


async def subscribed(
    shop: Shop, *charges: dict[str, Any], plan: dict[str, Any] | None = None
) -> Shop:
    """A customer on a plan with these charges in advance; `metric` names what a charge counts."""
    await shop.at("2024-06-01")
    await shop.tax("vat", "20")
    known: set[str] = set()
    for charge in charges:
        code, field, fields = charge["metric"]
        if code not in known:
            await shop.metric(code, field, **fields)
            known.add(code)
    metrics = shop.engine.organization(shop.id).metrics
    given = {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "tax_codes": ["vat"],
        "charges": [
            {
                "billable_metric_id": str(metrics[charge["metric"][0]].id),
                "pay_in_advance": True,
                **{key: value for key, value in charge.items() if key != "metric"},
            }
            for charge in charges
        ],
    }
    await shop.organization(c.CreatePlan, input=given | (plan or {}))
    await shop.customer("acme")
    return await shop.subscribe("acme", "pro")


def fees(shop: Shop) -> list[dict[str, Any]]:
    """Fees of usage events, in the order in which they were made."""
    return [fee for fee in shop.documents("fee") if "event_transaction_id" in fee]


def amounts(shop: Shop) -> list[int]:
    return [fee["amount_cents"] for fee in fees(shop)]


SUMMED = ("gb", "gb", {})
STANDARD = {"charge_model": "standard", "properties": {"amount": "0.07"}}


@pytest.mark.parametrize("invoiceable", [True, False])
@pytest.mark.parametrize(
    ("charge", "values", "expected"),
    [
        (STANDARD, ["0.5"], [4]),
        (
            {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}},
            ["6", "6", "1"],
            [800, 800, 50],
        ),
        (
            {
                "charge_model": "package",
                "properties": {"package_size": 10, "amount": "5", "free_units": 3},
            },
            ["2", "2", "4", "5"],
            [0, 500, 0, 0],
        ),
        (
            {
                "charge_model": "graduated_percentage",
                "properties": {"graduated_percentage_ranges": SHARES},
            },
            ["900", "300"],
            [1900, 700],
        ),
        (
            {"charge_model": "percentage", "properties": {"rate": "1.5", "fixed_amount": "0.2"}},
            ["50", "200", "30", "500"],
            [95, 320, 65, 770],
        ),
    ],
    ids=["standard", "graduated", "package", "graduated_percentage", "percentage"],
)
async def test_every_event_is_billed_as_it_arrives(
    tmp_path: Path,
    charge: dict[str, Any],
    values: list[str],
    expected: list[int],
    invoiceable: bool,
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": SUMMED, "invoiceable": invoiceable, **charge})
        for value in values:
            await shop.use("acme", "gb", gb=value)
        assert amounts(shop) == expected
        invoices = shop.invoices("acme")
        if invoiceable:
            assert [invoice["fees_amount_cents"] for invoice in invoices] == expected
            assert {invoice["billing_periods"][0]["invoicing_reason"] for invoice in invoices} == {
                "in_advance_charge"
            }
        else:
            assert invoices == []
            assert {fee["lago_invoice_id"] for fee in fees(shop)} == {None}
        usage = await shop.usage("acme")
        assert usage["amount_cents"] == sum(expected)
        # Nothing of it is billed again at the end of the period.
        await shop.advance_to("2024-07-02")
        assert amounts(shop) == expected
        assert shop.invoices("acme")[len(invoices) :][0]["fees"][1:] == []
    home.assert_sound()
