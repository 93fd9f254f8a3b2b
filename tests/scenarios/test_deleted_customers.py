"""A customer is deleted: everything ends, what is owed is billed, and somebody else may have the external id (customers.md §6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.errors import NotFound

DELETED_AT = "2024-06-18T09:00:00Z"
PRICES = {"calls": "1"}


async def open_shop(shop: Shop, **customer: Any) -> Shop:
    await shop.at("2024-06-01")
    await shop.organization(c.CreateWebhookEndpoint, input={"webhook_url": "http://127.0.0.1:9/"})
    await shop.metric("calls")
    await shop.plan("arrears", 3000, PRICES)
    await shop.plan("advance", 3000, pay_in_advance=True)
    await shop.plan("small-advance", 1000, pay_in_advance=True)
    await shop.customer("acme", **customer)
    return shop


def webhooks(shop: Shop, after: int = 0) -> list[str]:
    return [row.webhook_type for row in shop.engine.store.outbox.list(shop.id, after, 1_000)]


def statuses(shop: Shop) -> dict[str, str]:
    return {each["external_id"]: each["status"] for each in shop.documents("subscription")}


async def test_what_a_customer_has_ends_with_it(tmp_path: Path) -> None:
    """18 of 30 days of 30.00 in arrears with one call; 12 days of 30.00 in advance come back."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop)
        await shop.subscribe("acme", "arrears", "a")
        await shop.subscribe("acme", "advance", "b")
        await shop.subscribe("acme", "arrears", "later", subscription_at="2024-07-05T00:00:00Z")
        await shop.advance_to("2024-06-10")
        await shop.subscribe("acme", "small-advance", "b")
        await shop.organization(
            c.CreateCoupon,
            input={
                "name": "Gift", "code": "gift", "coupon_type": "percentage", "percentage_rate": "10",
                "frequency": "forever", "expiration": "no_expiration",
            },
        )  # fmt: skip
        await shop.order(c.ApplyCoupon, "acme", input={"coupon_code": "gift"})
        await shop.order(
            c.CreateWallet,
            "acme",
            input={"currency": "USD", "rate_amount": "1", "granted_credits": "5"},
        )
        await shop.advance_to(DELETED_AT)
        await shop.use("a", "calls", at="2024-06-17")
        before, sent = len(shop.invoices()), len(webhooks(shop))
        await shop.order(c.DeleteCustomer, "acme")
        assert statuses(shop) == {"a": "terminated", "b": "canceled", "later": "canceled"}
        ended = {s["plan_code"]: s["terminated_at"] for s in shop.documents("subscription")}
        assert ended["advance"] == DELETED_AT
        assert shop.documents("customer") == []
        (coupon,) = shop.documents("applied_coupon")
        assert (coupon["status"], coupon["terminated_at"]) == ("terminated", DELETED_AT)
        (wallet,) = shop.documents("wallet")
        assert wallet["status"] == "terminated"
        closing = shop.invoices()[before:]
        # The coupon still counts for what ends with it.
        assert sorted(invoice["fees_amount_cents"] for invoice in closing) == [0, 1900]
        assert sorted(invoice["coupons_amount_cents"] for invoice in closing) == [0, 190]
        (note,) = shop.documents("credit_note")
        assert note["total_amount_cents"] == 1200
        told = webhooks(shop)[sent:]
        assert sorted(kind for kind in told if kind.startswith("subscription.")) == [
            "subscription.canceled", "subscription.canceled",
            "subscription.terminated", "subscription.terminated",
        ]  # fmt: skip
        assert not any(kind.startswith("customer.") for kind in told)
        await shop.advance_to("2024-09-01")
        assert len(shop.invoices()) == before + len(closing)
    home.assert_sound()


async def test_drafts_become_final_five_minutes_later(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop, billing_configuration={"invoice_grace_period": 20})
        await shop.subscribe("acme", "arrears", "a")
        await shop.advance_to(DELETED_AT)
        await shop.order(c.DeleteCustomer, "acme")
        (draft,) = shop.invoices()
        assert (draft["status"], draft["total_amount_cents"]) == ("draft", 1800)
        await shop.advance_to("2024-06-18T09:04:59Z")
        assert shop.invoices()[0]["status"] == "draft"
        await shop.advance_to("2024-06-18T09:05:00Z")
        (final,) = shop.invoices()
        assert (final["status"], final["issuing_date"]) == ("finalized", "2024-06-18")
        assert final["total_amount_cents"] == 1800
    home.assert_sound()


async def test_the_next_customer_with_the_external_id_is_another_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await open_shop(shop, timezone="Asia/Tokyo")
        await shop.subscribe("acme", "arrears", "a")
        (first,) = shop.documents("customer")
        await shop.advance_to(DELETED_AT)
        await shop.order(c.DeleteCustomer, "acme")
    # The engine that goes on knows it from the log.
    async with running(home, ManualClock(instant(DELETED_AT))) as opened:
        shop = Shop(opened)
        with pytest.raises(NotFound, match="customer"):
            await shop.order(c.DeleteCustomer, "acme")
        for command in (c.UpsertCustomer, c.CreateSubscription):
            # A request that set out before the deletion and comes after it.
            more = {"external_id": "acme"} if command is c.UpsertCustomer else {}
            with pytest.raises(NotFound, match="customer"):
                await shop.order(command, "acme", **more, input=SAME)
        again = shop.engine.organization(shop.id).customer_id("acme")
        await shop.order_by_id(c.CreateSubscription, again, input=SAME)
        (second,) = shop.documents("customer")
        assert second["lago_id"] == str(again) != first["lago_id"]
        assert (second["external_id"], second["timezone"]) == ("acme", None)
        assert second["sequential_id"] == first["sequential_id"] + 1
        old, new = shop.documents("subscription")
        assert (old["status"], new["status"]) == ("terminated", "active")
        assert new["lago_customer_id"] == second["lago_id"]
        await shop.use("a", "calls")
        await shop.advance_to("2024-07-02")
        closing, july = shop.invoices()
        assert closing["customer"]["lago_id"] == first["lago_id"]
        assert july["customer"]["lago_id"] == second["lago_id"]
        assert (closing["number"], july["number"]) == ("ACM-A5CE-001-001", "ACM-A5CE-002-001")
        # 13 days of 30, and the call.
        assert july["total_amount_cents"] == 1300 + 100
        await shop.order_by_id(c.DeleteCustomer, again)
        assert shop.engine.organization(shop.id).customer_id("acme") not in (
            again,
            first["lago_id"],
        )
    home.assert_sound()


SAME = {"external_customer_id": "acme", "plan_code": "arrears", "external_id": "a"}
