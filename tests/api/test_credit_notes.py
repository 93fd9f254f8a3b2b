"""Credit notes over HTTP (coupons_wallets_credit_notes.md §9 - §13)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from api.client import Api
from pypdf import PdfReader


@pytest.fixture
def invoice(api: Api) -> Any:
    """A finalized invoice of 100.00 and 20 % tax, not paid."""
    api.create("tax", "/taxes", name="VAT", code="vat", rate="20", applied_to_organization=True)
    api.plan(amount_cents=10_000)
    api.customer()
    api.set_clock("2024-01-01T00:00:00Z")
    api.subscription()
    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-02-01T12:00:00Z"}})
    (listed,) = api("GET", "/invoices")["invoices"]
    return api("GET", "/invoices/{}", listed["lago_id"])["invoice"]


def given(invoice: Any, amount: Any = 5_000, **fields: Any) -> Any:
    items = [{"fee_id": invoice["fees"][0]["lago_id"], "amount_cents": amount}]
    return {"credit_note": {"invoice_id": invoice["lago_id"], "items": items} | fields}


def refused(api: Api, body: Any) -> Any:
    return api("POST", "/credit_notes", body=body, status=422)["error_details"]


def pay(api: Api, invoice: Any, amount: int) -> None:
    body = {"invoice_id": invoice["lago_id"], "amount_cents": amount, "reference": "r"}
    api("POST", "/payments", body={"payment": body})


def test_a_credit_is_kept_for_the_next_invoice(api: Api, invoice: Any) -> None:
    body = given(invoice, credit_amount_cents=6_000, reason="order_change", description="Sorry")
    note = api("POST", "/credit_notes", body=body)["credit_note"]
    assert note["number"] == f"{invoice['number']}-CN001"
    assert (note["credit_status"], note["refund_status"]) == ("available", None)
    assert (note["total_amount_cents"], note["balance_amount_cents"]) == (6_000, 6_000)
    assert (note["taxes_amount_cents"], note["taxes_rate"]) == (1_000, 20)
    assert note["items"][0]["fee"]["lago_id"] == invoice["fees"][0]["lago_id"]
    assert api("GET", "/credit_notes/{}", note["lago_id"]) == {"credit_note": note}
    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-03-01T12:00:00Z"}})
    latest = api("GET", "/invoices")["invoices"][0]
    assert (latest["credit_notes_amount_cents"], latest["total_amount_cents"]) == (6_000, 6_000)
    after = api("GET", "/credit_notes/{}", note["lago_id"])["credit_note"]
    assert (after["credit_status"], after["balance_amount_cents"]) == ("consumed", 0)
    credit = api("GET", "/invoices/{}", latest["lago_id"])["invoice"]["credits"][0]
    assert credit["item"]["code"] == note["number"]
    assert credit["item"]["name"] == invoice["number"]
    assert credit["before_taxes"] is False


def test_an_offset_lowers_what_is_due(api: Api, invoice: Any) -> None:
    body = given(invoice, offset_amount_cents=6_000)
    api("POST", "/credit_notes", body=body)
    after = api("GET", "/invoices/{}", invoice["lago_id"])["invoice"]
    assert (after["total_due_amount_cents"], after["payment_status"]) == (6_000, "pending")
    assert after["total_offsetted_credit_note_amount_cents"] == 6_000
    api("POST", "/credit_notes", body=body)
    after = api("GET", "/invoices/{}", invoice["lago_id"])["invoice"]
    assert (after["total_due_amount_cents"], after["payment_status"]) == (0, "succeeded")
    settled = api("GET", "/invoices", query={"settlements[]": "credit_note"})["invoices"]
    assert [each["lago_id"] for each in settled] == [invoice["lago_id"]]


def test_a_refund_needs_a_payment(api: Api, invoice: Any) -> None:
    body = given(invoice, refund_amount_cents=6_000)
    assert refused(api, body) == {"refund_amount_cents": ["cannot_refund_unpaid_invoice"]}
    pay(api, invoice, 5_999)
    assert refused(api, body) == {"refund_amount_cents": ["higher_than_remaining_invoice_amount"]}
    pay(api, invoice, 6_001)
    note = api("POST", "/credit_notes", body=body)["credit_note"]
    assert (note["refund_status"], note["balance_amount_cents"]) == ("pending", 0)
    path, done = "/credit_notes/{}", {"credit_note": {"refund_status": "succeeded"}}
    changed = api("PUT", path, note["lago_id"], body=done)["credit_note"]
    assert changed["refund_status"] == "succeeded"
    wrong = {"credit_note": {"refund_status": "lost"}}
    answer = api("PUT", path, note["lago_id"], body=wrong, status=422)
    assert answer["error_details"] == {"refund_status": ["value_is_invalid"]}


@pytest.mark.parametrize(
    ("amount", "fields", "details"),
    [
        (10_001, {}, {"amount_cents": ["higher_than_remaining_fee_amount"]}),
        (-1, {}, {"amount_cents": ["invalid_value"]}),
        ("many", {}, {"amount_cents": ["invalid_value"]}),
        (5_000, {"credit_amount_cents": 6_002}, {"base": ["does_not_match_item_amounts"]}),
        (0, {}, {"base": ["total_amount_must_be_positive"]}),
        (5_000, {"credit_amount_cents": 6_000, "reason": "mood"}, {"reason": ["value_is_invalid"]}),
        (
            5_000,
            {"credit_amount_cents": 6_000, "metadata": {"k" * 101: "v"}},
            {"value": ["key_too_long"]},
        ),
    ],
)
def test_what_a_note_must_be(
    api: Api, invoice: Any, amount: Any, fields: dict[str, Any], details: Any
) -> None:
    assert refused(api, given(invoice, amount, **fields)) == details


def test_what_does_not_exist(api: Api, invoice: Any) -> None:
    unknown = "0196f3a0-0000-8000-8000-0000abcd7f21"
    body = given(invoice) | {}
    body["credit_note"]["items"][0]["fee_id"] = unknown
    assert api("POST", "/credit_notes", body=body, status=404)["code"] == "fee_not_found"
    body["credit_note"]["invoice_id"] = unknown
    assert api("POST", "/credit_notes", body=body, status=404)["code"] == "invoice_not_found"
    body["credit_note"] = {"invoice_id": invoice["lago_id"], "items": {}}
    assert refused(api, body) == {"items": ["must_be_an_array"]}
    api("GET", "/credit_notes/{}", unknown, status=404)
    api("POST", "/invoices/{}/void", invoice["lago_id"])
    answer = api("POST", "/credit_notes", body=given(invoice), status=405)
    assert answer["code"] == "invalid_type_or_status"


def test_a_fee_is_credited_once(api: Api, invoice: Any) -> None:
    first = api("POST", "/credit_notes", body=given(invoice, credit_amount_cents=6_000))
    path = "/credit_notes/{}/void"
    voided = api("PUT", path, first["credit_note"]["lago_id"])["credit_note"]
    assert (voided["credit_status"], voided["balance_amount_cents"]) == ("voided", 0)
    answer = api("PUT", path, first["credit_note"]["lago_id"], status=405)
    assert answer["code"] == "no_voidable_amount"
    details = refused(api, given(invoice, 5_001, credit_amount_cents=6_001))
    assert details == {"amount_cents": ["higher_than_remaining_fee_amount"]}


def test_an_estimate_keeps_nothing(api: Api, invoice: Any) -> None:
    pay(api, invoice, 1_000)
    found = api("POST", "/credit_notes/estimate", body=given(invoice, 5_000))
    estimated = found["estimated_credit_note"]
    assert estimated["max_creditable_amount_cents"] == 6_000
    assert estimated["max_refundable_amount_cents"] == 1_000
    assert estimated["max_offsettable_amount_cents"] == 6_000
    assert estimated["taxes_amount_cents"] == 1_000
    assert api("GET", "/credit_notes")["credit_notes"] == []


def test_lists_and_metadata(api: Api, invoice: Any) -> None:
    body = given(invoice, credit_amount_cents=6_000, metadata={"a": "1"})
    note = api("POST", "/credit_notes", body=body)["credit_note"]
    other = api("POST", "/credit_notes", body=given(invoice, 1, offset_amount_cents=1))
    assert other["credit_note"]["total_amount_cents"] == 1
    newest = [each["sequential_id"] for each in api("GET", "/credit_notes")["credit_notes"]]
    assert newest == [2, 1]
    for query, count in (
        ({"types[]": "credit"}, 1),
        ({"types[]": "nonsense"}, 2),
        ({"external_customer_id": "nobody"}, 0),
        ({"amount_from": "2"}, 1),
        ({"reason": "order_change"}, 0),
        ({"search_term": "CN001"}, 1),
        ({"invoice_number": invoice["number"]}, 2),
    ):
        assert len(api("GET", "/credit_notes", query=query)["credit_notes"]) == count, query
    assert len(api("GET", "/customers/{}/credit_notes", "acme")["credit_notes"]) == 2
    path, note_id = "/credit_notes/{}/metadata", note["lago_id"]
    merged = api("PATCH", path, note_id, body={"metadata": {"b": None}})
    assert merged == {"metadata": {"a": "1", "b": None}}
    assert api("DELETE", path + "/{}", note_id, "a") == {"metadata": {"b": None}}
    assert api("POST", path, note_id, body={"metadata": {}}) == {"metadata": {}}
    assert api("DELETE", path, note_id) == {"metadata": None}
    assert api("DELETE", path + "/{}", note_id, "a", status=404)["code"] == "metadata_not_found"
    changed = {"credit_note": {"metadata": {"c": "3"}}}
    after = api("PUT", "/credit_notes/{}", note_id, body=changed)["credit_note"]
    assert after["metadata"] == {"c": "3"}


@pytest.mark.parametrize("action", ["download", "download_pdf"])
def test_a_note_is_downloaded_as_pdf(api: Api, invoice: Any, action: str) -> None:
    note = api("POST", "/credit_notes", body=given(invoice, credit_amount_cents=6_000))
    note = note["credit_note"]
    answer = api("POST", "/credit_notes/{}/" + action, note["lago_id"])["credit_note"]
    assert answer["file_url"] == note["file_url"]
    assert not {"items", "customer", "applied_taxes"} & set(answer)
    file = httpx.get(answer["file_url"])
    assert file.headers["Content-Type"] == "application/pdf"
    assert b"<pdfaid:part>3</pdfaid:part>" in file.content
    text = PdfReader(io.BytesIO(file.content)).pages[0].extract_text()
    assert note["number"] in text
    assert "Total credited" in text
    (listed,) = api("GET", "/credit_notes")["credit_notes"]
    assert listed["file_url"] == note["file_url"]
    other = answer["file_url"].replace("/credit_notes/", "/invoices/")
    assert httpx.get(other).status_code == 404
    unknown = api("POST", "/credit_notes/{}/" + action, invoice["lago_id"], status=404)
    assert unknown["code"] == "credit_note_not_found"
