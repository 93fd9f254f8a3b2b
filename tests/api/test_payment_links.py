"""`POST /invoices/:id/payment_url` (payments.md §6)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

PATH = "/invoices/{}/payment_url"
LINK = {"payment_provider": "stripe", "payment_provider_code": "sim", "sync_with_provider": True}


@pytest.fixture
def connected(api: Api) -> Api:
    """A simulated stripe that refuses every charge, and an add-on to sell."""
    given = {"code": "sim", "type": "stripe", "outcome": "failed"}
    api("POST", "/test_clock/payment_providers", body={"payment_provider": given})
    api.create("add_on", "/add_ons", name="Setup", code="setup", amount_cents=900,
               amount_currency="EUR")  # fmt: skip
    return api


def sold(api: Api, **customer: Any) -> str:
    """An open invoice of 9.00."""
    api.customer(currency="EUR", **customer)
    invoice = api.create(
        "invoice", "/invoices", external_customer_id="acme", fees=[{"add_on_code": "setup"}]
    )
    return str(invoice["lago_id"])


def refused(api: Api, invoice_id: str) -> Any:
    return api("POST", PATH, invoice_id, status=422)["error_details"]


def test_where_to_pay(connected: Api) -> None:
    invoice_id = sold(connected, billing_configuration=LINK)
    details = connected("POST", PATH, invoice_id)["invoice_payment_details"]
    assert details["payment_url"].startswith("https://checkout.simulated.invalid/")
    assert (details["payment_provider"], details["external_customer_id"]) == ("stripe", "acme")
    assert details["lago_invoice_id"] == invoice_id
    assert connected("POST", PATH, invoice_id)["invoice_payment_details"] == details


def test_who_has_no_provider(connected: Api) -> None:
    assert refused(connected, sold(connected)) == {"base": ["no_linked_payment_provider"]}


def test_what_cannot_be_paid(connected: Api) -> None:
    invoice_id = sold(connected, billing_configuration=LINK)
    connected("POST", "/invoices/{}/void", invoice_id)
    wrong = {"base": ["invalid_invoice_status_or_payment_status"]}
    assert refused(connected, invoice_id) == wrong
    nobody = "00000000-0000-0000-0000-000000000000"
    assert connected("POST", PATH, nobody, status=404)["code"] == "invoice_not_found"
