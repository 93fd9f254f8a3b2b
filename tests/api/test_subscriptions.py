"""`/subscriptions` over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

BLOCKS = {
    "plan",
    "entitlements",
    "applicable_usage_thresholds",
    "applied_invoice_custom_sections",
}


@pytest.fixture
def shop(api: Api) -> Api:
    """An organization with a plan and a customer."""
    metric = api.metric()
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "1"},
    }
    api.plan(charges=[charge])
    api.customer()
    return api


def test_create_and_show_have_every_block(shop: Api) -> None:
    created = shop.subscription(name="Main")
    assert created["plan"]["charges"][0]["billable_metric_code"] == "storage"
    assert not {"fixed_charges", "entitlements"} & set(created["plan"])
    assert created["status"] == "active"
    assert created["started_at"] == "2024-03-15T12:00:00.000Z"
    assert created["current_billing_period_started_at"] == "2024-03-15T12:00:00Z"
    assert created["current_billing_period_ending_at"] == "2024-03-31T23:59:59Z"
    assert shop("GET", "/subscriptions/{}", "sub")["subscription"] == created
    (listed,) = shop("GET", "/subscriptions")["subscriptions"]
    assert set(created) - set(listed) == BLOCKS
    assert {name: created[name] for name in listed} == listed
    assert shop("GET", "/customers/{}/subscriptions", "acme")["subscriptions"] == [listed]


def test_the_current_period_follows_the_clock(shop: Api) -> None:
    shop.subscription()
    shop.set_clock("2024-05-02T00:00:00Z")
    shown = shop("GET", "/subscriptions/{}", "sub")["subscription"]
    assert shown["current_billing_period_started_at"] == "2024-05-01T00:00:00Z"
    assert shown["current_billing_period_ending_at"] == "2024-05-31T23:59:59Z"


def test_the_same_request_again_changes_nothing(shop: Api) -> None:
    created = shop.subscription()
    assert shop.subscription() == created
    assert shop("GET", "/subscriptions")["meta"]["total_count"] == 1


def test_a_new_customer_is_made_on_the_fly(shop: Api) -> None:
    created = shop.subscription("sub_2", customer=" new ")
    assert created["external_customer_id"] == "new"
    assert shop("GET", "/customers/{}", "new")["customer"]["currency"] == "EUR"


@pytest.mark.parametrize(
    ("fields", "status", "expected"),
    [
        ({"plan_code": "none"}, 404, "plan_not_found"),
        ({"external_id": ""}, 422, {"external_id": ["value_is_mandatory"]}),
        ({"external_customer_id": ""}, 422, {"external_customer_id": ["value_is_mandatory"]}),
        ({"billing_time": "sometimes"}, 422, {"billing_time": ["value_is_invalid"]}),
        ({"subscription_at": "soon"}, 422, {"subscription_at": ["invalid_date"]}),
    ],
)
def test_refusals(shop: Api, fields: dict[str, Any], status: int, expected: Any) -> None:
    given = {"external_customer_id": "acme", "external_id": "s", "plan_code": "basic"} | fields
    body = shop("POST", "/subscriptions", body={"subscription": given}, status=status)
    assert (body.get("error_details") or body["code"]) == expected


def test_an_external_id_active_elsewhere_is_taken(shop: Api) -> None:
    shop.subscription()
    given = {"external_customer_id": "other", "external_id": "sub", "plan_code": "basic"}
    body = shop("POST", "/subscriptions", body={"subscription": given}, status=422)
    assert body["error_details"] == {"external_id": ["value_already_exist"]}


def test_terminate(shop: Api) -> None:
    shop.subscription()
    ended = shop("DELETE", "/subscriptions/{}", "sub")["subscription"]
    assert ended["status"] == "terminated"
    assert ended["terminated_at"] == "2024-03-15T12:00:00Z"
    assert BLOCKS & set(ended) == {"plan", "applied_invoice_custom_sections"}
    for method in ("GET", "DELETE"):
        body = shop(method, "/subscriptions/{}", "sub", status=404)
        assert body["code"] == "subscription_not_found"
    shown = shop("GET", "/subscriptions/{}", "sub", query={"status": "terminated"})
    assert shown["subscription"]["terminated_at"] == "2024-03-15T12:00:00Z"


def test_terminate_takes_query_and_body(shop: Api) -> None:
    shop.subscription("one")
    shop.subscription("two")
    options = {"on_termination_invoice": "skip"}
    by_query = shop("DELETE", "/subscriptions/{}", "one", query=options)["subscription"]
    by_body = shop("DELETE", "/subscriptions/{}", "two", body=options)["subscription"]
    assert by_query["on_termination_invoice"] == by_body["on_termination_invoice"] == "skip"
    assert shop("GET", "/invoices")["invoices"] == []


def test_terminate_refuses_unknown_options(shop: Api) -> None:
    shop.subscription()
    options = {"on_termination_invoice": "maybe", "on_termination_credit_note": "much"}
    body = shop("DELETE", "/subscriptions/{}", "sub", query=options, status=422)
    assert body["error_details"] == {
        "on_termination_invoice": ["invalid_value"],
        "on_termination_credit_note": ["invalid_value"],
    }
    assert shop("GET", "/subscriptions/{}", "sub")["subscription"]["status"] == "active"


def test_cancel_a_pending_one(shop: Api) -> None:
    created = shop.subscription(subscription_at="2024-04-01T00:00:00Z")
    assert created["status"] == "pending"
    assert created["current_billing_period_started_at"] is None
    assert shop("DELETE", "/subscriptions/{}", "sub", status=404)["code"] == (
        "subscription_not_found"
    )
    canceled = shop("DELETE", "/subscriptions/{}", "sub", query={"status": "pending"})
    assert canceled["subscription"]["status"] == "canceled"


def test_the_latest_of_several_terminated_is_shown(shop: Api) -> None:
    for day in ("15", "16", "17"):
        shop.set_clock(f"2024-03-{day}T12:00:00Z")
        shop.subscription()
        shop("DELETE", "/subscriptions/{}", "sub")
    shown = shop("GET", "/subscriptions/{}", "sub", query={"status": "terminated"})
    assert shown["subscription"]["terminated_at"] == "2024-03-17T12:00:00Z"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], ["late", "early"]),
        ([("status[]", "active")], ["late", "early"]),
        ([("status[]", "pending")], ["future"]),
        ([("status[]", "terminated")], ["gone"]),
        ([("status[]", "pending"), ("status[]", "terminated")], ["future", "gone"]),
        ([("status[]", "nonsense")], ["future", "gone", "late", "early"]),
        ([("external_customer_id", "other")], ["late"]),
        ([("external_id", "early")], ["early"]),
        ([("plan_code", "basic")], ["late", "early"]),
        ([("plan_code", "none")], []),
        ([("currency", "EUR")], ["late", "early"]),
        ([("currency", "USD")], []),
        ([("overridden", "true")], []),
        ([("overridden", "false")], ["late", "early"]),
        ([("billing_entity_codes[]", "acme")], ["late", "early"]),
    ],
)
def test_filters_and_order(shop: Api, query: list[tuple[str, str]], expected: list[str]) -> None:
    """Lists go by `subscription_at`, latest first."""
    shop.subscription("early", subscription_at="2024-01-01T00:00:00Z")
    shop.subscription("gone")
    shop("DELETE", "/subscriptions/{}", "gone")
    shop.subscription("future", subscription_at="2024-06-01T00:00:00Z")
    shop.subscription("late", customer="other", subscription_at="2024-02-01T00:00:00Z")
    found = shop("GET", "/subscriptions", query=query)
    assert [each["external_id"] for each in found["subscriptions"]] == expected
    assert found["meta"]["total_count"] == len(expected)


def test_an_unknown_billing_entity_is_not_found(shop: Api) -> None:
    query = {"billing_entity_codes[]": "x"}
    body = shop("GET", "/subscriptions", query=query, status=404)
    assert body["code"] == "billing_entity_not_found"
