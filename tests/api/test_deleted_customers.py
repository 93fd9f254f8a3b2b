"""`DELETE /customers/:external_id` over HTTP: what is gone, what can still be read, and who has the external id next."""

from __future__ import annotations

import pytest
from api.client import Api


def test_a_deleted_customer_is_gone_and_its_documents_are_not(api: Api) -> None:
    api.plan()
    made = api.customer("acme", name="Acme")
    api.subscription()
    api.set_clock("2024-03-20T12:00:00Z")
    shown = api("GET", "/customers/{}", "acme")["customer"]
    assert api("DELETE", "/customers/{}", "acme")["customer"] == shown
    for path in ("", "/invoices", "/payments", "/subscriptions", "/credit_notes"):
        missing = api("GET", "/customers/{}" + path, "acme", status=404)
        assert missing["code"] == "customer_not_found"
    assert api("DELETE", "/customers/{}", "acme", status=404)["code"] == "customer_not_found"
    assert api("GET", "/customers")["customers"] == []
    (invoice,) = api("GET", "/invoices")["invoices"]
    assert invoice["customer"]["lago_id"] == made["lago_id"]
    # 15 to 20 March.
    assert invoice["total_amount_cents"] == 194
    ended = api("GET", "/subscriptions/{}", "sub", query={"status": "terminated"})["subscription"]
    assert ended["terminated_at"] == "2024-03-20T12:00:00Z"
    assert api("GET", "/subscriptions/{}", "sub", status=404)["code"] == "subscription_not_found"
    paid = api(
        "PUT", "/invoices/{}", invoice["lago_id"], body={"invoice": {"payment_status": "succeeded"}}
    )
    assert paid["invoice"]["payment_status"] == "succeeded"
    note = {"invoice_id": invoice["lago_id"], "credit_amount_cents": 10, "items": []}
    assert api("POST", "/credit_notes", body={"credit_note": note}, status=422)


def test_lists_of_the_next_customer_show_only_its_own(api: Api) -> None:
    api.plan()
    first = api.customer("acme", name="Old")
    api.subscription()
    api("DELETE", "/customers/{}", "acme")
    second = api.customer("acme")
    assert (second["name"], second["lago_id"] != first["lago_id"]) == (None, True)
    for kind in ("invoices", "subscriptions"):
        query = {"status[]": "terminated"} if kind == "subscriptions" else None
        assert api("GET", "/customers/{}/" + kind, "acme", query=query)[kind] == []
        assert len(api("GET", f"/{kind}", query=query)[kind]) == 1
    api.subscription()
    (listed,) = api("GET", "/customers/{}/subscriptions", "acme")["subscriptions"]
    assert listed["lago_customer_id"] == second["lago_id"]
    api("DELETE", "/subscriptions/{}", "sub")
    (invoice,) = api("GET", "/customers/{}/invoices", "acme")["invoices"]
    assert invoice["customer"]["lago_id"] == second["lago_id"]
    # The old invoice can still be voided: it finds its own customer.
    (old,) = (i for i in api("GET", "/invoices")["invoices"] if i != invoice)
    voided = api("POST", "/invoices/{}/void", old["lago_id"])["invoice"]
    assert (voided["status"], voided["customer"]["lago_id"]) == ("voided", first["lago_id"])


@pytest.mark.parametrize("kind", ["one-off invoice", "applied coupon"])
def test_nothing_begins_for_a_deleted_customer(api: Api, kind: str) -> None:
    api.customer("acme")
    api.create(
        "add_on", "/add_ons", name="Setup", code="setup", amount_cents=100, amount_currency="EUR"
    )
    api.create(
        "coupon", "/coupons", name="Gift", code="gift", coupon_type="percentage",
        percentage_rate="10", frequency="once", expiration="no_expiration",
    )  # fmt: skip
    api("DELETE", "/customers/{}", "acme")
    who = {"external_customer_id": "acme"}
    if kind == "applied coupon":
        body = {"applied_coupon": who | {"coupon_code": "gift"}}
        refused = api("POST", "/applied_coupons", body=body, status=404)
    else:
        fees = [{"add_on_code": "setup", "units": 1}]
        body = {"invoice": who | {"currency": "EUR", "fees": fees}}
        refused = api("POST", "/invoices", body=body, status=404)
    assert refused["code"] == "customer_not_found"
