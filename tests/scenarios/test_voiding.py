"""What a voided invoice had used comes back (invoices.md §11), and drafts that are thrown away (§8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c
from lago_engine.errors import NotAllowed


async def void(shop: Shop, invoice: dict[str, Any]) -> None:
    await shop.order(c.VoidInvoice, "acme", invoice_id=UUID(invoice["lago_id"]), input={})


async def test_coupons_and_credit_notes_come_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-01-01")
        await shop.plan("basic", 10_000)
        await shop.customer("acme")
        await shop.subscribe("acme", "basic")
        given = {
            "code": "k", "name": "K", "coupon_type": "fixed_amount", "amount_cents": 2_000,
            "amount_currency": "EUR", "frequency": "once", "expiration": "no_expiration",
        }  # fmt: skip
        await shop.organization(c.CreateCoupon, input=given)
        await shop.advance_to("2024-02-02")
        (first,) = shop.invoices("acme")
        items = [{"fee_id": first["fees"][0]["lago_id"], "amount_cents": 3_000}]
        note = {"items": items, "credit_amount_cents": 3_000}
        await shop.order(c.CreateCreditNote, "acme", invoice_id=UUID(first["lago_id"]), input=note)
        await shop.order(c.ApplyCoupon, "acme", input={"coupon_code": "k"})
        await shop.advance_to("2024-03-02")
        used = shop.invoices("acme")[-1]
        assert used["total_amount_cents"] == 5_000
        assert shop.documents("applied_coupon")[0]["status"] == "terminated"
        assert shop.documents("credit_note")[0]["credit_status"] == "consumed"
        await void(shop, used)
        (applied,) = shop.documents("applied_coupon")
        assert (applied["status"], applied["amount_cents_remaining"]) == ("active", 2_000)
        assert applied["credits"] == []
        (restored,) = shop.documents("credit_note")
        assert (restored["credit_status"], restored["balance_amount_cents"]) == (
            "available",
            3_000,
        )
        await shop.advance_to("2024-04-02")
        assert shop.invoices("acme")[-1]["total_amount_cents"] == 5_000
    home.assert_sound()


async def test_a_draft_that_is_thrown_away_is_not_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home, billing_configuration={"invoice_grace_period": 5}) as shop:
        await shop.at("2024-01-01")
        await shop.plan("basic", 10_000)
        await shop.customer("acme")
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-02-02")
        (draft,) = shop.invoices("acme")
        draft_id = UUID(draft["lago_id"])
        await shop.order(c.DeleteInvoice, "acme", invoice_id=draft_id)
        assert shop.invoices("acme") == shop.documents("fee") == []
        await shop.advance_to("2024-03-08")
        (only,) = shop.invoices("acme")
        assert only["billing_periods"][0]["subscription_from_datetime"] == "2024-02-01T00:00:00Z"
        with pytest.raises(NotAllowed, match="not_deletable"):
            await shop.order(c.DeleteInvoice, "acme", invoice_id=UUID(only["lago_id"]))
    home.assert_sound()


async def test_a_one_off_invoice_replays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.tax("vat", "7.7", applied_to_organization=True)
        given = {"code": "a", "name": "A", "amount_cents": 333, "amount_currency": "EUR"}
        await shop.organization(c.CreateAddOn, input=given)
        await shop.customer("acme")
        sale = {"add_on_code": "a", "units": "1.5"}
        await shop.order(
            c.CreateOneOffInvoice, "acme", input={"currency": "EUR", "fees": [sale, sale]}
        )
        (invoice,) = shop.invoices("acme")
        # 333 × 1.5 = 499.5, twice; 7.7 % of 1000.
        assert (invoice["fees_amount_cents"], invoice["taxes_amount_cents"]) == (1_000, 77)
        assert invoice["number"].endswith("-001-001")
    home.assert_sound()
