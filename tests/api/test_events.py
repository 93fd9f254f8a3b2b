"""`/events` and current usage over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api.client import Api

T0 = 1_710_500_000  # 2024-03-15T10:53:20Z


@pytest.fixture
def shop(api: Api) -> Api:
    """An organization with a subscription that meters storage, half a euro each."""
    metric = api.metric()
    api.metric("calls", aggregation_type="count_agg", field_name=None)
    charges = [
        {
            "billable_metric_id": metric["lago_id"],
            "charge_model": "standard",
            "properties": {"amount": "0.5"},
        }
    ]
    api.plan(charges=charges)
    api.customer()
    api.subscription(subscription_at="2024-03-01T00:00:00Z")
    return api


def transaction_ids(answer: Any) -> list[str]:
    return [event["transaction_id"] for event in answer["events"]]


def test_an_event_is_stored_shown_and_counted(shop: Api) -> None:
    sent = shop.event("t1", timestamp="1710500000.1239", properties={"gb": 12, "deep": {"a": [1]}})
    assert sent["timestamp"] == "2024-03-15T10:53:20.123Z"
    assert sent["created_at"] == "2024-03-15T12:00:00Z"
    assert sent["properties"] == {"gb": 12, "deep": {"a": [1]}}
    shown = shop("GET", "/events/{}", "t1")["event"]
    assert shown == sent
    usage = shop(
        "GET", "/customers/{}/current_usage", "acme", query={"external_subscription_id": "sub"}
    )["customer_usage"]
    assert usage["amount_cents"] == 600
    assert usage["charges_usage"][0]["units"] == "12.0"


def test_an_expression_computes_the_property(shop: Api) -> None:
    formula = "event.properties.mb / 1000"
    refused = {"code": "net", "name": "Net", "aggregation_type": "sum_agg", "field_name": "gb"}
    body = shop(
        "POST",
        "/billable_metrics",
        body={"billable_metric": {**refused, "expression": "event.properties."}},
        status=422,
    )
    assert body["error_details"] == {"expression": ["invalid_expression"]}
    metric = shop.metric("net", field_name="gb", expression=formula)
    assert metric["expression"] == formula
    sent = shop.event("x1", code="net", properties={"mb": 350})
    assert sent["properties"] == {"mb": 350, "gb": "0.35"}
    assert shop("GET", "/events/{}", "x1")["event"] == sent
    given = {"transaction_id": "x2", "external_subscription_id": "sub", "code": "net"}
    body = shop("POST", "/events", body={"event": given}, status=422)
    assert body["error_details"] == "expression_evaluation_failed: Variable: mb not found"


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            {"expression": "event.properties.mb / 1000", "event": {"properties": {"mb": 350}}},
            {"expression_result": {"value": "0.35"}},
        ),
        (
            {"expression": "concat(event.code, '-', event.timestamp)",
             "event": {"code": "a", "timestamp": 1750000000}},
            {"expression_result": {"value": "a-1750000000"}},
        ),
        ({"expression": " "}, {"expression": ["value_is_mandatory"]}),
        ({"expression": "1 +"}, {"expression": ["invalid_expression"]}),
        ({"expression": "event.properties.b"}, {"event": ["invalid_event"]}),
        ({"expression": "1 / 0"}, {"event": ["invalid_event"]}),
    ],
)  # fmt: skip
def test_evaluate_expression(api: Api, given: dict[str, Any], answer: dict[str, Any]) -> None:
    status = 200 if "expression_result" in answer else 422
    body = api("POST", "/billable_metrics/evaluate_expression", body=given, status=status)
    assert (body if status == 200 else body["error_details"]) == answer


def test_a_duplicate_is_refused(shop: Api) -> None:
    shop.event("t1")
    given = {"transaction_id": "t1", "external_subscription_id": "sub", "code": "storage"}
    body = shop("POST", "/events", body={"event": given}, status=422)
    assert body["error_details"] == {"transaction_id": ["value_already_exist"]}


@pytest.mark.parametrize(
    ("event", "details"),
    [
        (
            {"external_subscription_id": "sub"},
            {"transaction_id": ["value_is_mandatory"], "code": ["value_is_mandatory"]},
        ),
        (
            {"transaction_id": "t", "code": "c", "timestamp": "2024-03-15T00:00:00Z"},
            {"timestamp": ["invalid_format"]},
        ),
    ],
)
def test_refusals(shop: Api, event: dict[str, Any], details: dict[str, Any]) -> None:
    body = shop("POST", "/events", body={"event": event}, status=422)
    assert body["error_details"] == details


def test_a_batch_is_all_or_nothing(shop: Api) -> None:
    def item(transaction_id: str, **fields: Any) -> dict[str, Any]:
        base = {"transaction_id": transaction_id, "external_subscription_id": "sub"}
        return base | {"code": "storage", "properties": {"gb": 1}} | fields

    stored = shop("POST", "/events/batch", body={"events": [item("b1"), item("b2")]})
    assert transaction_ids(stored) == ["b1", "b2"]
    refused = shop(
        "POST",
        "/events/batch",
        body={"events": [item("b3"), item("b4", code=None), item("b5", timestamp="x")]},
        status=422,
    )
    assert refused["error_details"] == {
        "1": {"code": ["value_is_mandatory"]},
        "2": {"timestamp": ["invalid_format"]},
    }
    refused = shop("POST", "/events/batch", body={"events": [item("b6"), item("b1")]}, status=422)
    assert refused["error_details"] == {"1": {"transaction_id": ["value_already_exist"]}}
    assert shop("GET", "/events")["meta"]["total_count"] == 2


def test_a_partial_batch_takes_what_it_can(shop: Api) -> None:
    shop.event("p1")
    items = [
        {"transaction_id": "p1", "external_subscription_id": "sub", "code": "storage"},
        {"transaction_id": "p2", "external_subscription_id": "sub", "code": "storage"},
        {"transaction_id": "p3"},
    ]
    content = json.dumps({"events": items}).encode()
    response = shop.send("POST", "/events/batch", content=content, query={"partial": "true"})
    assert response.status_code == 200
    body = response.json()
    assert body["meta"] == {"accepted_count": 1, "duplicate_count": 1, "refused_count": 1}
    duplicate, accepted, refused = body["events"]
    assert duplicate == {
        "index": 0,
        "status": "duplicate",
        "error_details": {"transaction_id": ["value_already_exist"]},
    }
    assert accepted["event"] == shop("GET", "/events/{}", "p2")["event"]
    assert refused["error_details"] == {"code": ["value_is_mandatory"]}
    assert shop("GET", "/events")["meta"]["total_count"] == 2
    for off in ({"partial": "false"}, {"partial": "maybe"}, {}):
        again = shop.send("POST", "/events/batch", content=content, query=off)
        assert again.json()["error_details"] == {"2": {"code": ["value_is_mandatory"]}}


@pytest.mark.parametrize(
    ("events", "code"), [(None, "no_events"), ([], "no_events"), ([{}] * 101, "too_many_events")]
)
def test_a_batch_has_bounds(shop: Api, events: Any, code: str) -> None:
    body = shop("POST", "/events/batch", body={"events": events}, status=422)
    assert body["error_details"] == {"events": [code]}


def test_an_unknown_event_is_not_found(shop: Api) -> None:
    assert shop("GET", "/events/{}", "none", status=404)["code"] == "event_not_found"


def test_enriched_events_are_for_the_column_store(shop: Api) -> None:
    refused = shop.send("GET", "/events_enriched")
    assert (refused.status_code, refused.json()["code"]) == (403, "endpoint_not_available")


def test_the_latest_of_one_transaction_id_is_shown(shop: Api) -> None:
    for number, subscription in enumerate(("a", "c", "b")):
        shop.event("same", external_subscription_id=subscription, timestamp=T0 + number)
    shown = shop("GET", "/events/{}", "same")["event"]
    assert shown["external_subscription_id"] == "b"


def test_transaction_ids_take_any_character(shop: Api) -> None:
    for transaction_id in ("a b", "ü?&=#", "a/b", "50%", "batch"):
        shop.event(transaction_id)
        assert shop("GET", "/events/{}", transaction_id)["event"]["transaction_id"] == (
            transaction_id
        )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["t4", "t3", "t1", "t2", "t0"]),
        ({"per_page": 2}, ["t4", "t3"]),
        ({"per_page": 2, "page": 3}, ["t0"]),
        ({"code": "calls"}, ["t3"]),
        ({"external_subscription_id": "other"}, ["t4"]),
        ({"timestamp_from": "2024-03-15T10:53:21Z"}, ["t4", "t3", "t1", "t2"]),
        ({"timestamp_to": "2024-03-15T10:53:20Z"}, ["t0"]),
        ({"timestamp_from": "2024-03-16"}, ["t4"]),
        ({"timestamp_from": "2025-01-01"}, []),
        (
            {"timestamp_from_started_at": "true", "external_subscription_id": "sub"},
            ["t3", "t1", "t2", "t0"],
        ),
        ({"timestamp_from_started_at": "true", "external_subscription_id": "other"}, ["t4"]),
        ({"timestamp_from_started_at": "false", "timestamp_from": "2024-03-16"}, ["t4"]),
    ],
)
def test_list(shop: Api, query: dict[str, Any], expected: list[str]) -> None:
    """Newest timestamp first, then by transaction id."""
    shop.event("t0", timestamp=T0)
    shop.event("t2", timestamp=T0 + 1)
    shop.event("t1", timestamp=T0 + 1)
    shop.event("t3", timestamp=T0 + 2, code="calls")
    shop.event("t4", timestamp=T0 + 86_400, external_subscription_id="other")
    found = shop("GET", "/events", query=query)
    assert transaction_ids(found) == expected


def test_a_list_may_begin_with_the_subscription(shop: Api) -> None:
    shop.event("before", timestamp=1_709_251_199)  # A second before 2024-03-01.
    shop.event("first", timestamp=1_709_251_200)
    query = {"timestamp_from_started_at": "true", "external_subscription_id": "sub"}
    assert transaction_ids(shop("GET", "/events", query=query)) == ["first"]
    shop("DELETE", "/subscriptions/{}", "sub")
    assert transaction_ids(shop("GET", "/events", query=query)) == ["first"]


def test_an_empty_list_has_no_page(shop: Api) -> None:
    assert shop("GET", "/events") == {
        "events": [],
        "meta": {
            "current_page": 0,
            "next_page": None,
            "prev_page": None,
            "total_pages": 0,
            "total_count": 0,
        },
    }


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ({"timestamp_from": "soon"}, {"timestamp_from": ["invalid_date"]}),
        ({"timestamp_to": "2024-13-01"}, {"timestamp_to": ["invalid_date"]}),
        (
            {"timestamp_from_started_at": "true", "timestamp_from": "2024-01-01"},
            {"timestamp_from": ["cannot be used with timestamp_from_started_at"]},
        ),
        (
            {"timestamp_from_started_at": "true"},
            {"external_subscription_id": ["required with timestamp_from_started_at"]},
        ),
        (
            {"timestamp_from_started_at": "yes"},
            {"timestamp_from_started_at": ["must be one of: true, false"]},
        ),
    ],
)
def test_list_refusals(shop: Api, query: dict[str, str], details: dict[str, Any]) -> None:
    assert shop("GET", "/events", query=query, status=422)["error_details"] == details


# --- current usage -----------------------------------------------------------------------------


def usage(shop: Api, *, customer: str = "acme", status: int = 200, **query: Any) -> Any:
    given = {"external_subscription_id": "sub"} | query
    return shop("GET", "/customers/{}/current_usage", customer, query=given, status=status)


def test_usage_with_and_without_taxes(shop: Api) -> None:
    shop.create("tax", "/taxes", name="VAT", code="vat", rate=20, applied_to_organization=True)
    shop.event("t1", properties={"gb": "10"})
    with_taxes = usage(shop)["customer_usage"]
    assert (with_taxes["amount_cents"], with_taxes["taxes_amount_cents"]) == (500, 100)
    without = usage(shop, apply_taxes="false")["customer_usage"]
    assert (without["total_amount_cents"], without["taxes_amount_cents"]) == (500, 0)


def test_usage_of_one_charge(shop: Api) -> None:
    charge = usage(shop)["customer_usage"]["charges_usage"][0]["charge"]
    for query in (
        {"charge_id": charge["lago_id"]},
        {"filter_by_charge_code": charge["code"]},
        {"billable_metric_code": "storage"},
        {"filter_by_metric_code": "storage"},
    ):
        assert len(usage(shop, **query)["customer_usage"]["charges_usage"]) == 1
    refused = usage(shop, billable_metric_code="calls", status=404)
    assert refused["code"] == "charge_not_found"


def test_usage_refusals(shop: Api) -> None:
    assert usage(shop, customer="nobody", status=404)["code"] == "customer_not_found"
    assert usage(shop, external_subscription_id="x", status=405)["code"] == (
        "no_active_subscription"
    )
    assert usage(shop, full_usage="true", status=405)["code"] == "full_usage_not_allowed"
    without = shop("GET", "/customers/{}/current_usage", "acme", status=405)
    assert without["code"] == "no_active_subscription"
