"""Discounts and corrections with the official Python client, unmodified."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api
from lago_python_client.client import Client
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import (
    AddOn,
    AppliedCoupon,
    Coupon,
    CreditNote,
    CreditNoteEstimate,
    CreditNoteUpdate,
    Customer,
    Invoice,
    InvoiceMetadata,
    InvoiceMetadataList,
    OneOffInvoice,
)
from lago_python_client.models.credit_note import Item, Items
from lago_python_client.models.invoice import InvoiceFee, InvoiceFeesList


@pytest.fixture
def lago(api: Api) -> Client:
    """A client with the key inside the URL: on some lists it sends no other."""
    assert api.key is not None
    return Client(api_key=api.key, api_url=api.url.replace("http://", f"http://{api.key}@"))


def test_coupons(lago: Client) -> None:
    lago.customers.create(Customer(external_id="acme", name="Acme"))
    made = lago.coupons.create(
        Coupon(
            name="Ten",
            code="ten",
            coupon_type="percentage",
            percentage_rate=10.0,
            frequency="forever",
            expiration="no_expiration",
        )
    )
    assert (made.code, made.reusable) == ("ten", True)
    assert lago.coupons.update(Coupon(name="Tenth"), "ten").name == "Tenth"
    assert lago.coupons.find("ten").name == "Tenth"
    applied = lago.applied_coupons.create(
        AppliedCoupon(external_customer_id="acme", coupon_code="ten")
    )
    assert applied.status == "active"
    found = lago.applied_coupons.find_all({"external_customer_id": "acme"})
    assert [each.lago_id for each in found["applied_coupons"]] == [applied.lago_id]
    assert lago.applied_coupons.destroy("acme", applied.lago_id).status == "terminated"
    assert lago.coupons.find_all()["meta"]["total_count"] == 1
    assert lago.coupons.destroy("ten").code == "ten"


def one_off(lago: Client) -> Any:
    """An invoice of 50.00."""
    lago.customers.create(Customer(external_id="acme", name="Acme"))
    lago.add_ons.create(
        AddOn(name="Set-up", code="setup", amount_cents=2_500, amount_currency="EUR")
    )
    fees = InvoiceFeesList(__root__=[InvoiceFee(add_on_code="setup", units=2)])
    return lago.invoices.create(
        OneOffInvoice(external_customer_id="acme", currency="EUR", fees=fees)
    )


def test_one_off_invoices(lago: Client) -> None:
    invoice = one_off(lago)
    assert (invoice.total_amount_cents, invoice.invoice_type) == (5_000, "one_off")
    entries = InvoiceMetadataList(__root__=[InvoiceMetadata(key="order", value="7")])
    assert lago.invoices.update(Invoice(metadata=entries), invoice.lago_id).metadata
    paid = lago.invoices.update(Invoice(payment_status="succeeded"), invoice.lago_id)
    assert paid.payment_status == "succeeded"
    assert paid.metadata.__root__[0].value == "7"
    assert lago.invoices.lose_dispute(invoice.lago_id).payment_dispute_lost_at
    with pytest.raises(LagoApiError) as refused:
        lago.invoices.retry(invoice.lago_id)
    assert refused.value.status_code == 405
    assert lago.invoices.void(invoice.lago_id).status == "voided"


def test_credit_notes(lago: Client) -> None:
    invoice = one_off(lago)
    items = Items(__root__=[Item(fee_id=invoice.fees.__root__[0].lago_id, amount_cents=1_000)])
    estimate = lago.credit_notes.estimate(
        CreditNoteEstimate(invoice_id=invoice.lago_id, items=items)
    )
    assert estimate.max_creditable_amount_cents == 1_000
    note = lago.credit_notes.create(
        CreditNote(
            invoice_id=invoice.lago_id,
            reason="other",
            credit_amount_cents=1_000,
            items=items,
            metadata={"a": "1"},
        )
    )
    assert (note.total_amount_cents, note.credit_status) == (1_000, "available")
    assert lago.credit_notes.find(note.lago_id).items.__root__[0].amount_cents == 1_000
    changed = lago.credit_notes.update(CreditNoteUpdate(metadata={"b": "2"}), note.lago_id)
    assert changed.metadata == {"a": "1", "b": "2"}
    assert lago.credit_notes.find_all()["meta"]["total_count"] == 1
    assert lago.credit_notes.void(note.lago_id).credit_status == "voided"
