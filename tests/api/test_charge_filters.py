"""Filters, groups and all aggregations over HTTP: every answer on the way has the shape of the wire."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

REGIONS = [{"key": "region", "values": ["us", "eu"]}]
EU = {
    "values": {"region": ["eu"]},
    "properties": {"amount": "2", "pricing_group_keys": ["cloud"]},
    "invoice_display_name": "Europe",
}
USAGE = "/customers/{}/current_usage", "acme"
SUB = {"external_subscription_id": "sub"}


def filtered(api: Api) -> dict[str, Any]:
    metric = api.metric(filters=REGIONS)
    assert metric["filters"] == [{"key": "region", "values": ["eu", "us"]}]
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "1"},
        "filters": [EU],
    }
    shown: dict[str, Any] = api.plan(charges=[charge])["charges"][0]
    return shown


def test_filters_and_groups_from_plan_to_fee(api: Api) -> None:
    charge = filtered(api)
    [shown] = charge["filters"]
    assert shown["charge_code"] == charge["code"]
    assert (shown["values"], shown["invoice_display_name"]) == ({"region": ["eu"]}, "Europe")
    assert shown["properties"] == {
        "amount": "2",
        "pricing_group_keys": ["cloud"],
        "grouped_by": ["cloud"],
    }
    api.set_clock("2024-03-15T12:00:00Z")
    api.customer()
    api.subscription(subscription_at="2024-03-01T00:00:00Z")
    api.event("t1", properties={"gb": 3, "region": "eu", "cloud": "aws"})
    api.event("t2", properties={"gb": 4})
    # The public document has no null for the values of the default bucket; metrics.md §11.1 does.
    usage = api.send("GET", *USAGE, query=SUB).json()["customer_usage"]
    [used] = usage["charges_usage"]
    assert (used["units"], used["amount_cents"]) == ("7.0", 1000)
    assert [each["amount_cents"] for each in used["filters"]] == [600, 400]
    assert [each["values"] for each in used["filters"]] == [{"region": ["eu"]}, None]
    assert [each["grouped_by"] for each in used["grouped_usage"]] == [{}, {"cloud": "aws"}]

    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-01T06:00:00Z"}})
    (listed,) = api("GET", "/customers/{}/invoices", "acme")["invoices"]
    _, plain, europe = api("GET", "/invoices/{}", listed["lago_id"])["invoice"]["fees"]
    assert (plain["amount_cents"], plain["lago_charge_filter_id"]) == (400, None)
    fee = api("GET", "/fees/{}", europe["lago_id"])["fee"]
    assert (fee["amount_cents"], fee["lago_charge_filter_id"]) == (600, shown["lago_id"])
    assert fee["item"]["filters"] == {"region": ["eu"]}
    assert fee["item"]["filter_invoice_display_name"] == "Europe"
    assert fee["item"]["grouped_by"] == {"cloud": "aws"}


@pytest.mark.parametrize(
    "fields",
    [
        {"aggregation_type": "max_agg"},
        {"aggregation_type": "latest_agg"},
        {"aggregation_type": "unique_count_agg", "recurring": True},
        {"aggregation_type": "weighted_sum_agg", "weighted_interval": "seconds"},
    ],
)
def test_every_aggregation_is_shown_as_given(api: Api, fields: dict[str, Any]) -> None:
    metric = api.metric(**fields)
    assert {key: metric[key] for key in fields} == fields
    assert metric["recurring"] is fields.get("recurring", False)
