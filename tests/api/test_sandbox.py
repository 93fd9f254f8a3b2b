"""`/test_clock` and simulated parties over HTTP (test_clocks)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from api.client import Api
from api.conftest import Server

from lago_engine.settings import Settings

HOOK = "http://127.0.0.1:9/hook"
"""Nobody listens there: deliveries are listed whether or not they arrive."""


@pytest.fixture
def shop(api: Api) -> Api:
    """An organization that sends webhooks and bills ten euros in advance."""
    api.create("webhook_endpoint", "/webhook_endpoints", webhook_url=HOOK)
    api.plan(pay_in_advance=True)
    return api


def advance(api: Api, to: str, **sent: Any) -> Any:
    return api("POST", "/test_clock/advance", body={"test_clock": {"to": to}}, **sent)


# --- organizations -----------------------------------------------------------------------------


def test_a_new_organization_has_the_settings_asked_for(anonymous: Api) -> None:
    given = {
        "name": "Rocket Labs",
        "default_currency": "JPY",
        "timezone": "Asia/Tokyo",
        "webhook_url": HOOK,
        "net_payment_term": 15,
        "premium_integrations": "all",
        "document_number_prefix": "rl",
    }
    made = anonymous("POST", "/test_clock/organizations", body={"organization": given})
    organization = made["organization"]
    assert organization["default_currency"] == "JPY"
    assert organization["document_number_prefix"] == "RL"
    assert organization["webhook_urls"] == [HOOK]
    api = Api(anonymous.url, made["api_key"])
    try:
        assert api("GET", "/organizations")["organization"] == organization
    finally:
        api.close()


def test_a_new_organization_runs_at_real_time(anonymous: Api) -> None:
    made = anonymous("POST", "/test_clock/organizations", body={"organization": {"name": "A"}})
    api = Api(anonymous.url, made["api_key"])
    try:
        clock = api("GET", "/test_clock")["test_clock"]
        assert clock["frozen"] is False
        now = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
        assert clock["now"][:16] >= now[:16] or clock["now"][:13] == now[:13]
    finally:
        api.close()


def test_settings_of_a_test_organization_change_later(api: Api, anonymous: Api) -> None:
    own = api("GET", "/organizations")["organization"]["lago_id"]
    body = {"organization": {"premium": False, "premium_integrations": [], "name": "ignored"}}
    changed = api("PUT", "/test_clock/organizations/{}", own, body=body)["organization"]
    assert changed["name"] == "Acme"
    made = anonymous("POST", "/test_clock/organizations", body={"organization": {"name": "B"}})
    other = made["organization"]["lago_id"]
    refused = api("PUT", "/test_clock/organizations/{}", other, body=body, status=404)
    assert refused["code"] == "organization_not_found"


def test_an_admin_key_guards_the_making_of_organizations(tmp_path: Path) -> None:
    body = {"organization": {"name": "A"}}
    with Server(Settings(data=tmp_path, sandbox=True, admin_key="sesame")) as server:
        for key, status in ((None, 401), ("wrong", 401), ("sesame", 200)):
            api = Api(server.url, key)
            try:
                api("POST", "/test_clock/organizations", body=body, status=status)
            finally:
                api.close()


def test_without_a_sandbox_nothing_of_this_exists(closed_server: Server) -> None:
    api = Api(closed_server.url, None)
    try:
        for method, path in (
            ("POST", "/test_clock/organizations"),
            ("GET", "/test_clock"),
            ("PUT", "/test_clock"),
            ("POST", "/test_clock/run"),
            ("POST", "/test_clock/advance"),
            ("GET", "/test_clock/webhooks"),
            ("POST", "/test_clock/events"),
            ("POST", "/test_clock/payment_providers"),
        ):
            assert api(method, path, status=404)["code"] == "resource_not_found"
    finally:
        api.close()


# --- the clock ---------------------------------------------------------------------------------


def test_the_clock_is_set_read_and_released(api: Api) -> None:
    body = {"test_clock": {"now": "2024-06-01T02:00:00+02:00"}}
    clock = api("PUT", "/test_clock", body=body)["test_clock"]
    assert clock == {"now": "2024-06-01T00:00:00Z", "frozen": True}
    assert api("GET", "/test_clock")["test_clock"] == clock
    assert api.customer()["created_at"] == "2024-06-01T00:00:00Z"
    released = api("PUT", "/test_clock", body={"test_clock": {"now": None}})["test_clock"]
    assert released["frozen"] is False
    assert released["now"] > "2024-06-01T00:00:00Z"


def test_going_back_must_be_meant(api: Api) -> None:
    back = {"now": "2024-01-01T00:00:00Z"}
    refused = api("PUT", "/test_clock", body={"test_clock": back}, status=422)
    assert refused["error_details"] == {"now": ["cannot_go_back"]}
    clock = api("PUT", "/test_clock", body={"test_clock": back | {"rewind": True}})["test_clock"]
    assert clock["now"] == back["now"]


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({"rewind": True}, {"now": ["value_is_mandatory"]}),
        ({"now": ""}, {"now": ["value_is_mandatory"]}),
        ({"now": "noon"}, {"now": ["invalid_date"]}),
        ({"now": 1710500000}, {"now": ["invalid_date"]}),
        ({"now": "0001-01-01"}, {"now": ["invalid_date"]}),
    ],
)
def test_settings_of_the_clock_that_are_refused(
    api: Api, given: dict[str, Any], details: dict[str, Any]
) -> None:
    refused = api("PUT", "/test_clock", body={"test_clock": given}, status=422)
    assert refused["error_details"] == details


def test_setting_the_clock_runs_nothing_and_tasks_do(shop: Api) -> None:
    shop.customer()
    shop.subscription()
    assert shop("GET", "/invoices")["meta"]["total_count"] == 1
    shop.set_clock("2024-04-01T00:00:00Z")
    assert shop("GET", "/invoices")["meta"]["total_count"] == 1
    for tasks in ([], ["dunning"], ["billing"], ["billing"]):
        assert shop("POST", "/test_clock/run", body={"test_clock": {"tasks": tasks}}) is None
        expected = 2 if tasks == ["billing"] else 1
        assert shop("GET", "/invoices")["meta"]["total_count"] == expected


@pytest.mark.parametrize(
    ("tasks", "code"), [(["nap"], "value_is_invalid"), ("billing", "must_be_array"), ([[]], "value_is_invalid")]
)  # fmt: skip
def test_unknown_tasks_are_refused(api: Api, tasks: Any, code: str) -> None:
    body = {"test_clock": {"tasks": tasks}}
    assert api("POST", "/test_clock/run", body=body, status=422)["error_details"] == {
        "tasks": [code]
    }


def test_advance_bills_every_period_on_the_way(shop: Api) -> None:
    shop.customer()
    shop.subscription()
    moved = advance(shop, "2024-07-01T00:00:00Z")["test_clock"]
    assert moved["now"] == "2024-07-01T00:00:00Z"
    assert moved["actions"]["invoices"] == 4
    dates = [each["issuing_date"] for each in shop("GET", "/invoices")["invoices"]]
    assert dates == ["2024-07-01", "2024-06-01", "2024-05-01", "2024-04-01", "2024-03-15"]


def test_advance_goes_forward_only(api: Api) -> None:
    refused = advance(api, "2024-01-01T00:00:00Z", status=422)
    assert "to" in refused["error_details"] or "now" in refused["error_details"]
    assert advance(api, "", status=422)["error_details"] == {"to": ["value_is_mandatory"]}


# --- webhooks ----------------------------------------------------------------------------------


def test_emitted_webhooks_are_listed_in_order(shop: Api) -> None:
    shop.customer(name="<Acme> & sons")
    shop.subscription()
    rows = shop("GET", "/test_clock/webhooks")["webhooks"]
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    types = [row["webhook_type"] for row in rows]
    assert types[0] == "plan.created"
    for expected in ("customer.created", "subscription.started", "invoice.created"):
        assert expected in types
    customer = next(row for row in rows if row["webhook_type"] == "customer.created")
    assert customer["webhook_url"] == HOOK
    assert customer["object_type"] == "customer"
    assert customer["payload"]["customer"]["name"] == "<Acme> & sons"
    query = {"after": rows[0]["sequence"], "per_page": 2}
    page = shop("GET", "/test_clock/webhooks", query=query)["webhooks"]
    assert page == rows[1:3]


# --- simulated parties -------------------------------------------------------------------------


def test_events_can_be_back_filled(api: Api) -> None:
    given = {"transaction_id": "t1", "external_subscription_id": "s", "code": "storage"}
    made = api("POST", "/test_clock/events", body={"event": given})["event"]
    assert api("GET", "/events/{}", "t1")["event"] == made


@pytest.fixture
def paying(shop: Api) -> Api:
    """A customer whose simulated provider takes its time."""
    connect(shop, "processing")
    shop.customer(
        billing_configuration={
            "payment_provider": "stripe",
            "payment_provider_code": "psp",
            "sync_with_provider": True,
        }
    )
    return shop


def connect(api: Api, outcome: str, **sent: Any) -> Any:
    given = {"code": "psp", "type": "stripe", "outcome": outcome}
    return api("POST", "/test_clock/payment_providers", body={"payment_provider": given}, **sent)


def report(api: Api, invoice: Any, status: str, *, code: str = "psp", answer: int = 200) -> Any:
    body = {"event": {"invoice_id": invoice["lago_id"], "status": status}}
    path = "/test_clock/payment_providers/{}/events"
    return api("POST", path, code, body=body, status=answer)


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_a_provider_reports_the_end_of_a_payment(paying: Api, status: str) -> None:
    paying.subscription()
    (invoice,) = paying("GET", "/invoices")["invoices"]
    (payment,) = paying("GET", "/payments")["payments"]
    assert (payment["type"], payment["payment_status"]) == ("provider", "processing")
    assert report(paying, invoice, status)["payment"]["payment_status"] == status
    shown = paying("GET", "/invoices/{}", invoice["lago_id"])["invoice"]
    assert shown["payment_status"] == status
    again = report(paying, invoice, status, answer=404)
    assert again["code"] == "payment_not_found"


def test_a_failed_payment_can_be_tried_again(paying: Api) -> None:
    connect(paying, "failed")
    paying.subscription()
    (invoice,) = paying("GET", "/invoices")["invoices"]
    assert invoice["payment_status"] == "failed"
    connect(paying, "succeeded")
    assert paying("POST", "/invoices/{}/retry_payment", invoice["lago_id"]) is None
    shown = paying("GET", "/invoices/{}", invoice["lago_id"])["invoice"]
    assert shown["payment_status"] == "succeeded"
    assert [each["payment_status"] for each in paying("GET", "/payments")["payments"]] == [
        "succeeded",
        "failed",
    ]
    again = paying("POST", "/invoices/{}/retry_payment", invoice["lago_id"], status=405)
    assert again["code"] == "invalid_status"


def test_reports_that_are_refused(paying: Api) -> None:
    unknown = {"lago_id": "0f8a6d1f-0f11-4a6e-9a0f-0f8a6d1f0f11"}
    assert report(paying, unknown, "succeeded", answer=404)["code"] == "invoice_not_found"
    assert report(paying, unknown, "lost", answer=422)["error_details"] == {
        "status": ["value_is_invalid"]
    }
    paying.subscription()
    (invoice,) = paying("GET", "/invoices")["invoices"]
    other = report(paying, invoice, "succeeded", code="other", answer=404)
    assert other["code"] == "payment_not_found"


# --- provider connections ----------------------------------------------------------------------


def test_connections_are_listed_without_secrets(api: Api) -> None:
    given = {
        "code": "fake",
        "provider": "fakepay",
        "name": "Fake",
        "config": {
            "base_url": "http://127.0.0.1:9",
            "secret_key": "sk_secret",
            "webhook_secret": "wh_secret",
        },
    }
    response = api.send(
        "POST", "/payment_providers", content=json.dumps({"payment_provider": given}).encode()
    )
    assert response.status_code == 200, response.text
    assert "secret" not in response.text.replace("secret_key", "").replace("webhook_secret", "")
    made = response.json()["payment_provider"]
    assert (made["code"], made["provider"], made["name"]) == ("fake", "fakepay", "Fake")
    assert api("GET", "/payment_providers/{}", "fake")["payment_provider"] == made
    assert api("GET", "/payment_providers")["payment_providers"] == [made]
    assert api("GET", "/payment_providers/{}", "x", status=404)["code"] == (
        "payment_provider_not_found"
    )


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({"code": "x", "provider": "nobody"}, {"provider": ["value_is_invalid"]}),
        ({"code": "x", "provider": "fakepay"}, {"base_url": ["value_is_mandatory"]}),
        ({"code": "x", "type": "paper"}, {"type": ["value_is_invalid"]}),
        ({"name": "x"}, {"code": ["value_is_mandatory"], "type": ["value_is_mandatory"]}),
    ],
)
def test_connections_that_are_refused(
    api: Api, given: dict[str, Any], details: dict[str, Any]
) -> None:
    body = {"payment_provider": given}
    assert api("POST", "/payment_providers", body=body, status=422)["error_details"] == details


def test_an_unknown_outcome_is_refused(api: Api) -> None:
    assert connect(api, "miracle", status=422)["error_details"]
    assert api("GET", "/payment_providers")["payment_providers"] == []


def test_webhooks_of_providers_need_a_known_connection(api: Api) -> None:
    own = api("GET", "/organizations")["organization"]["lago_id"]
    for path in (f"/webhooks/fakepay/{own}", f"/webhooks/fakepay/{own}?code=x"):
        assert api.http.post(path, content=b"{}").status_code == 400
    assert api.http.post("/webhooks/fakepay/nobody", content=b"{}").status_code == 404
