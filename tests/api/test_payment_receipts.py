"""Receipts over HTTP (payments §10)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from api.client import Api
from pypdf import PdfReader

UNKNOWN = "0196f3a0-0000-8000-8000-00000000dead"


@pytest.fixture
def invoice(api: Api) -> Any:
    """A finalized invoice of 100.00."""
    api.plan(amount_cents=10_000)
    api.customer(name="Acme Robotics")
    api.set_clock("2024-01-01T00:00:00Z")
    api.subscription()
    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-02-01T12:00:00Z"}})
    return api("GET", "/invoices")["invoices"][0]


def pay(api: Api, invoice: Any, amount: int) -> Any:
    body = {"invoice_id": invoice["lago_id"], "amount_cents": amount, "reference": "transfer 7"}
    return api("POST", "/payments", body={"payment": body})["payment"]


def test_every_payment_has_a_receipt(api: Api, invoice: Any) -> None:
    payments = [pay(api, invoice, 4_000), pay(api, invoice, 6_000)]
    receipts = api("GET", "/payment_receipts")["payment_receipts"]
    assert [receipt["payment"] for receipt in receipts] == payments[::-1]
    slug = invoice["customer"]["slug"]
    assert [receipt["number"] for receipt in receipts] == [
        f"{slug}-RCPT-000002",
        f"{slug}-RCPT-000001",
    ]
    path = "/payment_receipts/{}"
    assert api("GET", path, receipts[0]["lago_id"]) == {"payment_receipt": receipts[0]}


def test_receipts_of_one_invoice(api: Api, invoice: Any) -> None:
    pay(api, invoice, 4_000)
    for invoice_id, count in ((invoice["lago_id"], 1), (UNKNOWN, 0)):
        listed = api("GET", "/payment_receipts", query={"invoice_id": invoice_id})
        assert len(listed["payment_receipts"]) == listed["meta"]["total_count"] == count
    refused = api("GET", "/payment_receipts", query={"invoice_id": "x"}, status=422)
    assert refused["error_details"] == {"invoice_id": ["value_is_invalid"]}


def test_a_receipt_is_a_pdf(api: Api, invoice: Any) -> None:
    pay(api, invoice, 4_000)
    [receipt] = api("GET", "/payment_receipts")["payment_receipts"]
    file = httpx.get(receipt["file_url"])
    assert file.headers["Content-Type"] == "application/pdf"
    text = PdfReader(io.BytesIO(file.content)).pages[0].extract_text()
    for shown in (receipt["number"], "transfer 7", "Acme Robotics", "€40.00", invoice["number"]):
        assert shown in text


@pytest.mark.parametrize("receipt_id", [UNKNOWN, "malformed"])
def test_an_unknown_receipt_is_not_found(api: Api, receipt_id: str) -> None:
    refused = api("GET", "/payment_receipts/{}", receipt_id, status=404)
    assert refused["code"] == "payment_receipt_not_found"
