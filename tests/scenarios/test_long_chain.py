"""One customer through everything that touches an amount, to the cent, and the proof by replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from engine_kit import Home, Shop, sandbox

from lago_engine.audit.explain import explain
from lago_engine.domain import commands as c


async def coupon(shop: Shop, code: str, **given: Any) -> None:
    fields = {"code": code, "name": code, "expiration": "no_expiration"} | given
    await shop.organization(c.CreateCoupon, input=fields)
    await shop.order(c.ApplyCoupon, "acme", input={"coupon_code": code})


async def open_shop(shop: Shop) -> None:
    """100.00 a month and two metrics; 20 % on everything, 5.5 % more on the second metric."""
    await shop.at("2024-05-01")
    await shop.tax("vat", "20", applied_to_organization=True)
    await shop.tax("city", "5.5")
    await shop.metric("m", "units")
    await shop.metric("n", "units")
    metrics = shop.engine.organization(shop.id).metrics
    charges = [
        {
            "billable_metric_id": str(metrics[code].id),
            "charge_model": "standard",
            "properties": {"amount": "0.01"},
            "tax_codes": taxes,
        }
        for code, taxes in (("m", []), ("n", ["vat", "city"]))
    ]
    plan = {
        "code": "basic",
        "name": "Basic",
        "interval": "monthly",
        "amount_cents": 10_000,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": charges,
    }
    await shop.organization(c.CreatePlan, input=plan)
    await shop.customer("acme")
    await shop.subscribe("acme", "basic")


def latest(shop: Shop) -> dict[str, Any]:
    return shop.invoices("acme")[-1]


async def test_the_long_chain(tmp_path: Path) -> None:
    """Usage → fees → coupons → taxes → credit notes → payment → note → void → the next period."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        one_off = {
            "code": "extra",
            "name": "Extra",
            "amount_cents": 1_250,
            "amount_currency": "EUR",
        }
        await shop.organization(c.CreateAddOn, input=one_off)
        sale = {"currency": "EUR", "fees": [{"add_on_code": "extra"}]}
        await shop.order(c.CreateOneOffInvoice, "acme", input=sale)
        sold = latest(shop)
        assert sold["total_amount_cents"] == 1_500
        items = [{"fee_id": sold["fees"][0]["lago_id"], "amount_cents": 1_250}]
        note = {"items": items, "credit_amount_cents": 1_500}
        sold_id = UUID(sold["lago_id"])
        await shop.order(c.CreateCreditNote, "acme", invoice_id=sold_id, input=note)
        await shop.use("acme", "m", at="2024-05-10", units=3_333)
        await shop.use("acme", "n", at="2024-05-11", units=1_234)
        await coupon(
            shop,
            "k1",
            coupon_type="percentage",
            percentage_rate="10",
            frequency="forever",
            applies_to={"billable_metric_codes": ["m"]},
        )
        await coupon(
            shop,
            "k2",
            coupon_type="fixed_amount",
            amount_cents=2_000,
            amount_currency="EUR",
            frequency="recurring",
            frequency_duration=2,
        )
        await shop.advance_to("2024-06-01T06:00:00Z")
        # The worked example of invoices.md §6.7 without its wallet.
        first = latest(shop)
        assert [fee["amount_cents"] for fee in first["fees"]] == [10_000, 3_333, 1_234]
        assert first["coupons_amount_cents"] == 2_333
        assert first["taxes_amount_cents"] == 2_505
        assert first["credit_notes_amount_cents"] == 1_500
        assert first["total_amount_cents"] == 13_239
        # What the example of coupons_wallets_credit_notes.md §11.1 gives back, half of it as an offset.
        fees = first["fees"]
        items = [
            {"fee_id": fees[0]["lago_id"], "amount_cents": 5_000},
            {"fee_id": fees[2]["lago_id"], "amount_cents": 617},
        ]
        first_id = UUID(first["lago_id"])
        paid = {"invoice_id": first["lago_id"], "amount_cents": 7_417, "reference": "half"}
        await shop.order(c.RecordManualPayment, "acme", invoice_id=first_id, input=paid)
        note = {"items": items, "offset_amount_cents": 5_822}
        await shop.order(c.CreateCreditNote, "acme", invoice_id=first_id, input=note)
        (first,) = (each for each in shop.invoices("acme") if each["lago_id"] == first["lago_id"])
        assert (first["payment_status"], first["total_due_amount_cents"]) == ("succeeded", 0)
        # June has no usage: the second and last use of k2.
        await shop.advance_to("2024-07-01T06:00:00Z")
        second = latest(shop)
        assert (second["coupons_amount_cents"], second["total_amount_cents"]) == (2_000, 9_600)
        second_id = UUID(second["lago_id"])
        await shop.order(c.VoidInvoice, "acme", invoice_id=second_id, input={})
        # Voiding gave it back, so that July has it.
        await shop.advance_to("2024-08-01T06:00:00Z")
        assert latest(shop)["coupons_amount_cents"] == 2_000
        states = {each["coupon_code"]: each["status"] for each in shop.documents("applied_coupon")}
        assert states == {"k1": "active", "k2": "terminated"}
        lines = explain(shop.engine.store, first["number"]).derivation
        assert any(line.startswith("coupon k1: -333") for line in lines)
        assert any(line.startswith("credit_note ") and "-1500" in line for line in lines)
    home.assert_sound()
