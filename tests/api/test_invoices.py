"""`/invoices`, `/fees` and `/payments` over HTTP."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from api.client import Api

UNKNOWN = "0f8a6d1f-0f11-4a6e-9a0f-0f8a6d1f0f11"
SECTIONS = {
    "subscriptions",
    "billing_periods",
    "fees",
    "credits",
    "error_details",
    "applied_invoice_custom_sections",
}
LISTED = {"customer", "metadata", "applied_taxes"}


@pytest.fixture
def shop(api: Api) -> Api:
    """A plan of ten euros in arrears with storage at half a euro, and 20 % tax."""
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20, applied_to_organization=True)
    metric = api.metric()
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "0.5"},
    }
    api.plan(charges=[charge])
    return api


def bill(shop: Api, customer: str = "acme", *, gb: int = 4, **fields: Any) -> Any:
    """The invoice of March, drawn up on 1 April: ten euros, and a half for each gigabyte."""
    shop.set_clock("2024-03-15T12:00:00Z")
    shop.customer(customer, **fields)
    shop.subscription(customer, customer=customer, subscription_at="2024-03-01T00:00:00Z")
    shop.event(f"{customer}-1", external_subscription_id=customer, properties={"gb": gb})
    shop("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-01T06:00:00Z"}})
    (invoice,) = shop("GET", "/customers/{}/invoices", customer)["invoices"]
    return invoice


def draft(shop: Api, customer: str = "acme", **fields: Any) -> Any:
    """The same invoice while it is a draft."""
    return bill(shop, customer, billing_configuration={"invoice_grace_period": 5}, **fields)


def show(shop: Api, invoice: Any) -> Any:
    return shop("GET", "/invoices/{}", invoice["lago_id"])["invoice"]


# --- one invoice -------------------------------------------------------------------------------


def test_a_finalized_invoice_has_all_sections(shop: Api) -> None:
    listed = bill(shop)
    invoice = show(shop, listed)
    assert set(invoice) - set(listed) == SECTIONS
    assert set(listed) >= LISTED
    assert {name: invoice[name] for name in listed} == listed
    assert invoice["status"] == "finalized"
    assert invoice["fees_amount_cents"] == 1200
    assert invoice["total_amount_cents"] == 1440
    assert [fee["amount_cents"] for fee in invoice["fees"]] == [1000, 200]
    (subscription,) = invoice["subscriptions"]
    assert subscription["current_billing_period_started_at"] == "2024-04-01T00:00:00Z"
    assert invoice["billing_periods"][0]["subscription_from_datetime"] == "2024-03-01T00:00:00Z"


@pytest.mark.parametrize(
    ("method", "template"),
    [
        ("GET", "/invoices/{}"),
        ("GET", "/invoices/{}/explain"),
        ("PUT", "/invoices/{}/refresh"),
        ("PUT", "/invoices/{}/finalize"),
        ("POST", "/invoices/{}/void"),
        ("POST", "/invoices/{}/retry_payment"),
        ("POST", "/invoices/{}/download"),
        ("POST", "/invoices/{}/download_pdf"),
    ],
)
@pytest.mark.parametrize("invoice_id", [UNKNOWN, "malformed"])
def test_an_unknown_invoice_is_not_found(
    api: Api, method: str, template: str, invoice_id: str
) -> None:
    assert api(method, template, invoice_id, status=404)["code"] == "invoice_not_found"


def test_refresh_takes_late_usage_into_a_draft(shop: Api) -> None:
    invoice = draft(shop)
    assert invoice["status"] == "draft"
    assert "file_url" not in invoice
    late = {"timestamp": 1_711_900_000, "external_subscription_id": "acme"}
    shop.event("late", properties={"gb": 6}, **late)
    assert show(shop, invoice)["fees_amount_cents"] == 1200
    refreshed = shop("PUT", "/invoices/{}/refresh", invoice["lago_id"])["invoice"]
    assert refreshed["fees_amount_cents"] == 1500
    assert refreshed == show(shop, invoice)


def test_finalize_a_draft_once(shop: Api) -> None:
    invoice = draft(shop)
    finalized = shop("PUT", "/invoices/{}/finalize", invoice["lago_id"])["invoice"]
    assert finalized["status"] == "finalized"
    assert re.fullmatch(r"ACM-[0-9A-F]{4}-001-001", finalized["number"])
    again = shop("PUT", "/invoices/{}/finalize", invoice["lago_id"], status=404)
    assert again["code"] == "invoice_not_found"
    unchanged = shop("PUT", "/invoices/{}/refresh", invoice["lago_id"])["invoice"]
    assert unchanged == finalized


def test_a_draft_of_zero_that_is_skipped_ends_closed(shop: Api) -> None:
    shop.plan("free", amount_cents=0)
    shop.customer(
        "acme",
        finalize_zero_amount_invoice="skip",
        billing_configuration={"invoice_grace_period": 5},
    )
    shop.subscription(plan="free", subscription_at="2024-03-01T00:00:00Z")
    shop("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-01T06:00:00Z"}})
    (invoice,) = shop("GET", "/invoices")["invoices"]
    response = shop.send("PUT", f"/invoices/{invoice['lago_id']}/finalize")
    assert response.json()["invoice"]["status"] == "closed"
    assert shop("GET", "/invoices/{}", invoice["lago_id"], status=404)["code"] == (
        "invoice_not_found"
    )


def test_void(shop: Api) -> None:
    invoice = bill(shop)
    voided = shop("POST", "/invoices/{}/void", invoice["lago_id"])["invoice"]
    assert voided["status"] == "voided"
    assert voided["total_due_amount_cents"] == 0
    assert voided["voided_at"] == "2024-04-01T06:00:00Z"
    assert voided["file_url"] == invoice["file_url"]
    again = shop("POST", "/invoices/{}/void", invoice["lago_id"], status=405)
    assert again["code"] == "not_voidable"


def test_a_draft_cannot_be_voided(shop: Api) -> None:
    invoice = draft(shop)
    refused = shop("POST", "/invoices/{}/void", invoice["lago_id"], body={}, status=405)
    assert refused["code"] == "not_voidable"


@pytest.mark.parametrize("action", ["download", "download_pdf"])
def test_download(shop: Api, action: str) -> None:
    invoice = bill(shop)
    answer = shop("POST", "/invoices/{}/" + action, invoice["lago_id"])["invoice"]
    assert not (SECTIONS | LISTED) & set(answer)
    file = httpx.get(answer["file_url"])
    assert file.headers["Content-Type"] == "application/pdf"
    assert file.content.startswith(b"%PDF-")
    altered = answer["file_url"].replace(".pdf", "x.pdf")
    assert httpx.get(altered).status_code == 404


def test_a_draft_has_nothing_to_download(shop: Api) -> None:
    invoice = draft(shop)
    refused = shop("POST", "/invoices/{}/download", invoice["lago_id"], status=404)
    assert refused["code"] == "invoice_not_found"


# --- where amounts come from --------------------------------------------------------------------


def test_an_invoice_is_explained_down_to_its_usage_events(shop: Api) -> None:
    invoice = show(shop, bill(shop))
    explained = shop("GET", "/invoices/{}/explain", invoice["lago_id"])["invoice_explanation"]
    for name in ("lago_id", "number", "status", "currency", "total_amount_cents"):
        assert explained[name] == invoice[name]
    assert [fee["lago_id"] for fee in explained["fees"]] == [
        fee["lago_id"] for fee in invoice["fees"]
    ]
    assert explained["derivation"][0] == "fees: 1000 + 200 = 1200"
    base, usage = explained["fees"]
    assert base["events"] == []
    assert usage["item"] == "charge storage"
    assert usage["amount_cents"] == 200
    shown = [event["transaction_id"] for event in usage["events"]]
    assert len(shown) == usage["events_count"] == 1
    assert set(usage["events"][0]) == {"transaction_id", "timestamp", "properties"}


def test_a_draft_is_explained_too(shop: Api) -> None:
    invoice = draft(shop)
    explained = shop("GET", "/invoices/{}/explain", invoice["lago_id"])["invoice_explanation"]
    assert explained["status"] == "draft"
    assert explained["total_amount_cents"] == invoice["total_amount_cents"]


# --- lists -------------------------------------------------------------------------------------


EVERYTHING = {"a_paid", "b_partly", "c_voided", "d_draft"}

FOUND: list[tuple[list[tuple[str, str]], set[str]]] = [
    ([], EVERYTHING),
    ([("external_customer_id", "a_paid")], {"a_paid"}),
    ([("customer_external_id", "a_paid")], {"a_paid"}),
    ([("status", "draft")], {"d_draft"}),
    ([("statuses[]", "draft"), ("statuses[]", "voided")], {"c_voided", "d_draft"}),
    ([("status[]", "finalized")], {"a_paid", "b_partly"}),
    ([("status[]", "closed")], set()),
    ([("payment_status", "succeeded")], {"a_paid"}),
    ([("payment_statuses[]", "pending")], EVERYTHING - {"a_paid"}),
    ([("payment_statuses[]", "failed")], set()),
    ([("partially_paid", "true")], {"b_partly"}),
    ([("partially_paid", "false")], EVERYTHING - {"b_partly"}),
    ([("settlements[]", "payment")], {"a_paid", "b_partly"}),
    ([("settlements[]", "credit_note")], set()),
    ([("payment_overdue", "true")], set()),
    ([("payment_dispute_lost", "false")], EVERYTHING),
    ([("payment_dispute_lost", "true")], set()),
    ([("amount_from", "1441")], {"b_partly"}),
    ([("amount_to", "1440")], EVERYTHING - {"b_partly"}),
    ([("currency", "EUR")], EVERYTHING),
    ([("currency", "USD")], set()),
    ([("invoice_type", "subscription")], EVERYTHING),
    ([("invoice_type", "one_off")], set()),
    ([("self_billed", "false")], EVERYTHING),
    ([("billing_entity_codes[]", "acme")], EVERYTHING),
    ([("metadata[k]", "")], EVERYTHING),
    ([("metadata[k]", "v")], set()),
    ([("issuing_date_from", "2024-04-02")], {"d_draft"}),
    ([("issuing_date_to", "2024-04-01")], EVERYTHING - {"d_draft"}),
    ([("issuing_date_from", "tomorrow")], EVERYTHING),
    ([("search_term", "ADA")], {"a_paid"}),
    ([("search_term", "bob")], {"b_partly"}),
    ([("search_term", "_voided")], {"c_voided"}),
    ([("search_term", "cy")], {"c_voided"}),
    ([("search_term", "example.com"), ("status", "draft")], set()),
]


def test_filters(shop: Api) -> None:
    """given a paid, a partly paid, a voided invoice and a draft, of four customers"""
    paid = bill(shop, "a_paid", name="Ada", email="ada@example.com", net_payment_term=30)
    partly = bill(shop, "b_partly", gb=40, firstname="Bob")
    voided = bill(shop, "c_voided", lastname="Cy")
    late = draft(shop, "d_draft")
    pay(shop, paid, 1440, reference="r1")
    pay(shop, partly, 1, reference="r2")
    shop("POST", "/invoices/{}/void", voided["lago_id"])

    def found(*query: tuple[str, str]) -> list[str]:
        answer = shop("GET", "/invoices", query=query)
        assert answer["meta"]["total_count"] == len(answer["invoices"]), query
        return [invoice["customer"]["external_id"] for invoice in answer["invoices"]]

    for query, expected in FOUND:
        assert set(found(*query)) == expected, query
    assert found(("search_term", paid["number"].lower())) == ["a_paid"]
    assert found(("search_term", late["lago_id"].upper())) == ["d_draft"]
    assert found(("search_term", late["lago_id"][:8])) == []
    assert found() == ["d_draft", "c_voided", "b_partly", "a_paid"]


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ({"status": "lost"}, 422, {"status": ["value_is_invalid"]}),
        ({"payment_status": "x"}, 422, {"payment_status": ["value_is_invalid"]}),
        ({"invoice_type": "x"}, 422, {"invoice_type": ["value_is_invalid"]}),
        ({"settlements[]": "x"}, 422, {"settlements": ["value_is_invalid"]}),
        ({"currency": "x"}, 422, {"currency": ["value_is_invalid"]}),
        ({"amount_from": "much"}, 422, {"amount_from": ["value_is_invalid"]}),
        ({"billing_entity_codes[]": "x"}, 404, "billing_entity_not_found"),
    ],
)
def test_filters_that_are_refused(
    api: Api, query: dict[str, str], status: int, expected: Any
) -> None:
    body = api("GET", "/invoices", query=query, status=status)
    assert (body.get("error_details") or body["code"]) == expected


def test_overdue(shop: Api) -> None:
    invoice = bill(shop)
    shop("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-10T00:00:00Z"}})
    found = shop("GET", "/invoices", query={"payment_overdue": "true"})["invoices"]
    assert [each["lago_id"] for each in found] == [invoice["lago_id"]]


# --- fees --------------------------------------------------------------------------------------


def test_fees(shop: Api) -> None:
    invoice = show(shop, bill(shop))
    bill(shop, "other")
    fees = shop("GET", "/fees", query={"external_customer_id": "acme"})["fees"]
    assert [fee["lago_id"] for fee in fees] == [fee["lago_id"] for fee in invoice["fees"]]
    for fee in fees:
        assert fee["applied_taxes"][0]["tax_code"] == "vat"
        assert shop("GET", "/fees/{}", fee["lago_id"])["fee"] == fee
    for unknown in (UNKNOWN, "malformed"):
        assert shop("GET", "/fees/{}", unknown, status=404)["code"] == "fee_not_found"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, 4),
        ({"external_subscription_id": "other"}, 2),
        ({"fee_type": "charge"}, 2),
        ({"fee_type": "add_on"}, 0),
        ({"billable_metric_code": "storage"}, 2),
        ({"billable_metric_code": "basic"}, 0),
        ({"payment_status": "pending"}, 4),
        ({"payment_status": "succeeded"}, 0),
        ({"currency": "EUR"}, 4),
        ({"currency": "USD"}, 0),
        ({"event_transaction_id": "acme-1"}, 0),
        ({"created_at_from": "2024-04-01"}, 4),
        ({"created_at_from": "2024-04-01T00:00:01Z"}, 0),
        ({"created_at_to": "2024-04-01T02:00:00+02:00"}, 4),
        ({"succeeded_at_from": "2000-01-01"}, 0),
    ],
)
def test_filters_of_fees(shop: Api, query: dict[str, str], expected: int) -> None:
    bill(shop)
    bill(shop, "other")
    found = shop("GET", "/fees", query=query)
    assert len(found["fees"]) == found["meta"]["total_count"] == expected


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ({"fee_type": "x"}, {"fee_type": ["value_is_invalid"]}),
        ({"payment_status": "x"}, {"payment_status": ["value_is_invalid"]}),
        ({"created_at_from": "x"}, {"created_at_from": ["invalid_date"]}),
        ({"refunded_at_to": "x"}, {"refunded_at_to": ["invalid_date"]}),
    ],
)
def test_filters_of_fees_that_are_refused(
    api: Api, query: dict[str, str], details: dict[str, Any]
) -> None:
    assert api("GET", "/fees", query=query, status=422)["error_details"] == details


# --- payments ----------------------------------------------------------------------------------


def pay(shop: Api, invoice: Any, amount_cents: Any, *, status: int = 200, **fields: Any) -> Any:
    given = {"invoice_id": invoice["lago_id"], "amount_cents": amount_cents} | fields
    return shop("POST", "/payments", body={"payment": given}, status=status)


def test_partial_payments_add_up(shop: Api) -> None:
    invoice = bill(shop)
    first = pay(shop, invoice, 440, reference="one", paid_at="2024-04-01T01:00:00Z")["payment"]
    assert (first["type"], first["payment_status"]) == ("manual", "succeeded")
    assert first["created_at"] == "2024-04-01T01:00:00Z"
    shown = show(shop, invoice)
    assert shown["payment_status"] == "pending"
    assert (shown["total_paid_amount_cents"], shown["total_due_amount_cents"]) == (440, 1000)
    second = pay(shop, invoice, 1000, reference="two")["payment"]
    assert show(shop, invoice)["payment_status"] == "succeeded"
    assert shop("GET", "/payments/{}", second["lago_id"])["payment"] == second
    assert shop("GET", "/payments")["payments"] == [second, first]
    assert shop("GET", "/customers/{}/payments", "acme")["payments"] == [second, first]
    query = {"invoice_id": invoice["lago_id"]}
    assert shop("GET", "/payments", query=query)["payments"] == [second, first]
    assert shop("GET", "/payments", query={"invoice_id": UNKNOWN})["payments"] == []
    query = {"external_customer_id": "other"}
    assert shop("GET", "/payments", query=query)["payments"] == []


@pytest.mark.parametrize(
    ("fields", "status", "expected"),
    [
        ({"invoice_id": None}, 422, {"invoice_id": ["value_is_mandatory"]}),
        ({"invoice_id": "", "amount_cents": 0}, 422, {"invoice_id": ["value_is_mandatory"]}),
        ({"amount_cents": 0}, 422, {"amount_cents": ["invalid_value"]}),
        ({"amount_cents": "100"}, 422, {"amount_cents": ["invalid_value"]}),
        ({"amount_cents": 1.5}, 422, {"amount_cents": ["invalid_value"]}),
        ({"invoice_id": UNKNOWN, "amount_cents": 0}, 422, {"amount_cents": ["invalid_value"]}),
        ({"invoice_id": UNKNOWN}, 404, "invoice_not_found"),
        ({"invoice_id": "malformed"}, 404, "invoice_not_found"),
        ({"invoice_id": 7}, 404, "invoice_not_found"),
        ({"paid_at": "soon"}, 422, {"paid_at": ["invalid_date"]}),
        ({"reference": ""}, 422, {"reference": ["value_is_mandatory"]}),
        ({"reference": "x" * 41}, 422, {"reference": ["value_is_too_long"]}),
        ({"amount_cents": 1441}, 422, {"amount_cents": ["value_is_out_of_range"]}),
    ],
)
def test_payments_that_are_refused(
    shop: Api, fields: dict[str, Any], status: int, expected: Any
) -> None:
    given = {"amount_cents": 1, "reference": "r"} | fields
    invoice = bill(shop)
    given.setdefault("invoice_id", invoice["lago_id"])
    body = shop("POST", "/payments", body={"payment": given}, status=status)
    assert (body.get("error_details") or body["code"]) == expected
    assert shop("GET", "/payments")["payments"] == []


def test_a_draft_takes_no_payment(shop: Api) -> None:
    refused = pay(shop, draft(shop), 1, status=403, reference="r")
    assert refused["code"] == "feature_unavailable"


def test_other_payment_requests(api: Api) -> None:
    for unknown in (UNKNOWN, "malformed"):
        assert api("GET", "/payments/{}", unknown, status=404)["code"] == "payment_not_found"
    refused = api("GET", "/payments", query={"invoice_id": "x"}, status=422)
    assert refused["error_details"] == {"invoice_id": ["value_is_invalid"]}
