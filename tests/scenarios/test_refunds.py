"""Refunds of credit notes through a payment provider (payments.md §9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.store import Store

CODE = "fp"
LINK = {
    "payment_provider": "stripe",
    "payment_provider_code": CODE,
    "provider_customer_id": "cus_1",
}


async def paid(shop: Shop) -> dict[str, Any]:
    """An invoice of 10.00 that the simulated provider collected."""
    given = {"code": CODE, "type": "stripe", "outcome": "succeeded"}
    await shop.organization(c.ConnectPaymentProvider, input=given)
    await shop.at("2024-01-01")
    await shop.plan("basic", 1_000)
    await shop.customer("acme", billing_configuration=LINK)
    await shop.subscribe("acme", "basic")
    await shop.advance_to("2024-02-01T12:00:00Z")
    (invoice,) = shop.invoices("acme")
    assert invoice["payment_status"] == "succeeded"
    return invoice


async def refund(shop: Shop, invoice: dict[str, Any], amount: int) -> None:
    items = [{"fee_id": invoice["fees"][0]["lago_id"], "amount_cents": amount}]
    given = {"items": items, "refund_amount_cents": amount}
    await shop.order(c.CreateCreditNote, "acme", invoice_id=UUID(invoice["lago_id"]), input=given)


def statuses(shop: Shop) -> list[str]:
    return [note["refund_status"] for note in shop.documents("credit_note")]


def facts(store: Store, topic: str) -> int:
    return len(store.read_log(0, 10_000, (topic,)))


async def test_the_provider_that_collected_gives_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        invoice = await paid(shop)
        await refund(shop, invoice, 300)
        await refund(shop, invoice, 700)
        assert statuses(shop) == ["succeeded", "succeeded"]
        (note, _) = shop.documents("credit_note")
        assert note["refunded_at"] == "2024-02-01T12:00:00Z"
        # What comes late changes nothing.
        late = PaymentOutcome(status="failed", payment_status="failed")
        note_id = UUID(note["lago_id"])
        await shop.order(c.RecordRefundOutcome, "acme", credit_note_id=note_id, outcome=late)
        assert statuses(shop) == ["succeeded", "succeeded"]
    home.assert_sound()


async def test_nothing_is_refunded_after_a_lost_dispute(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        invoice = await paid(shop)
        await shop.order(c.LoseDispute, "acme", invoice_id=UUID(invoice["lago_id"]))
        await refund(shop, invoice, 300)
        assert statuses(shop) == ["pending"]
        assert facts(shop.engine.store, "refund_requested.v1") == 0
    home.assert_sound()


async def test_a_transfer_is_given_back_by_hand(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-01-01")
        await shop.plan("basic", 1_000)
        await shop.customer("acme")
        await shop.subscribe("acme", "basic")
        await shop.advance_to("2024-02-01T12:00:00Z")
        (invoice,) = shop.invoices("acme")
        given = {"invoice_id": invoice["lago_id"], "amount_cents": 1_000, "reference": "r"}
        invoice_id = UUID(invoice["lago_id"])
        await shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=given)
        await refund(shop, invoice, 300)
        (note,) = shop.documents("credit_note")
        done = {"refund_status": "succeeded"}
        note_id = UUID(note["lago_id"])
        await shop.order(c.UpdateCreditNote, "acme", credit_note_id=note_id, input=done)
        assert statuses(shop) == ["succeeded"]
    home.assert_sound()


async def test_a_restart_does_not_refund_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await refund(shop, await paid(shop), 300)
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        again = Shop(opened)
        await again.engine.settle(again.id)
        assert statuses(again) == ["succeeded"]
        assert facts(again.engine.store, "refund_status_changed.v1") == 1
    home.assert_sound()
