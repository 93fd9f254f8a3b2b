"""One-off invoices, and what is said about invoices afterwards (invoices.md §8, §10, §11)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api


@pytest.fixture
def shop(api: Api) -> Api:
    """A customer, two taxes and an add-on of 19.99."""
    api.create("tax", "/taxes", name="VAT", code="vat", rate="20", applied_to_organization=True)
    api.create("tax", "/taxes", name="Reduced", code="reduced", rate="5")
    api.create(
        "add_on",
        "/add_ons",
        name="Set-up",
        code="setup",
        amount_cents=1_999,
        amount_currency="USD",
        description="Once",
    )
    api.customer()
    return api


def sell(api: Api, *fees: dict[str, Any], **fields: Any) -> Any:
    given = {"external_customer_id": "acme", "currency": "EUR", "fees": list(fees)} | fields
    return api.create("invoice", "/invoices", **given)


def refused(api: Api, status: int, *fees: dict[str, Any], **fields: Any) -> Any:
    given = {"external_customer_id": "acme", "currency": "EUR", "fees": list(fees)} | fields
    return api("POST", "/invoices", body={"invoice": given}, status=status)


def test_add_ons_are_sold_at_once(shop: Api) -> None:
    invoice = sell(
        shop,
        {"add_on_code": "setup", "units": "2.5", "invoice_display_name": "Work"},
        {"add_on_code": "setup", "unit_amount_cents": 100, "tax_codes": ["reduced", "unknown"]},
    )
    assert (invoice["invoice_type"], invoice["status"]) == ("one_off", "finalized")
    assert invoice["issuing_date"] == "2024-03-15"
    first, second = invoice["fees"]
    # 1999 × 2.5 = 4997.5
    assert (first["amount_cents"], first["units"]) == (4_998, "2.5")
    assert first["precise_amount"] == "49.975"
    assert (first["item"]["type"], first["item"]["item_type"]) == ("add_on", "AddOn")
    assert first["item"]["invoice_display_name"] == "Work"
    assert (first["description"], first["lago_subscription_id"]) == ("Once", None)
    assert first["taxes_rate"] == 20
    assert (second["amount_cents"], second["taxes_rate"]) == (100, 5)
    # 4998 × 20 % + 100 × 5 %
    assert (invoice["taxes_amount_cents"], invoice["total_amount_cents"]) == (1_005, 6_103)
    assert shop("GET", "/customers/{}", "acme")["customer"]["currency"] == "EUR"
    types = [each["item"]["type"] for each in shop("GET", "/fees")["fees"]]
    assert types == ["add_on", "add_on"]
    listed = shop("GET", "/invoices", query={"invoice_type": "one_off"})["invoices"]
    assert [each["lago_id"] for each in listed] == [invoice["lago_id"]]


def test_a_one_off_invoice_uses_no_coupon(shop: Api) -> None:
    shop.create(
        "coupon", "/coupons", name="K", code="k", coupon_type="percentage", percentage_rate="50",
        frequency="forever", expiration="no_expiration",
    )  # fmt: skip
    shop.create("applied_coupon", "/applied_coupons", external_customer_id="acme", coupon_code="k")
    assert sell(shop, {"add_on_code": "setup"})["coupons_amount_cents"] == 0


SETUP = {"add_on_code": "setup"}


@pytest.mark.parametrize(
    ("fees", "fields", "status", "expected"),
    [
        ([SETUP], {"external_customer_id": "nobody"}, 404, "customer_not_found"),
        ([], {}, 404, "fees_not_found"),
        ([SETUP, {"add_on_code": "no"}], {}, 404, "add_on_not_found"),
        ([SETUP], {"billing_entity_code": "no"}, 404, "billing_entity_not_found"),
        (
            [SETUP],
            {"payment_method": {"payment_method_id": "x"}},
            422,
            {"payment_method": ["invalid_payment_method"]},
        ),
        (
            [SETUP | {"from_datetime": "2024-01-01"}],
            {},
            422,
            {"boundaries": ["values_are_invalid"]},
        ),
        (
            [SETUP | {"from_datetime": "2024-01-02", "to_datetime": "2024-01-01"}],
            {},
            422,
            {"boundaries": ["values_are_invalid"]},
        ),
        ([SETUP | {"units": "-1"}], {}, 422, {"units": ["value_is_out_of_range"]}),
        ([SETUP], {"currency": None}, 422, {"currency": ["value_is_mandatory"]}),
    ],
)
def test_what_is_refused(
    shop: Api, fees: list[Any], fields: dict[str, Any], status: int, expected: Any
) -> None:
    answer = refused(shop, status, *fees, **fields)
    assert answer["code" if status == 404 else "error_details"] == expected


def test_payment_status_and_metadata(shop: Api) -> None:
    invoice_id = sell(shop, SETUP)["lago_id"]
    entries = [{"key": "order", "value": "7"}]
    body: Any = {"invoice": {"metadata": entries}}
    invoice = shop("PUT", "/invoices/{}", invoice_id, body=body)["invoice"]
    (entry,) = invoice["metadata"]
    assert (entry["key"], entry["value"]) == ("order", "7")
    kept = {"id": entry["lago_id"], "key": "order", "value": "8"}
    body = {"invoice": {"metadata": [kept], "payment_status": "succeeded"}}
    invoice = shop("PUT", "/invoices/{}", invoice_id, body=body)["invoice"]
    assert invoice["metadata"] == [entry | {"value": "8"}]
    assert (invoice["payment_status"], invoice["total_due_amount_cents"]) == ("succeeded", 0)
    assert invoice["total_paid_amount_cents"] == invoice["total_amount_cents"]
    (payment,) = shop("GET", "/payments")["payments"]
    assert payment["amount_cents"] == invoice["total_amount_cents"]
    found = shop("GET", "/invoices", query={"metadata[order]": "8"})["invoices"]
    assert len(found) == 1
    for given, code in (
        ({"payment_status": "lost"}, {"payment_status": ["value_is_invalid"]}),
        ({"metadata": [{"key": str(n), "value": "v"} for n in range(6)]},
         {"metadata": ["invalid_count"]}),
        ({"metadata": [{"key": "k", "value": "v" * 141}]}, {"metadata": ["value_too_long"]}),
    ):  # fmt: skip
        answer = shop("PUT", "/invoices/{}", invoice_id, body={"invoice": given}, status=422)
        assert answer["error_details"] == code
    shop("POST", "/invoices/{}/void", invoice_id)
    body = {"invoice": {"payment_status": "failed"}}
    answer = shop("PUT", "/invoices/{}", invoice_id, body=body, status=405)
    assert answer["code"] == "update_on_voided_invoice"


def test_a_lost_dispute(shop: Api) -> None:
    invoice_id = sell(shop, SETUP)["lago_id"]
    for _ in range(2):
        lost = shop("POST", "/invoices/{}/lose_dispute", invoice_id)["invoice"]
        assert lost["payment_dispute_lost_at"] == "2024-03-15T12:00:00Z"
    query = {"payment_dispute_lost": "true"}
    assert len(shop("GET", "/invoices", query=query)["invoices"]) == 1
    answer = shop("POST", "/invoices/{}/retry", invoice_id, status=405)
    assert answer["code"] == "invalid_status"


def test_voiding_gives_back_what_was_paid(shop: Api) -> None:
    invoice = sell(shop, SETUP, SETUP | {"unit_amount_cents": 3_333})
    total = invoice["total_amount_cents"]
    body = {"invoice": {"payment_status": "succeeded"}}
    shop("PUT", "/invoices/{}", invoice["lago_id"], body=body)
    for amounts in ({"credit_amount": total + 1}, {"refund_amount": total + 1}):
        asked = {"generate_credit_note": True} | amounts
        path = "/invoices/{}/void"
        answer = shop("POST", path, invoice["lago_id"], body=asked, status=422)
        assert answer["error_details"] == {
            "credit_refund_amount": ["total_amount_exceeds_invoice_amount"]
        }
    asked = {"generate_credit_note": True, "credit_amount": 1_000, "refund_amount": 500}
    voided = shop("POST", "/invoices/{}/void", invoice["lago_id"], body=asked)["invoice"]
    assert (voided["status"], voided["total_due_amount_cents"]) == ("voided", 0)
    rest, asked_for = shop("GET", "/credit_notes")["credit_notes"]
    assert (asked_for["credit_amount_cents"], asked_for["refund_amount_cents"]) == (1_000, 500)
    assert (rest["credit_status"], rest["balance_amount_cents"]) == ("voided", 0)
    assert abs(rest["total_amount_cents"] + asked_for["total_amount_cents"] - total) <= 1
    answer = shop("POST", "/invoices/{}/void", invoice["lago_id"], status=405)
    assert answer["code"] == "not_voidable"
