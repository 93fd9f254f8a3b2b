"""Estimates of the fees of an event over HTTP: with everything used so far, and nothing stored (events.md §10)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api
from lago_python_client.client import Client
from lago_python_client.models.event import Event

PATH = "/events/estimate_fees"
TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "2"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "3"},
]


def in_advance(metric: Any, model: str, properties: dict[str, Any], **fields: Any) -> Any:
    return {
        "billable_metric_id": metric["lago_id"],
        "charge_model": model,
        "properties": properties,
        "pay_in_advance": True,
        **fields,
    }


def subscribe(api: Api, *charges: dict[str, Any]) -> Api:
    api.plan(charges=list(charges))
    api.customer()
    api.subscription(subscription_at="2024-03-01T00:00:00Z")
    return api


@pytest.fixture
def shop(api: Api) -> Api:
    """Two charges in advance on storage, of which 100 are used, and a metric that is billed later."""
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20, applied_to_organization=True)
    storage, later = api.metric(), api.metric("later")
    subscribe(
        api,
        in_advance(storage, "standard", {"amount": "0.07"}),
        in_advance(
            storage, "graduated", {"graduated_ranges": TIERS}, code="tiers", invoiceable=False
        ),
        {
            "billable_metric_id": later["lago_id"],
            "charge_model": "standard",
            "properties": {"amount": "5"},
        },
    )
    api.event("first", properties={"gb": 100})
    return api


def event(code: str = "storage", **fields: Any) -> dict[str, Any]:
    return {"code": code, "external_subscription_id": "sub"} | fields


def estimate(api: Api, **fields: Any) -> list[Any]:
    fees: list[Any] = api("POST", PATH, body={"event": event(**fields)})["fees"]
    return fees


def test_a_fee_for_each_charge_on_top_of_what_is_used(shop: Api) -> None:
    stored = shop("GET", "/fees")["meta"]["total_count"], shop("GET", "/events")["meta"]
    standard, tiers = estimate(shop, properties={"gb": 12})
    assert (standard["units"], standard["amount_cents"]) == ("12.0", 84)
    assert (tiers["units"], tiers["amount_cents"]) == ("12.0", 600)
    assert (standard["taxes_amount_cents"], standard["total_amount_cents"]) == (17, 101)
    [tax] = standard["applied_taxes"]
    assert (tax["tax_code"], tax["amount_cents"], tax["lago_id"]) == ("vat", 17, None)
    assert [fee["invoiceable"] for fee in (standard, tiers)] == [True, False]
    assert standard["event_transaction_id"] == tiers["event_transaction_id"]
    for fee in (standard, tiers):
        assert fee["lago_id"] is fee["lago_invoice_id"] is fee["created_at"] is None
        assert (fee["pay_in_advance"], fee["payment_status"]) == (True, "pending")
        assert (fee["amount_details"], fee["events_count"]) == ({}, 1)
    assert estimate(shop, properties={"gb": 12})[0]["amount_cents"] == 84
    assert (shop("GET", "/fees")["meta"]["total_count"], shop("GET", "/events")["meta"]) == stored


def test_an_estimate_is_what_the_event_costs_then(shop: Api) -> None:
    for number, value in enumerate(("-50", "7", "60", "0.5")):
        expected = estimate(shop, properties={"gb": value})
        shop.event(f"t{number}", properties={"gb": value})
        fees = shop("GET", "/fees", query={"event_transaction_id": f"t{number}"})["fees"]
        for estimated, made in zip(expected, fees, strict=True):
            same = ("units", "amount_cents", "precise_amount", "taxes_amount_cents", "item")
            assert [estimated[key] for key in same] == [made[key] for key in same]


def test_an_event_without_its_property_costs_nothing(shop: Api) -> None:
    for given in ({}, {"properties": {"gb": None}}, {"properties": []}):
        assert [(fee["units"], fee["amount_cents"]) for fee in estimate(shop, **given)] == [
            ("0.0", 0),
            ("0.0", 0),
        ]


def test_expressions_filters_and_groups(api: Api) -> None:
    metric = api.metric(
        expression="event.properties.mb / 1000",
        filters=[{"key": "region", "values": ["eu", "us"]}],
    )
    filter_ = {
        "values": {"region": ["eu"]},
        "invoice_display_name": "Europe",
        "properties": {"amount": "2", "pricing_group_keys": ["cloud"]},
    }
    subscribe(api, in_advance(metric, "standard", {"amount": "1"}, filters=[filter_]))
    [fee] = estimate(api, properties={"mb": 500, "region": "eu", "cloud": "aws"})
    assert (fee["units"], fee["amount_cents"]) == ("0.5", 100)
    assert fee["item"]["grouped_by"] == {"cloud": "aws"}
    assert fee["item"]["filters"] == {"region": ["eu"]}
    [fee] = estimate(api, properties={"mb": 500, "region": "us"})
    assert (fee["amount_cents"], fee["lago_charge_filter_id"]) == (50, None)
    refused = api("POST", PATH, body={"event": event()}, status=422)
    assert refused["error_details"] == "expression_evaluation_failed: Variable: mb not found"


def test_free_units_and_seats_that_are_taken(api: Api) -> None:
    calls = api.metric("calls", aggregation_type="count_agg", field_name=None)
    seats = api.metric(
        "seats", aggregation_type="unique_count_agg", field_name="seat", recurring=True
    )
    paid = api.metric("paid")
    subscribe(
        api,
        in_advance(calls, "package", {"package_size": 2, "amount": "5", "free_units": 1}),
        in_advance(seats, "standard", {"amount": "10"}, prorated=True),
        in_advance(
            paid,
            "percentage",
            {"rate": "1.5", "fixed_amount": "0.2", "free_units_per_events": 1},
        ),
        in_advance(paid, "dynamic", {}, code="dynamic"),
    )
    assert [fee["amount_cents"] for fee in estimate(api, code="calls")] == [0]
    api.event("c1", code="calls")
    assert [fee["amount_cents"] for fee in estimate(api, code="calls")] == [500]

    def seat(**properties: str) -> tuple[str, int]:
        [fee] = estimate(api, code="seats", properties=properties)
        return fee["units"], fee["amount_cents"]

    assert seat(seat="A") == ("1.0", 548)  # 17 of 31 days, rounded up at 5 decimals: 0.54839.
    api.event("s1", code="seats", properties={"seat": "A"})
    assert seat(seat="A") == ("0.0", 0)
    assert seat(seat="A", operation_type="remove") == ("0.0", 0)
    assert seat() == ("0.0", 0)

    given = {"properties": {"gb": 100}, "precise_total_amount_cents": "10.25"}
    percentage, dynamic = estimate(api, code="paid", **given)
    assert (percentage["amount_cents"], dynamic["amount_cents"]) == (0, 10)
    api.event("p1", code="paid", **given)
    percentage, dynamic = estimate(api, code="paid", **given)
    assert (percentage["amount_cents"], dynamic["precise_amount"]) == (170, "0.1025")


@pytest.mark.parametrize(
    ("given", "status", "expected"),
    [
        ({"external_subscription_id": "", "timestamp": "x"}, 404, "subscription_not_found"),
        ({"external_subscription_id": "none"}, 404, "subscription_not_found"),
        ({"timestamp": "2024-03-15", "code": "x"}, 422, {"timestamp": ["invalid_format"]}),
        ({"timestamp": True}, 422, {"timestamp": ["invalid_format"]}),
        ({"code": "unknown"}, 404, "billable_metric_not_found"),
        (
            {"code": "later", "properties": {"gb": "x"}},
            422,
            {"properties": ["value_is_not_valid_number"]},
        ),
        ({"properties": {"gb": ""}}, 422, {"properties": ["value_is_not_valid_number"]}),
        ({"code": "later"}, 422, {"code": ["does_not_match_an_instant_charge"]}),
        (
            {"precise_total_amount_cents": "x"},
            422,
            {"precise_total_amount_cents": ["invalid_format"]},
        ),
        (
            {"precise_total_amount_cents": "9" * 25 + ".9999999999999999"},
            422,
            {"precise_total_amount_cents": ["invalid_format"]},
        ),
    ],
)
def test_refusals_in_order(shop: Api, given: Any, status: int, expected: Any) -> None:
    refused = shop("POST", PATH, body={"event": event() | given}, status=status)
    assert refused["error_details" if status == 422 else "code"] == expected
    assert shop("POST", PATH, body={}, status=400)["error"].endswith("invalid: event")


def test_any_timestamp_an_event_may_have_and_the_time_is_now(shop: Api) -> None:
    for timestamp in (None, False, [], 0, "1.75e9", " 1750000000 ", "-5"):
        [fee, _] = estimate(shop, timestamp=timestamp, properties={"gb": 1})
        assert fee["from_date"] == "2024-03-01T00:00:00+00:00"


def test_a_terminated_subscription_has_no_estimates(shop: Api) -> None:
    shop("DELETE", "/subscriptions/{}", "sub")
    refused = shop("POST", PATH, body={"event": event()}, status=404)
    assert refused["code"] == "subscription_not_found"


def test_the_official_client(shop: Api) -> None:
    lago = Client(api_key=shop.key, api_url=shop.url)
    answer = lago.events.estimate_fees(
        Event(
            transaction_id="tx", external_subscription_id="sub", code="storage",
            properties={"gb": 12},
        )
    )  # fmt: skip
    assert [fee.amount_cents for fee in answer["fees"]] == [84, 600]
