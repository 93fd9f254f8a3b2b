"""Every charge model on its way from usage to a finalized invoice: one amount everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.audit.explain import explain
from lago_engine.documents.render import Style, render_invoice
from lago_engine.documents.view import invoice_view
from lago_engine.domain import commands as c

TIERS = [
    {"from_value": 0, "to_value": 100, "per_unit_amount": "0.5", "flat_amount": "10"},
    {"from_value": 101, "to_value": 200, "per_unit_amount": "0.4", "flat_amount": "5"},
    {"from_value": 201, "to_value": None, "per_unit_amount": "0.25", "flat_amount": "0"},
]
SHARES = [
    {"from_value": 0, "to_value": 1000, "rate": "2", "flat_amount": "1"},
    {"from_value": 1001, "to_value": 5000, "rate": "1.5", "flat_amount": "2"},
    {"from_value": 5001, "to_value": None, "rate": "1", "flat_amount": "3"},
]
SUMMED = ("gb", "gb")
COUNTED = ("calls", None)

# Model, metric, properties, the values used, units, amount and unit price that all of it must show.
Case = tuple[str, tuple[str, str | None], dict[str, Any], list[str], str, int, str | None]
CASES: dict[str, Case] = {
    "standard": ("standard", SUMMED, {"amount": "0.07"}, ["12", "0.345"], "12.345", 86, "0.07"),
    "graduated": (
        "graduated",
        SUMMED,
        {"graduated_ranges": TIERS},
        ["100", "100.5", "49.5"],
        "250.0",
        11_750,
        "0.47",
    ),
    "graduated unused": ("graduated", SUMMED, {"graduated_ranges": TIERS}, [], "0.0", 1000, "0.0"),
    "graduated_percentage": (
        "graduated_percentage",
        SUMMED,
        {"graduated_percentage_ranges": SHARES},
        ["6200"],
        "6200.0",
        9800,
        "0.015806451612903",
    ),
    "package": (
        "package",
        SUMMED,
        {"package_size": 500, "amount": "12.5", "free_units": 50},
        ["1000", "50.5"],
        "1050.5",
        3750,
        "0.037481259370315",
    ),
    "percentage": (
        "percentage",
        SUMMED,
        {"rate": "1.5", "fixed_amount": "0.2"},
        ["50", "200", "30", "500"],
        "780.0",
        1250,
        "0.016025641025641",
    ),
    "percentage of a count": (
        "percentage",
        COUNTED,
        {
            "rate": "10",
            "fixed_amount": "1",
            "free_units_per_events": 2,
            "per_transaction_max_amount": "1.05",
        },
        ["1"] * 5,
        "5.0",
        315,
        "0.63",
    ),
    "dynamic": ("dynamic", SUMMED, {}, ["3", "4"], "7.0", 1245, "1.778214285714286"),
    "volume": ("volume", SUMMED, {"volume_ranges": TIERS}, ["100.2"], "100.2", 4508, None),
}


async def subscribed(
    shop: Shop, model: str, metric: tuple[str, str | None], start: str = "2024-06-01", **charge: Any
) -> Shop:
    """A customer with three days of grace, subscribed to a plan with one charge and a tax."""
    code, field = metric
    await shop.at(start)
    await shop.metric(code, field)
    await shop.tax("vat", "20")
    metric_id = str(shop.engine.organization(shop.id).metrics[code].id)
    plan = {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "tax_codes": ["vat"],
        "charges": [{"billable_metric_id": metric_id, "charge_model": model, **charge}],
    }
    await shop.organization(c.CreatePlan, input=plan)
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3})
    return await shop.subscribe("acme", "pro")


def only(shop: Shop) -> dict[str, Any]:
    (invoice,) = shop.invoices("acme")
    return invoice


async def previewed(shop: Shop) -> dict[str, Any]:
    """The charge fee of the invoice that would be next."""
    given = {"customer": {"external_id": "acme"}, "subscriptions": {"external_ids": ["acme"]}}
    preview = await shop.engine.preview_invoice(shop.id, given)
    return charge_fee(msgspec.json.decode(preview.invoice))


def charge_fee(invoice: dict[str, Any]) -> dict[str, Any]:
    (fee,) = (fee for fee in invoice["fees"] if fee["item"]["type"] == "charge")
    return fee


@pytest.mark.parametrize("name", CASES)
async def test_one_amount_from_usage_to_replay(tmp_path: Path, name: str) -> None:
    model, metric, properties, values, units, amount, unit_price = CASES[name]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, model, metric, properties=properties)
        for day, value in enumerate(values, 1):
            event = shop.event("acme", metric[0], at=f"2024-06-{day:02}T10:00:00Z", gb=value)
            # Only the dynamic model reads it.
            event["precise_total_amount_cents"] = ("1234.5", "10.25", "0", "0", "0")[day - 1]
            status, answer = await shop.ingest([event])
            assert status == 200, answer
        await shop.at("2024-06-20T00:00:00Z")
        usage = await shop.usage("acme")
        [used] = usage["charges_usage"]
        assert (used["units"], used["events_count"]) == (units, len(values))
        assert (used["amount_cents"], usage["amount_cents"]) == (amount, amount)
        assert used["charge"]["charge_model"] == model
        estimated = await previewed(shop)
        assert (estimated["units"], estimated["amount_cents"]) == (units, amount)

        await shop.advance_to("2024-07-01T06:00:00Z")
        draft = only(shop)
        drafted = charge_fee(draft)
        assert draft["status"] == "draft"
        assert (drafted["units"], drafted["amount_cents"]) == (units, amount)
        assert drafted["events_count"] == len(values)
        assert drafted["taxes_amount_cents"] == round(amount / 5)
        if unit_price is not None:
            assert drafted["precise_unit_amount"] == unit_price

        await shop.advance_to("2024-07-04T06:00:00Z")
        final = only(shop)
        assert (final["status"], final["fees_amount_cents"]) == ("finalized", amount)
        moving = {"payment_status", "lago_invoice_id"}
        billed = charge_fee(final)
        assert {k: v for k, v in billed.items() if k not in moving} == {
            k: v for k, v in drafted.items() if k not in moving
        }
        _assert_printed(shop, final)
    assert home.assert_sound().invoices == 2


def _assert_printed(shop: Shop, invoice: dict[str, Any]) -> None:
    """What a person is shown: formulas where the price of a unit is an average."""
    organization = shop.documents("organization")[0]
    view = invoice_view(invoice, organization)
    notes = [note for group in view.groups for line in group.lines for note in line.notes]
    fee = charge_fee(invoice)
    has_formula = bool(fee["amount_details"])
    assert any(sign in note for note in notes for sign in "×€") is has_formula, notes
    assert render_invoice(invoice, organization, Style(archival=True)).startswith(b"%PDF-")
    explained = explain(shop.engine.store, invoice["lago_id"])
    (lines,) = (each.derivation for each in explained.fees if each.item.startswith("charge"))
    assert lines[0].endswith(f"aggregate to {fee['units']} units")
    assert any(f"→ {fee['amount_cents']} minor units" in line for line in lines)
    assert (len(lines) > 2) is has_formula


async def test_a_minimum_is_billed_and_not_shown_as_usage(tmp_path: Path) -> None:
    """The example of charges §12: 15 of 30 days of 100.00, of which 12.34 were used."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(
            shop,
            "standard",
            SUMMED,
            "2024-06-16T09:30:00Z",
            properties={"amount": "1"},
            min_amount_cents=10_000,
            invoice_display_name="Storage",
        )
        await shop.use("acme", "gb", at="2024-06-20T00:00:00Z", gb="12.34")
        await shop.at("2024-06-21T00:00:00Z")
        assert (await shop.usage("acme"))["amount_cents"] == 1234

        await shop.advance_to("2024-07-01T06:00:00Z")
        draft = only(shop)
        parent, true_up = (fee for fee in draft["fees"] if fee["item"]["type"] == "charge")
        assert (parent["amount_cents"], true_up["amount_cents"]) == (1234, 3766)
        assert parent["lago_true_up_fee_id"] == true_up["lago_id"]
        assert true_up["lago_true_up_parent_fee_id"] == parent["lago_id"]
        assert (true_up["units"], true_up["events_count"]) == ("1.0", 0)
        assert true_up["precise_unit_amount"] == "37.66"
        assert true_up["taxes_amount_cents"] == 753
        assert true_up["item"]["invoice_display_name"] == "Storage"

        await shop.use("acme", "gb", at="2024-06-21T00:00:00Z", gb="40")
        await shop.advance_to("2024-07-04T06:00:00Z")
        final = only(shop)
        assert [fee["amount_cents"] for fee in final["fees"]] == [0, 5234]
        assert final["fees"][1]["lago_true_up_fee_id"] is None
        assert len(shop.documents("fee")) == sum(len(i["fees"]) for i in shop.invoices("acme"))
    home.assert_sound()


async def test_a_minimum_without_usage_is_billed_beside_a_fee_of_zero(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, "package", SUMMED, properties={}, min_amount_cents=700)
        await shop.advance_to("2024-07-04T06:00:00Z")
        invoice = only(shop)
        parent, true_up = (fee for fee in invoice["fees"] if fee["item"]["type"] == "charge")
        assert (parent["units"], parent["amount_cents"]) == ("0.0", 0)
        assert (true_up["amount_cents"], invoice["fees_amount_cents"]) == (700, 700)
        assert true_up["amount_details"] == parent["amount_details"]
        explained = explain(shop.engine.store, invoice["lago_id"])
        (line,) = (
            line
            for each in explained.fees
            for line in each.derivation
            if line.startswith("what the usage of the charge falls short of")
        )
        assert invoice["fees"][-1]["from_date"] in line
        view = invoice_view(invoice, shop.documents("organization")[0])
        assert any("Gb" in line.name and line.name != "Gb" for line in view.groups[0].lines)
    home.assert_sound()
