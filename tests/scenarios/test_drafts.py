"""Invoices within their grace period, zero invoices, voiding (invoices.md §4, §8, §11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c
from lago_engine.errors import NotAllowed, NotFound


async def january(shop: Shop, **customer: Any) -> Shop:
    """A customer who pays 10.00 a month and 1.00 a call, from the first of January."""
    await shop.at("2024-01-01T00:00:00Z")
    await shop.metric("calls")
    await shop.plan("basic", 1000, {"calls": "1"})
    await shop.customer("acme", **customer)
    return await shop.subscribe("acme", "basic")


def only(shop: Shop) -> dict[str, Any]:
    (invoice,) = shop.invoices("acme")
    return invoice


def calls(invoice: dict[str, Any]) -> str | None:
    """The units of the call fee."""
    return next((f["units"] for f in invoice["fees"] if f["item"]["code"] == "calls"), None)


async def test_late_usage_is_billed_within_the_grace_period_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await january(shop, billing_configuration={"invoice_grace_period": 3}, net_payment_term=60)
        await shop.use("acme", "calls", at="2024-01-31T23:59:59Z")
        await shop.advance_to("2024-02-02T08:00:00Z")
        draft = only(shop)
        assert (draft["status"], draft["number"]) == ("draft", "ACM-A5CE-DRAFT")
        assert (draft["issuing_date"], draft["total_amount_cents"]) == ("2024-02-04", 1100)

        # Late, and the draft shows it once it is refreshed.
        await shop.use("acme", "calls", at="2024-01-15T00:00:00Z")
        assert calls(only(shop)) == "1.0"
        invoice_id = UUID(draft["lago_id"])
        await shop.order(c.RefreshInvoice, "acme", invoice_id=invoice_id)
        assert calls(only(shop)) == "2.0"
        assert only(shop)["created_at"] == draft["created_at"]

        # Later still, and finalizing counts it without a refresh.
        await shop.use("acme", "calls", at="2024-01-16T00:00:00Z")
        await shop.order(c.FinalizeInvoice, "acme", invoice_id=invoice_id)
        final = only(shop)
        assert (final["status"], final["number"]) == ("finalized", "ACM-A5CE-001-001")
        assert (calls(final), final["total_amount_cents"]) == ("3.0", 1300)
        assert (final["issuing_date"], final["payment_due_date"]) == ("2024-02-02", "2024-04-02")

        # Too late: stored, billed nowhere, and the invoice stays as it is.
        await shop.use("acme", "calls", at="2024-01-17T00:00:00Z")
        await shop.order(c.RefreshInvoice, "acme", invoice_id=invoice_id)
        with pytest.raises(NotFound):
            await shop.order(c.FinalizeInvoice, "acme", invoice_id=invoice_id)
        await shop.advance_to("2024-03-10")
        assert shop.invoices("acme")[0] | {"subscriptions": []} == final | {"subscriptions": []}
        assert calls(shop.invoices("acme")[1]) is None
        assert len(await shop.stored_events()) == 4
    assert home.assert_sound().invoices == 5


async def test_the_grace_period_ends_by_itself_at_local_midnight(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await january(
            shop, timezone="Asia/Tokyo", billing_configuration={"invoice_grace_period": 2}
        )
        await shop.advance_to("2024-02-02T14:59:59Z")
        assert only(shop)["status"] == "draft"
        await shop.advance_to("2024-02-02T15:00:00Z")
        assert only(shop)["status"] == "finalized"
        assert only(shop)["issuing_date"] == "2024-02-03"


@pytest.mark.parametrize(
    ("adjustment", "issuing_date"),
    [("keep_anchor", "2024-01-31"), ("align_with_finalization_date", "2024-02-06")],
)
async def test_issuing_dates_follow_the_customers_settings(
    tmp_path: Path, adjustment: str, issuing_date: str
) -> None:
    settings = {
        "invoice_grace_period": 5,
        "subscription_invoice_issuing_date_anchor": "current_period_end",
        "subscription_invoice_issuing_date_adjustment": adjustment,
    }
    async with sandbox(Home(tmp_path)) as shop:
        await january(shop, billing_configuration=settings, net_payment_term=15)
        await shop.advance_to("2024-02-10")
        due = {"2024-01-31": "2024-02-15", "2024-02-06": "2024-02-21"}[issuing_date]
        assert (only(shop)["issuing_date"], only(shop)["payment_due_date"]) == (issuing_date, due)


async def test_a_skipped_zero_invoice_closes_its_period_without_a_number(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-01-01T00:00:00Z")
        await shop.metric("calls")
        await shop.plan("free", 0, {"calls": "1"})
        await shop.customer("acme", finalize_zero_amount_invoice="skip")
        await shop.customer("other")
        await shop.subscribe("acme", "free")
        await shop.subscribe("other", "free")
        await shop.advance_to("2024-02-15")
        assert shop.invoices("acme") == []
        (zero,) = shop.invoices("other")
        assert (zero["status"], zero["payment_status"]) == ("finalized", "succeeded")
        await shop.use("acme", "calls")
        await shop.advance_to("2024-03-15")
        billed = only(shop)
        assert (billed["number"], billed["total_amount_cents"]) == ("ACM-A5CE-001-001", 100)
        assert billed["billing_periods"][0]["charges_from_datetime"] == "2024-02-01T00:00:00Z"
    home.assert_sound()


async def test_voiding(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await january(shop, billing_configuration={"invoice_grace_period": 1})
        await shop.advance_to("2024-02-01T12:00:00Z")
        invoice_id = UUID(only(shop)["lago_id"])
        with pytest.raises(NotAllowed, match="not_voidable"):
            await shop.order(c.VoidInvoice, "acme", invoice_id=invoice_id, input={})
        await shop.advance_to("2024-02-05T12:00:00Z")
        await shop.order(c.VoidInvoice, "acme", invoice_id=invoice_id, input={})
        voided = only(shop)
        assert (voided["status"], voided["voided_at"]) == ("voided", "2024-02-05T12:00:00Z")
        assert (voided["total_amount_cents"], voided["total_due_amount_cents"]) == (1000, 0)
        with pytest.raises(NotAllowed, match="not_voidable"):
            await shop.order(c.VoidInvoice, "acme", invoice_id=invoice_id, input={})
        await shop.advance_to("2024-03-05")
        # A voided invoice keeps its number, and its period is not billed again.
        assert [i["number"] for i in shop.invoices("acme")] == [
            "ACM-A5CE-001-001",
            "ACM-A5CE-001-002",
        ]
    home.assert_sound()
