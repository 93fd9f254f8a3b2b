"""Prices of one subscription over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

CHARGES = "/subscriptions/{}/charges"
FILTERS = CHARGES + "/{}/filters"


@pytest.fixture
def plan(api: Api) -> Any:
    metric = api.metric(filters=[{"key": "region", "values": ["eu", "us"]}])
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "2"},
        "filters": [{"values": {"region": ["eu"]}, "properties": {"amount": "1"}}],
        "tax_codes": ["vat"],
    }
    api.customer()
    return api.plan(charges=[charge])


def test_a_subscription_shows_its_own_plan(api: Api, plan: Any) -> None:
    (charge,) = plan["charges"]
    overrides = {
        "name": "Special",
        "amount_cents": 5,
        "tax_codes": ["vat"],
        "charges": [{"id": charge["lago_id"], "min_amount_cents": 300, "tax_codes": ["vat"]}],
        "minimum_commitment": {"amount_cents": 50},
    }
    api.subscription("plain")
    made = api.subscription("own", plan_overrides=overrides)
    assert (made["plan_code"], made["plan_amount_cents"]) == ("basic", 5)
    own = made["plan"]
    assert (own["name"], own["parent_id"]) == ("Special", plan["lago_id"])
    (own_charge,) = own["charges"]
    assert own_charge["lago_parent_id"] == charge["lago_id"]
    assert (own_charge["min_amount_cents"], own_charge["properties"]) == (300, {"amount": "2"})
    assert own_charge["filters"][0]["properties"] == {"amount": "1"}
    api("PUT", "/taxes/{}", "vat", body={"tax": {"rate": 7}})
    shown = api("GET", "/subscriptions/{}", "own")["subscription"]["plan"]
    assert [shown["taxes"][0]["rate"], shown["charges"][0]["taxes"][0]["rate"]] == [7, 7]
    for query, expected in (("true", ["own"]), ("false", ["plain"])):
        listed = api("GET", "/subscriptions", query={"overridden": query})["subscriptions"]
        assert [each["external_id"] for each in listed] == expected


def test_past_usage_names_the_charges_of_a_child_plan(api: Api, plan: Any) -> None:
    """Also those that the child lost since, with its parent."""
    charge = {"id": plan["charges"][0]["lago_id"], "invoice_display_name": "Disk"}
    api.set_clock("2024-03-01T00:00:00Z")
    api.subscription("sub", plan_overrides={"charges": [charge]})
    api.event("one", timestamp="1709337600", properties={"gb": "3"})
    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-01T12:00:00Z"}})

    def names() -> Any:
        query = {"external_subscription_id": "sub"}
        (period,) = api("GET", "/customers/{}/past_usage", "acme", query=query)["usage_periods"]
        return [each["charge"]["invoice_display_name"] for each in period["charges_usage"]]

    assert names() == ["Disk"]
    api("PUT", "/plans/{}", "basic", body={"plan": {"charges": [], "cascade_updates": True}})
    assert api("GET", CHARGES, "sub")["charges"] == []
    assert names() == [None]


def test_charge_override(api: Api, plan: Any) -> None:
    api.subscription("sub")
    listed = api("GET", CHARGES, "sub")
    assert (listed["charges"], listed["meta"]["total_count"]) == (plan["charges"], 1)
    given = {"charge": {"invoice_display_name": "Disk", "charge_model": "package"}}
    changed = api("PUT", CHARGES + "/{}", "sub", "storage", body=given)["charge"]
    assert changed["lago_parent_id"] == plan["charges"][0]["lago_id"]
    assert (changed["invoice_display_name"], changed["charge_model"]) == ("Disk", "standard")
    assert api("GET", CHARGES + "/{}", "sub", "storage")["charge"] == changed
    assert api("GET", "/plans/{}", "basic")["plan"] == plan
    wrong = {"charge": {"min_amount_cents": -1}}
    refused = api("PUT", CHARGES + "/{}", "sub", "storage", body=wrong, status=422)
    assert refused["error_details"] == {"min_amount_cents": ["value_is_out_of_range"]}
    missing = api("PUT", CHARGES + "/{}", "sub", "none", body=given, status=404)
    assert missing["code"] == "charge_not_found"
    missing = api("GET", CHARGES, "none", status=404)
    assert missing["code"] == "subscription_not_found"
    missing = api("GET", CHARGES, "sub", query={"subscription_status": "pending"}, status=404)
    assert missing["code"] == "subscription_not_found"


def test_filter_override_by_either_id(api: Api, plan: Any) -> None:
    api.subscription("sub")
    (theirs,) = plan["charges"][0]["filters"]
    key = theirs["lago_id"]
    assert api("GET", FILTERS + "/{}", "sub", "storage", key)["filter"] == theirs
    given = {"filter": {"properties": {"amount": "9"}}}
    own = api("PUT", FILTERS + "/{}", "sub", "storage", key, body=given)["filter"]
    assert own == theirs | {"lago_id": own["lago_id"], "properties": {"amount": "9"}}
    assert own["lago_id"] != key
    for known in (key, own["lago_id"]):
        assert api("GET", FILTERS + "/{}", "sub", "storage", known)["filter"] == own
    us = {"filter": {"values": {"region": ["us"]}, "properties": {"amount": "3"}}}
    made = api("POST", FILTERS, "sub", "storage", body=us)["filter"]
    assert api("GET", FILTERS, "sub", "storage")["filters"] == [own, made]
    assert api("DELETE", FILTERS + "/{}", "sub", "storage", key)["filter"] == own
    missing = api("DELETE", FILTERS + "/{}", "sub", "storage", key, status=404)
    assert missing["code"] == "charge_filter_not_found"
    again = api("PUT", FILTERS + "/{}", "sub", "storage", key, body=given)["filter"]
    assert again == own
    refused = api("POST", FILTERS, "sub", "storage", body=us, status=422)
    assert refused["error_details"] == {"values": ["value_already_exists"]}


def test_fixed_charges_of_a_subscription(api: Api, plan: Any) -> None:
    api.subscription("sub")
    assert api("GET", "/subscriptions/{}/fixed_charges", "sub")["fixed_charges"] == []
    missing = api("GET", "/subscriptions/{}/fixed_charges/{}", "sub", "x", status=404)
    assert missing["code"] == "fixed_charge_not_found"
    given = {"fixed_charge": {"units": 1}}
    at = "/subscriptions/{}/fixed_charges/{}"
    assert api("PUT", at, "sub", "x", body=given, status=404)["code"] == "fixed_charge_not_found"
