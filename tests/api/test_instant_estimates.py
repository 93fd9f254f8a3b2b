"""Estimates of instant fees over HTTP, single and in batches (events.md §11)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

SINGLE, BATCH = "/events/estimate_instant_fees", "/events/batch_estimate_instant_fees"


@pytest.fixture
def shop(api: Api) -> Api:
    """Two subscriptions on a plan with a metric that is billed at once, and one that is not."""
    instant = api.metric()
    later = api.metric("later")
    computed = api.metric("net", expression="event.properties.mb / 1000")

    def charge(metric: Any, amount: str, **fields: Any) -> dict[str, Any]:
        properties = {"amount": amount}
        named = {"billable_metric_id": metric["lago_id"], "charge_model": "standard"}
        return named | {"properties": properties} | fields

    api.plan(
        charges=[
            charge(instant, "0.07", pay_in_advance=True),
            charge(instant, "1", pay_in_advance=True, invoiceable=False, code="second"),
            charge(computed, "2", pay_in_advance=True),
            charge(later, "5"),
        ]
    )
    api.customer()
    api.subscription("a")
    api.subscription("b")
    return api


def event(subscription: str = "a", code: str = "storage", **properties: Any) -> dict[str, Any]:
    return {"code": code, "external_subscription_id": subscription, "properties": properties}


def test_a_fee_for_each_charge(shop: Api) -> None:
    given = event(gb=12) | {"transaction_id": "tx-1"}
    fees = shop("POST", SINGLE, body={"event": given})["fees"]
    assert [fee["amount_cents"] for fee in fees] == [84, 1200]
    assert [fee["invoiceable"] for fee in fees] == [True, False]
    assert {fee["event_transaction_id"] for fee in fees} == {"tx-1"}
    assert shop("GET", "/events")["meta"]["total_count"] == 0


def test_an_expression_is_evaluated(shop: Api) -> None:
    fees = shop("POST", SINGLE, body={"event": event(code="net", mb=500)})["fees"]
    assert [(fee["units"], fee["amount_cents"]) for fee in fees] == [("0.5", 100)]
    body = shop("POST", SINGLE, body={"event": event(code="net")}, status=422)
    assert body["error_details"] == {"properties": ["value_is_not_valid_number"]}


def test_a_batch_goes_by_subscription_then_event_then_charge(shop: Api) -> None:
    events = [event("b", gb=1), event("a", gb=2), event("b", "later"), {"event": event("b", gb=3)}]
    fees = shop("POST", BATCH, body={"events": events})["fees"]
    assert [(fee["external_subscription_id"], fee["units"]) for fee in fees] == [
        ("b", "1.0"), ("b", "1.0"), ("b", "3.0"), ("b", "3.0"), ("a", "2.0"), ("a", "2.0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "status", "expected"),
    [
        (event("none"), 404, "subscription_not_found"),
        ({"code": "storage"}, 404, "subscription_not_found"),
        (event(code="later"), 422, {"code": ["does_not_match_an_instant_charge"]}),
        (event(code="unknown"), 422, {"code": ["does_not_match_an_instant_charge"]}),
        (event(gb="abc"), 422, {"properties": ["value_is_not_valid_number"]}),
    ],
)
def test_refusals(shop: Api, given: Any, status: int, expected: Any) -> None:
    for path, body in ((SINGLE, {"event": given}), (BATCH, {"events": [given]})):
        refused = shop("POST", path, body=body, status=status)
        assert refused["error_details" if status == 422 else "code"] == expected


@pytest.mark.parametrize(
    ("events", "code"),
    [(None, "no_events"), ([], "no_events"), ("x", "no_events"), ([{}] * 101, "too_many_events")],
)
def test_a_batch_has_bounds(shop: Api, events: Any, code: str) -> None:
    refused = shop("POST", BATCH, body={"events": events}, status=422)
    assert refused["error_details"] == {"events": [code]}
