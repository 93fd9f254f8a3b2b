"""`/fees` over HTTP: fees of charges in advance, on invoices and standing alone (invoices §16)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api


def subscribed(api: Api, **charge: Any) -> Api:
    metric = api.metric()
    given = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "pay_in_advance": True,
        "properties": {"amount": "2"},
    }
    plan = api.plan(charges=[given | charge], amount_cents=0)
    shown = plan["charges"][0]
    assert shown["pay_in_advance"] is True
    assert shown["invoiceable"] is charge.get("invoiceable", True)
    api.customer()
    api.subscription()
    return api


def test_an_event_has_its_fee_when_it_is_answered(api: Api) -> None:
    subscribed(api, invoiceable=False)
    api.event("tx-1", properties={"gb": 3})
    [listed] = api("GET", "/fees", query={"event_transaction_id": "tx-1"})["fees"]
    fee = api("GET", "/fees/{}", listed["lago_id"])["fee"]
    assert fee == listed
    assert (fee["amount_cents"], fee["units"], fee["pay_in_advance"]) == (600, "3.0", True)
    assert (fee["invoiceable"], fee["lago_invoice_id"], fee["payment_status"]) == (
        False, None, "pending",
    )  # fmt: skip
    assert fee["event_transaction_id"] == "tx-1"
    assert api("GET", "/fees", query={"event_transaction_id": "tx-2"})["fees"] == []
    sent = api("GET", "/test_clock/webhooks", query={"per_page": 100})["webhooks"]
    assert [each for each in sent if each["webhook_type"] == "fee.created"] == []


def test_each_status_has_its_own_stamp(api: Api) -> None:
    subscribed(api, invoiceable=False)
    api.event("tx-1", properties={"gb": 3})
    [fee] = api("GET", "/fees", query={"event_transaction_id": "tx-1"})["fees"]
    stamps = {"succeeded": "succeeded_at", "failed": "failed_at", "refunded": "refunded_at"}
    for status in ("succeeded", "failed", "refunded", "pending"):
        body = {"fee": {"payment_status": status}}
        changed = api("PUT", "/fees/{}", fee["lago_id"], body=body)["fee"]
        assert changed["payment_status"] == status
        set_ = {stamp for stamp in stamps.values() if changed[stamp] is not None}
        assert set_ == ({stamps[status]} if status in stamps else set())
    for body in ({"payment_status": "lost"}, {"payment_status": None}):
        refused = api("PUT", "/fees/{}", fee["lago_id"], body={"fee": body}, status=422)
        assert refused["error_details"] == {"payment_status": ["value_is_invalid"]}


def test_a_deleted_fee_is_gone(api: Api) -> None:
    subscribed(api, invoiceable=False)
    api.event("tx-1", properties={"gb": 3})
    [fee] = api("GET", "/fees", query={"event_transaction_id": "tx-1"})["fees"]
    assert api("DELETE", "/fees/{}", fee["lago_id"])["fee"]["lago_id"] == fee["lago_id"]
    for method, body in (
        ("GET", None),
        ("DELETE", None),
        ("PUT", {"fee": {"payment_status": "failed"}}),
    ):
        refused = api(method, "/fees/{}", fee["lago_id"], body=body, status=404)
        assert refused["code"] == "fee_not_found"


def test_a_fee_on_an_invoice_keeps_what_the_invoice_says(api: Api) -> None:
    subscribed(api)
    api.event("tx-1", properties={"gb": 3})
    [fee] = api("GET", "/fees", query={"event_transaction_id": "tx-1"})["fees"]
    invoice = api("GET", "/invoices/{}", fee["lago_invoice_id"])["invoice"]
    assert invoice["status"] == "finalized"
    assert [each["lago_id"] for each in invoice["fees"]] == [fee["lago_id"]]
    for method, body in (("DELETE", None), ("PUT", {"fee": {"payment_status": "failed"}})):
        refused = api(method, "/fees/{}", fee["lago_id"], body=body, status=405)
        assert refused["code"] == "invoiced_fee"


@pytest.mark.parametrize(
    ("charge", "details"),
    [
        (
            {"charge_model": "volume", "properties": {}},
            {"pay_in_advance": ["invalid_aggregation_type_or_charge_model"]},
        ),
        ({"min_amount_cents": 5}, {"min_amount_cents": ["not_compatible_with_pay_in_advance"]}),
    ],
)
def test_what_cannot_be_paid_in_advance(
    api: Api, charge: dict[str, Any], details: dict[str, list[str]]
) -> None:
    metric = api.metric()
    given = {"billable_metric_id": metric["lago_id"], "charge_model": "standard"}
    plan = {
        "name": "P", "code": "p", "interval": "monthly", "amount_cents": 0, "amount_currency": "EUR",
        "pay_in_advance": False, "charges": [given | {"pay_in_advance": True} | charge],
    }  # fmt: skip
    assert api("POST", "/plans", body={"plan": plan}, status=422)["error_details"] == details
