"""Organization, metrics, taxes, plans and webhook endpoints over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from api.client import Api

UNKNOWN = "0f8a6d1f-0f11-4a6e-9a0f-0f8a6d1f0f11"


def refusal(api: Api, status: int, method: str, template: str, *ids: str, **sent: Any) -> Any:
    """The code of a refusal, or its details when it is a validation."""
    body = api(method, template, *ids, status=status, **sent)
    return body.get("error_details") or body["code"]


# --- organization ------------------------------------------------------------------------------


def test_organization_is_read_and_changed(api: Api) -> None:
    organization = api("GET", "/organizations")["organization"]
    assert organization["name"] == "Acme"
    assert organization["default_currency"] == "EUR"
    changes = {"timezone": "Europe/Paris", "net_payment_term": 30, "country": "fr"}
    for method in ("PUT", "PATCH"):
        changed = api(method, "/organizations", body={"organization": changes})["organization"]
        assert changed["timezone"] == "Europe/Paris"
        assert changed["net_payment_term"] == 30
        assert changed["country"] == "FR"
    assert api("GET", "/organizations")["organization"] == changed
    refused = refusal(api, 422, "PUT", "/organizations", body={"organization": {"timezone": "X"}})
    assert refused == {"timezone": ["invalid_timezone"]}


def test_organization_shows_its_endpoints_and_taxes(api: Api) -> None:
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20, applied_to_organization=True)
    api.create("tax", "/taxes", name="Other", code="other", rate=5)
    api.create("webhook_endpoint", "/webhook_endpoints", webhook_url="http://127.0.0.1:9/hook")
    organization = api("GET", "/organizations")["organization"]
    assert [tax["code"] for tax in organization["taxes"]] == ["vat"]
    assert organization["webhook_url"] == "http://127.0.0.1:9/hook"
    assert organization["webhook_urls"] == ["http://127.0.0.1:9/hook"]


# --- metrics -----------------------------------------------------------------------------------


def test_metric_life(api: Api) -> None:
    created = api.metric("storage", name="Storage")
    assert created["plans_count"] == 0
    shown = api("GET", "/billable_metrics/{}", "storage")["billable_metric"]
    counts = {"active_subscriptions_count", "draft_invoices_count", "plans_count"}
    assert set(created) - set(shown) == counts
    assert {name: created[name] for name in shown} == shown
    for method in ("PUT", "PATCH"):
        changed = api(
            method, "/billable_metrics/{}", "storage", body={"billable_metric": {"name": method}}
        )["billable_metric"]
        assert changed == created | {"name": method}
    renamed = api(
        "PUT", "/billable_metrics/{}", "storage", body={"billable_metric": {"code": "disk"}}
    )["billable_metric"]
    assert renamed["code"] == "disk"
    assert refusal(api, 404, "GET", "/billable_metrics/{}", "storage") == (
        "billable_metric_not_found"
    )
    deleted = api("DELETE", "/billable_metrics/{}", "disk")["billable_metric"]
    assert deleted == renamed
    for method in ("GET", "DELETE"):
        assert refusal(api, 404, method, "/billable_metrics/{}", "disk") == (
            "billable_metric_not_found"
        )


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        (
            {"code": "a", "field_name": "x"},
            {"name": ["value_is_mandatory"], "aggregation_type": ["value_is_invalid"]},
        ),
        (
            {"code": "a", "name": "A", "aggregation_type": "sum_agg"},
            {"field_name": ["value_is_mandatory"]},
        ),
        (
            {"code": "taken", "name": "A", "aggregation_type": "count_agg"},
            {"code": ["value_already_exist"]},
        ),
    ],
)
def test_metric_refusals(api: Api, fields: dict[str, Any], details: dict[str, Any]) -> None:
    api.metric("taken")
    given = {"billable_metric": fields}
    assert refusal(api, 422, "POST", "/billable_metrics", body=given) == details


def test_lists_are_newest_first_and_paged(api: Api) -> None:
    """given a clock that stands still / then the one created later counts as the newer"""
    for number in range(5):
        api.metric(f"m{number}")
    first = api("GET", "/billable_metrics", query={"per_page": 2})
    assert [metric["code"] for metric in first["billable_metrics"]] == ["m4", "m3"]
    assert first["meta"] == {
        "current_page": 1,
        "next_page": 2,
        "prev_page": None,
        "total_pages": 3,
        "total_count": 5,
    }
    last = api("GET", "/billable_metrics", query={"per_page": 2, "page": 3})
    assert [metric["code"] for metric in last["billable_metrics"]] == ["m0"]
    assert last["meta"]["next_page"] is None
    beyond = api("GET", "/billable_metrics", query={"per_page": 2, "page": 9})
    assert beyond["billable_metrics"] == []
    assert beyond["meta"] == {
        "current_page": 9,
        "next_page": None,
        "prev_page": 8,
        "total_pages": 3,
        "total_count": 5,
    }
    clamped = api("GET", "/billable_metrics", query={"per_page": 0, "page": "9" * 40})
    assert clamped["meta"]["total_pages"] == 5
    assert api("GET", "/plans")["meta"] == {
        "current_page": 0,
        "next_page": None,
        "prev_page": None,
        "total_pages": 0,
        "total_count": 0,
    }


# --- taxes -------------------------------------------------------------------------------------


def test_tax_life(api: Api) -> None:
    body = b'{"tax":{"name":"VAT","code":"vat","rate":19.123456789012345678901234567890}}'
    created = api.send("POST", "/taxes", content=body)
    assert b'"rate":19.12345678901234567890123456789,' in created.content
    tax = created.json()["tax"]
    assert api("GET", "/taxes/{}", "vat")["tax"] == tax
    changed = api("PUT", "/taxes/{}", "vat", body={"tax": {"code": "v", "rate": "20.0"}})["tax"]
    assert (changed["code"], changed["rate"]) == ("v", 20.0)
    assert refusal(api, 404, "GET", "/taxes/{}", "vat") == "tax_not_found"
    assert api("DELETE", "/taxes/{}", "v")["tax"] == changed
    assert refusal(api, 404, "PUT", "/taxes/{}", "v", body={"tax": {"name": "x"}}) == (
        "tax_not_found"
    )


def test_taxes_are_listed_by_name(api: Api) -> None:
    for name, code in (("b", "b1"), ("A", "a1"), ("a", "a2"), ("C", "c1")):
        api.create("tax", "/taxes", name=name, code=code, rate=1)
    listed = [tax["code"] for tax in api("GET", "/taxes")["taxes"]]
    assert listed == ["a2", "a1", "b1", "c1"]


def test_tax_refusals(api: Api) -> None:
    given = {"tax": {"name": "", "code": None, "rate": "much"}}
    assert refusal(api, 422, "POST", "/taxes", body=given) == {
        "name": ["value_is_mandatory"],
        "code": ["value_is_mandatory"],
        "rate": ["is not a number"],
    }


# --- plans -------------------------------------------------------------------------------------


def test_plan_life(api: Api) -> None:
    metric = api.metric()
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "0.000000000000001"},
        "tax_codes": ["vat"],
    }
    plan = api.plan("growth", charges=[charge], tax_codes=["vat"])
    assert plan["charges"][0]["properties"]["amount"] == "0.000000000000001"
    assert plan["fixed_charges"] == []
    assert api("GET", "/plans/{}", "growth")["plan"] == plan
    (listed,) = api("GET", "/plans")["plans"]
    assert set(plan) - set(listed) == {"fixed_charges"}
    for method in ("PUT", "PATCH"):
        changed = api(method, "/plans/{}", "growth", body={"plan": {"amount_cents": 5}})["plan"]
        assert changed["amount_cents"] == 5
    deleted = api("DELETE", "/plans/{}", "growth")["plan"]
    assert deleted == changed | {"pending_deletion": True}
    for method, sent in (("GET", {}), ("DELETE", {}), ("PUT", {"body": {"plan": {"name": "x"}}})):
        assert refusal(api, 404, method, "/plans/{}", "growth", **sent) == "plan_not_found"


def test_plan_refusals(api: Api) -> None:
    missing = {"billable_metric_id": UNKNOWN, "charge_model": "standard", "properties": {}}
    given = {"plan": {"code": "p", "charges": [missing]}}
    assert refusal(api, 404, "POST", "/plans", body=given) == "billable_metrics_not_found"
    assert refusal(api, 422, "POST", "/plans", body={"plan": {"name": "x"}}) == {
        "code": ["value_is_mandatory"],
        "interval": ["value_is_invalid"],
        "amount_cents": ["value_is_mandatory"],
        "amount_currency": ["value_is_invalid"],
        "pay_in_advance": ["value_is_invalid"],
    }


def test_an_unknown_tax_of_a_plan_is_not_found(api: Api) -> None:
    given = {
        "code": "p", "name": "P", "interval": "monthly", "amount_cents": 1, "amount_currency": "EUR",
        "pay_in_advance": True, "tax_codes": ["vat"],
    }  # fmt: skip
    assert refusal(api, 404, "POST", "/plans", body={"plan": given}) == "tax_not_found"
    assert api("GET", "/plans")["plans"] == []


# --- webhook endpoints -------------------------------------------------------------------------


def test_webhook_endpoint_life(api: Api) -> None:
    made = api.create("webhook_endpoint", "/webhook_endpoints", webhook_url="http://127.0.0.1:9/b")
    assert made["signature_algo"] == "jwt"
    other = api.create(
        "webhook_endpoint",
        "/webhook_endpoints",
        webhook_url="http://127.0.0.1:9/a",
        signature_algo="hmac",
        event_types=["invoice.created"],
    )
    assert api("GET", "/webhook_endpoints")["webhook_endpoints"] == [other, made]
    shown = api("GET", "/webhook_endpoints/{}", made["lago_id"])["webhook_endpoint"]
    assert shown == made
    for method in ("PUT", "PATCH"):
        changed = api(
            method,
            "/webhook_endpoints/{}",
            made["lago_id"],
            body={"webhook_endpoint": {"webhook_url": "http://127.0.0.1:9/c", "name": method}},
        )["webhook_endpoint"]
        assert changed["name"] == method
    assert api("DELETE", "/webhook_endpoints/{}", made["lago_id"])["webhook_endpoint"] == changed
    for unknown in (made["lago_id"], str(uuid.uuid4()), "malformed", UNKNOWN.replace("-", "")):
        assert refusal(api, 404, "GET", "/webhook_endpoints/{}", unknown) == (
            "webhook_endpoint_not_found"
        )


def test_webhook_endpoint_refusals(api: Api) -> None:
    given = {"webhook_endpoint": {"webhook_url": "ftp://example.com"}}
    assert refusal(api, 422, "POST", "/webhook_endpoints", body=given) == {
        "webhook_url": ["url_is_invalid"]
    }


def test_public_keys_are_the_same_key(api: Api) -> None:
    as_json = api("GET", "/webhooks/json_public_key")["webhook"]["public_key"]
    as_text = api.send("GET", "/webhooks/public_key")
    assert as_text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert as_text.text == as_json
    assert as_json.endswith("\n")


# --- isolation ---------------------------------------------------------------------------------


def test_organizations_do_not_see_each_other(api: Api, anonymous: Api) -> None:
    made = anonymous("POST", "/test_clock/organizations", body={"organization": {"name": "Other"}})
    other = Api(api.url, made["api_key"])
    try:
        endpoint = api.create(
            "webhook_endpoint", "/webhook_endpoints", webhook_url="http://127.0.0.1:9/x"
        )
        api.metric()
        api.customer()
        assert other("GET", "/billable_metrics")["billable_metrics"] == []
        assert refusal(other, 404, "GET", "/customers/{}", "acme") == "customer_not_found"
        assert refusal(other, 404, "GET", "/webhook_endpoints/{}", endpoint["lago_id"]) == (
            "webhook_endpoint_not_found"
        )
    finally:
        other.close()
