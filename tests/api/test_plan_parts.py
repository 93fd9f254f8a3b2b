"""The paths below a plan over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

STANDARD = {"charge_model": "standard", "properties": {"amount": "2"}}
METADATA = "/plans/{}/metadata"


@pytest.fixture
def metric(api: Api) -> Any:
    made = api.metric(filters=[{"key": "region", "values": ["eu", "us"]}])
    api.plan()
    return made


def test_charge_life(api: Api, metric: Any) -> None:
    def post(code: str) -> Any:
        given = {"billable_metric_id": metric["lago_id"], "code": code, **STANDARD}
        return api("POST", "/plans/{}/charges", "basic", body={"charge": given})["charge"]

    first = post("one")
    api.set_clock("2024-03-16T12:00:00Z")
    second = post("two")
    assert api("GET", "/plans/{}", "basic")["plan"]["charges"] == [first, second]
    listed = api("GET", "/plans/{}/charges", "basic", query={"per_page": 1})
    assert (listed["charges"], listed["meta"]["total_pages"]) == ([second], 2)
    given = {"charge": {"invoice_display_name": "One", "cascade_updates": True}}
    for method in ("PUT", "PATCH"):
        changed = api(method, "/plans/{}/charges/{}", "basic", "one", body=given)["charge"]
        assert changed == first | {"invoice_display_name": "One"}
    assert api("GET", "/plans/{}/charges/{}", "basic", "one")["charge"] == changed
    assert api("DELETE", "/plans/{}/charges/{}", "basic", "one")["charge"] == changed
    missing = api("GET", "/plans/{}/charges/{}", "basic", "one", status=404)
    assert missing["code"] == "charge_not_found"
    missing = api("GET", "/plans/{}/charges", "none", status=404)
    assert missing["code"] == "plan_not_found"


def test_filter_life(api: Api, metric: Any) -> None:
    charge = {"billable_metric_id": metric["lago_id"], "code": "one", **STANDARD}
    api("POST", "/plans/{}/charges", "basic", body={"charge": charge})
    at = "/plans/{}/charges/{}/filters"
    made = []
    for region, day in (("eu", 16), ("us", 17)):
        api.set_clock(f"2024-03-{day}T12:00:00Z")
        given = {"values": {"region": [region]}, "properties": {"amount": "1"}}
        made.append(api("POST", at, "basic", "one", body={"filter": given})["filter"])
    assert made[0]["charge_code"] == "one"
    assert api("GET", at, "basic", "one")["filters"] == made
    api.set_clock("2024-03-18T12:00:00Z")
    key = made[0]["lago_id"]
    given = {"filter": {"invoice_display_name": "Europe"}}
    changed = api("PUT", at + "/{}", "basic", "one", key, body=given)["filter"]
    assert changed == made[0] | {"invoice_display_name": "Europe"}
    assert api("GET", at, "basic", "one")["filters"] == [made[1], changed]
    assert api("GET", at + "/{}", "basic", "one", key)["filter"] == changed
    assert api("DELETE", at + "/{}", "basic", "one", key)["filter"] == changed
    for unknown in (key, "malformed"):
        missing = api("GET", at + "/{}", "basic", "one", unknown, status=404)
        assert missing["code"] == "charge_filter_not_found"


def test_fixed_charge_life(api: Api, metric: Any) -> None:
    add_on = {"name": "Seat", "code": "seat", "amount_cents": 500, "amount_currency": "EUR"}
    api.create("add_on", "/add_ons", **add_on)
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    at = "/plans/{}/fixed_charges"
    given: dict[str, Any] = {
        "add_on_code": "seat", "code": "seats", "units": 5, "tax_codes": ["vat"], **STANDARD,
    }  # fmt: skip
    made = api("POST", at, "basic", body={"fixed_charge": given})["fixed_charge"]
    assert (made["units"], made["taxes"][0]["code"]) == ("5.0", "vat")
    assert api("GET", at, "basic")["fixed_charges"] == [made]
    assert api("GET", "/plans/{}", "basic")["plan"]["fixed_charges"] == [made]
    assert "fixed_charges" not in api("GET", "/plans")["plans"][0]
    changed = api("PUT", at + "/{}", "basic", "seats", body={"fixed_charge": {"units": "7.25"}})[
        "fixed_charge"
    ]
    assert changed == made | {"units": "7.25"}
    assert api("DELETE", at + "/{}", "basic", "seats")["fixed_charge"] == changed
    missing = api("GET", at + "/{}", "basic", "seats", status=404)
    assert missing["code"] == "fixed_charge_not_found"
    given["add_on_code"] = "none"
    missing = api("POST", at, "basic", body={"fixed_charge": given}, status=404)
    assert missing["code"] == "add_on_not_found"


def test_commitment_and_thresholds_are_shown(api: Api) -> None:
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    plan = api.plan(
        minimum_commitment={"amount_cents": 5000, "tax_codes": ["vat"]},
        usage_thresholds=[{"amount_cents": 100, "threshold_display_name": "First"}],
    )
    commitment = plan["minimum_commitment"]
    assert (commitment["plan_code"], commitment["interval"]) == ("basic", "monthly")
    assert [tax["code"] for tax in commitment["taxes"]] == ["vat"]
    assert plan["applicable_usage_thresholds"] == [
        {"threshold_display_name": "First", "amount_cents": 100, "recurring": False}
    ]
    api("PUT", "/taxes/{}", "vat", body={"tax": {"rate": 21}})
    shown = api("GET", "/plans/{}", "basic")["plan"]["minimum_commitment"]
    assert shown["taxes"][0]["rate"] == 21
    given = {"plan": {"minimum_commitment": {}, "usage_thresholds": []}}
    cleared = api("PUT", "/plans/{}", "basic", body=given)["plan"]
    assert "minimum_commitment" not in cleared
    assert cleared["usage_thresholds"] == []


def test_metadata(api: Api) -> None:
    api.plan()
    replaced = api("POST", METADATA, "basic", body={"metadata": {"a": "1", "b": "2"}})
    assert replaced == {"metadata": {"a": "1", "b": "2"}}
    for method in ("PUT", "PATCH"):
        merged = api(method, METADATA, "basic", body={"metadata": {"c": None}})["metadata"]
        assert merged == {"a": "1", "b": "2", "c": None}
    dropped = api("DELETE", METADATA + "/{}", "basic", "a")["metadata"]
    assert dropped == {"b": "2", "c": None}
    assert api("GET", "/plans/{}", "basic")["plan"]["metadata"] == dropped
    assert api("DELETE", METADATA, "basic") == {"metadata": None}
    assert "metadata" not in api("GET", "/plans/{}", "basic")["plan"]
    missing = api("DELETE", METADATA + "/{}", "basic", "a", status=404)
    assert missing["code"] == "metadata_not_found"
    wrong = api("POST", METADATA, "basic", body={"metadata": {"a": 1}}, status=422)
    assert wrong["error_details"] == {"value": ["invalid_type"]}
    assert api("POST", METADATA, "basic", body={"other": 1}, status=400)["status"] == 400
