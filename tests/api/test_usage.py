"""Current, past and projected usage over HTTP (metrics.md §11)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

CURRENT = "/customers/{}/current_usage", "acme"
PROJECTED = "/customers/{}/projected_usage", "acme"
PAST = "/customers/{}/past_usage", "acme"
SUB = {"external_subscription_id": "sub"}


@pytest.fixture
def grouped(api: Api) -> Api:
    """Storage at 0.1 per unit, by region and cloud; 17 units in June of a subscription since May."""
    metric = api.metric()
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "code": "per_region",
        "properties": {"amount": "0.1", "pricing_group_keys": ["region", "cloud"]},
    }
    api.plan(charges=[charge])
    api.set_clock("2024-05-01T00:00:00Z")
    api.customer()
    api.subscription(subscription_at="2024-05-01T00:00:00Z")
    api.event("may", timestamp="1715000000", properties={"gb": 40, "region": "eu", "cloud": "aws"})
    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-06-12T12:00:00Z"}})
    uses = (("eu", "aws", 10), ("eu", "gcp", 3), ("us", "aws", 5), (None, None, 2))
    for number, (region, cloud, gb) in enumerate(uses):
        places = {"region": region, "cloud": cloud} if region else {}
        api.event(f"t{number}", timestamp="1717408800", properties={"gb": gb} | places)
    return api


def charge_of(api: Api, query: Any, path: Any = CURRENT) -> Any:
    """The one charge of the answer; the document knows no null group, metrics.md §11.1 does."""
    answer = api.send("GET", *path, query=[*SUB.items(), *query])
    assert answer.status_code == 200, answer.text
    (usage,) = answer.json().values()
    (charge,) = usage["charges_usage"]
    return charge


def groups_of(charge: Any) -> Any:
    return [(*each["grouped_by"].values(), each["units"]) for each in charge["grouped_usage"]]


@pytest.mark.parametrize(
    ("query", "units", "groups"),
    [
        ([], "20.0", [("eu", "aws", "10.0"), ("eu", "gcp", "3.0"), ("us", "aws", "5.0"),
                      (None, None, "2.0")]),
        ([("group[region]", "eu")], "13.0", [("aws", "10.0"), ("gcp", "3.0")]),
        ([("group", '{"region":"eu"}')], "13.0", [("aws", "10.0"), ("gcp", "3.0")]),
        ([("filter_by_group[region]", "us")], "5.0", [("aws", "5.0")]),
        ([("group[region]", "asia")], "0.0", [(None, "0.0")]),
        ([("group[region][]", "eu"), ("group[region][]", "us")], "18.0",
         [("aws", "15.0"), ("gcp", "3.0")]),
        ([("group", '{"region":["eu","us"],"cloud":["aws"]}')], "15.0", []),
        ([("group[region]", "eu"), ("group[cloud]", "gcp")], "3.0", []),
        ([("group[tier]", "gold")], "0.0", [(None, None, "0.0")]),
        ([("skip_grouping", "true")], "20.0", []),
        ([("skip_grouping", "true"), ("group[cloud]", "aws")], "15.0", []),
        ([("full_usage", "true"), ("group[region]", "eu")], "53.0",
         [("aws", "50.0"), ("gcp", "3.0")]),
        ([("full_usage", "true"), ("charge_code", "per_region"), ("skip_grouping", "1")], "60.0",
         []),
    ],
)  # fmt: skip
def test_other_groups_than_the_priced_ones(
    grouped: Api, query: Any, units: str, groups: list[Any]
) -> None:
    charge = charge_of(grouped, query)
    assert charge["units"] == units
    assert groups_of(charge) == groups
    assert charge["amount_cents"] == round(float(units) * 10)


def test_a_question_asked_again_has_the_usage_that_came_since(grouped: Api) -> None:
    query = [("skip_grouping", "true")]
    assert charge_of(grouped, query)["units"] == "20.0"
    grouped.event("later", properties={"gb": "0.5"})
    assert charge_of(grouped, query)["units"] == "20.5"
    assert charge_of(grouped, query)["events_count"] == 5


def test_presentation_keys_that_are_no_list_are_refused(grouped: Api) -> None:
    for name, text in (
        ("filter_by_presentation", "{}"),
        ("filter_by_presentation", "["),
        ("group", "[1]"),
        ("group", "eu"),
        ("group", '{"region":{"a":1}}'),
    ):
        refused = grouped("GET", *CURRENT, query=SUB | {name: text}, status=422)
        assert refused["error_details"] == {name: ["value_is_invalid"]}
    assert charge_of(grouped, [("filter_by_presentation", "[]")])["units"] == "20.0"


def test_full_usage_needs_a_filter_and_charges_must_exist(grouped: Api) -> None:
    refused = grouped("GET", *CURRENT, query=SUB | {"full_usage": "true"}, status=405)
    assert refused["code"] == "full_usage_not_allowed"
    unknown = SUB | {"filter_by_charge_code": "nothing"}
    assert grouped("GET", *CURRENT, query=unknown, status=404)["code"] == "charge_not_found"


# --- projected ---------------------------------------------------------------------------------


def test_the_example_of_the_specification(api: Api) -> None:
    metric = api.metric()
    standard = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "0.07"},
    }
    api.plan(charges=[standard])
    api.set_clock("2024-06-12T12:00:00Z")
    api.customer()
    api.subscription(subscription_at="2024-05-01T00:00:00Z")
    api.event("t", properties={"gb": 40})
    usage = api("GET", *PROJECTED, query=SUB)["customer_projected_usage"]
    (charge,) = usage["charges_usage"]
    assert (charge["projected_units"], charge["projected_amount_cents"]) == ("100.0", 700)
    assert (usage["amount_cents"], usage["projected_amount_cents"]) == (280, 700)
    assert "total_aggregated_units" not in charge
    assert "code" not in charge["charge"]
    missing = {"external_subscription_id": "other"}
    assert api("GET", *PROJECTED, query=missing, status=405)["code"] == "no_active_subscription"


def test_projections_of_groups_add_up(grouped: Api) -> None:
    charge = charge_of(grouped, [], PROJECTED)
    assert charge["projected_units"] == "50.0"
    units = [each["projected_units"] for each in charge["grouped_usage"]]
    assert units == ["25.0", "7.5", "12.5", "5.0"]
    assert charge["projected_amount_cents"] == 500


# --- past --------------------------------------------------------------------------------------


def test_past_usage_comes_from_invoices(grouped: Api) -> None:
    grouped("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-07-01T06:00:00Z"}})
    answer = grouped.send("GET", *PAST, query=SUB).json()
    assert answer["meta"]["total_count"] == 2
    june, may = answer["usage_periods"]
    assert (june["from_datetime"], june["to_datetime"]) == (
        "2024-06-01T00:00:00Z",
        "2024-06-30T23:59:59Z",
    )
    (charge,) = june["charges_usage"]
    assert (charge["units"], charge["events_count"], charge["amount_cents"]) == ("20.0", 4, 200)
    assert sorted(groups_of(charge), key=str) == sorted(
        [("eu", "aws", "10.0"), ("eu", "gcp", "3.0"), ("us", "aws", "5.0"), (None, None, "2.0")],
        key=str,
    )
    (invoice,) = grouped("GET", "/invoices", query={"issuing_date_from": "2024-07-01"})["invoices"]
    assert june["lago_invoice_id"] == invoice["lago_id"]
    assert june["amount_cents"] == invoice["fees_amount_cents"]
    assert may["charges_usage"][0]["units"] == "40.0"
    pages = grouped.send("GET", *PAST, query=SUB | {"periods_count": "1"}).json()
    assert (len(pages["usage_periods"]), pages["meta"]["total_pages"]) == (1, 2)
    of_metric = SUB | {"billable_metric_code": "storage"}
    assert grouped.send("GET", *PAST, query=of_metric).json() == answer


def test_past_usage_refused_and_empty(grouped: Api) -> None:
    refused = grouped("GET", *PAST, status=422)
    assert refused["error_details"] == {"external_subscription_id": ["value_is_mandatory"]}
    unknown = SUB | {"billable_metric_code": "nothing"}
    assert grouped("GET", *PAST, query=unknown, status=404)["code"] == "billable_metric_not_found"
    empty = grouped("GET", "/customers/{}/past_usage", "nobody", query=SUB)
    assert (empty["usage_periods"], empty["meta"]["total_count"]) == ([], 0)
