"""Coupons over the periods of a subscription (coupons_wallets_credit_notes.md §3, invoices.md §6.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

EUR = {"amount_currency": "EUR", "coupon_type": "fixed_amount", "expiration": "no_expiration"}


async def shop_with(shop: Shop, **given: Any) -> Shop:
    """A customer who pays 100.00 a month, with one coupon since its start."""
    await shop.at("2024-01-01")
    await shop.plan("basic", 10_000)
    await shop.customer("acme")
    fields = {"code": "k", "name": "K", "frequency": "once"} | EUR | given
    await shop.organization(c.CreateCoupon, input=fields)
    await shop.subscribe("acme", "basic")
    await shop.order(
        c.ApplyCoupon, "acme", input={"external_customer_id": "acme", "coupon_code": "k"}
    )
    return shop


def coupons_taken(shop: Shop) -> list[int]:
    return [invoice["coupons_amount_cents"] for invoice in shop.invoices("acme")]


def applied(shop: Shop) -> dict[str, Any]:
    (document,) = shop.documents("applied_coupon", "acme")
    return document


async def test_a_fixed_amount_lasts_until_it_is_used_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=15_000)
        await shop.advance_to("2024-02-02")
        assert coupons_taken(shop) == [10_000]
        assert (applied(shop)["status"], applied(shop)["amount_cents_remaining"]) == (
            "active",
            5_000,
        )
        (invoice,) = shop.invoices("acme")
        assert (invoice["total_amount_cents"], invoice["payment_status"]) == (0, "succeeded")
        assert invoice["credits"][0]["item"]["code"] == "k"
        await shop.advance_to("2024-05-02")
        assert coupons_taken(shop) == [10_000, 5_000, 0, 0]
        assert applied(shop)["status"] == "terminated"
        assert [credit["amount_cents"] for credit in applied(shop)["credits"]] == [10_000, 5_000]
    home.assert_sound()


async def test_a_recurring_coupon_lasts_for_its_invoices(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(
            shop,
            coupon_type="percentage",
            percentage_rate="10",
            frequency="recurring",
            frequency_duration=2,
        )
        await shop.advance_to("2024-05-02")
        assert coupons_taken(shop) == [1_000, 1_000, 0, 0]
        assert applied(shop)["frequency_duration_remaining"] == 0
        assert applied(shop)["terminated_at"] == "2024-03-01T00:00:00Z"
    home.assert_sound()


async def test_drafts_use_no_coupon_until_they_are_finalized(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home, billing_configuration={"invoice_grace_period": 3}) as shop:
        await shop_with(shop, amount_cents=1_000)
        await shop.advance_to("2024-02-02")
        (draft,) = shop.invoices("acme")
        assert (draft["status"], draft["coupons_amount_cents"]) == ("draft", 0)
        assert applied(shop)["amount_cents_remaining"] == 1_000
        await shop.advance_to("2024-02-05")
        assert coupons_taken(shop) == [1_000]
        assert applied(shop)["amount_cents_remaining"] == 0
    home.assert_sound()


async def test_a_deleted_coupon_is_not_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=100, frequency="forever")
        await shop.advance_to("2024-02-02")
        await shop.organization(c.DeleteCoupon, code="k")
        await shop.advance_to("2024-03-02")
        assert coupons_taken(shop) == [100, 0]
    home.assert_sound()
