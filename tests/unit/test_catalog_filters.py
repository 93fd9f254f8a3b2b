"""Charge filters and pricing groups as requests give them, and what happens to them afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from catalog_kit import Catalog, attach

from lago_engine.domain.catalog.entities import Charge, Plan
from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreatePlan,
    UpdateBillableMetric,
    UpdatePlan,
)
from lago_engine.domain.events import BillableMetricUpdated, PlanUpdated

METRIC: dict[str, Any] = {
    "name": "Storage",
    "code": "storage",
    "aggregation_type": "sum_agg",
    "field_name": "gb",
    "filters": [
        {"key": "region", "values": ["us", "eu", "asia"]},
        {"key": "tier", "values": ["gold", "silver"]},
    ],
}
ALL = ["__ALL_FILTER_VALUES__"]
EU = {"values": {"region": ["eu"]}, "properties": {"amount": "5"}}
GOLD = {"values": {"tier": ["gold"], "region": ["us", "eu"]}, "properties": {"amount": "7"}}
ANY = {"values": {"tier": ALL}, "properties": {"amount": "9"}, "invoice_display_name": "Tiers"}


class Filtered:
    """A plan with one charge on a metric with filters."""

    def __init__(self, *filters: Any, **charge: Any) -> None:
        self.catalog = Catalog()
        self.metric = self.catalog.one(CreateBillableMetric, input=METRIC).metric
        self.catalog.do(CreatePlan, input=self._plan("pro", filters=list(filters), **charge))

    def _plan(self, code: str, **charge: Any) -> dict[str, Any]:
        item = {"billable_metric_id": str(self.metric.id), "charge_model": "standard"}
        return {
            "name": "Pro",
            "code": code,
            "interval": "monthly",
            "amount_cents": 0,
            "amount_currency": "EUR",
            "pay_in_advance": False,
            "charges": [item | charge],
        }

    @property
    def plan(self) -> Plan:
        return self.catalog.folded.plans["pro"]

    @property
    def charge(self) -> Charge:
        [charge] = self.plan.charges
        return charge

    def put(self, **charge: Any) -> None:
        items = [{"id": str(self.charge.id), **charge}]
        self.catalog.do(UpdatePlan, code="pro", input={"charges": items})

    def refuses(self, **charge: Any) -> Any:
        return self.catalog.refuses(CreatePlan, input=self._plan("new", **charge))

    def refuses_put(self, **charge: Any) -> Any:
        items = [{"id": str(self.charge.id), **charge}]
        return self.catalog.refuses(UpdatePlan, code="pro", input={"charges": items})

    def values(self) -> list[dict[str, tuple[str, ...]]]:
        return [dict(filter_.values) for filter_ in self.charge.filters]


def test_filters_are_stored_in_order_with_properties_of_their_own() -> None:
    eu, gold, tiers = Filtered(EU, GOLD, ANY).charge.filters
    assert [f.properties for f in (eu, gold, tiers)] == [
        {"amount": "5"},
        {"amount": "7"},
        {"amount": "9"},
    ]
    assert [f.display_name for f in (eu, gold, tiers)] == ["eu", "gold, us, eu", "Tiers"]
    assert tiers.values == {"tier": ("__ALL_FILTER_VALUES__",)}
    assert len({eu.id, gold.id, tiers.id}) == 3


def test_a_filter_of_all_values_is_named_by_its_key() -> None:
    [tiers] = Filtered({**ANY, "invoice_display_name": None}).charge.filters
    assert tiers.display_name == "tier"


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"values": None}, {"values": ["value_is_mandatory"]}),
        ({"values": {}}, {"values": ["value_is_mandatory"]}),
        ({"values": ["eu"]}, {"values": ["value_is_mandatory"]}),
        ({"values": {"region": []}}, {"values": ["value_is_mandatory"]}),
        ({"values": {"region": "eu"}}, {"values": ["value_is_invalid"]}),
        ({"values": {"region": [["eu"]]}}, {"values": ["value_is_invalid"]}),
        ({"values": {"region": ["mars"]}}, {"values": ["value_is_invalid"]}),
        ({"values": {"region": [*ALL, "eu"]}}, {"values": ["value_is_invalid"]}),
        (
            {"values": {"planet": ["mars"]}},
            {
                "billable_metric_filter": ["relation_must_exist"],
                "values": ["value_is_invalid"],
            },
        ),
        (
            {"values": {"planet": ALL}},
            {
                "billable_metric_filter": ["relation_must_exist"],
                "values": ["value_is_invalid"],
            },
        ),
        ({"properties": {"amount": "-1"}}, {"properties": ["invalid_amount"]}),
        (
            {"properties": {"amount": "1", "pricing_group_keys": [" "]}},
            {"properties": ["invalid_type"]},
        ),
        (
            {"values": {"region": []}, "properties": {"amount": 1}},
            {"values": ["value_is_mandatory"], "properties": ["invalid_amount"]},
        ),
    ],
)
def test_a_wrong_filter_refuses_the_plan(
    fields: dict[str, Any], details: dict[str, list[str]]
) -> None:
    filtered = Filtered(EU)
    assert filtered.refuses(filters=[GOLD, EU | fields]) == details
    assert filtered.refuses_put(filters=[GOLD, EU | fields]) == details


def test_filters_are_priced_by_the_model_of_the_charge() -> None:
    assert Filtered().refuses(charge_model="package", filters=[EU]) == {
        "properties": ["invalid_package_size", "invalid_free_units"]
    }


def test_presentation_keys_of_a_filter_are_dropped() -> None:
    keys = {"presentation_group_keys": [{"value": "region"}]}
    [eu] = Filtered({**EU, "properties": {"amount": "5", **keys}}).charge.filters
    assert eu.properties == {"amount": "5"}


def test_filters_are_matched_by_their_values() -> None:
    filtered = Filtered(EU, GOLD)
    eu, gold = filtered.charge.filters
    dearer = {
        "values": {"region": ["us", "eu"], "tier": ["gold"]},
        "properties": {"amount": "8"},
        "invoice_display_name": "Gold",
    }
    turned = {"values": {"region": ["eu", "us"], "tier": ["gold"]}, "properties": {"amount": "1"}}
    filtered.put(filters=[dearer, turned])
    first, second = filtered.charge.filters
    assert (first.id, first.properties, first.invoice_display_name) == (
        gold.id,
        {"amount": "8"},
        "Gold",
    )
    assert second.id not in (eu.id, gold.id)
    filtered.put(invoice_display_name="x")
    assert filtered.charge.filters == (first, second)
    filtered.put(filters=[])
    assert filtered.charge.filters == ()


def test_filters_of_an_attached_plan_stay_editable() -> None:
    filtered = Filtered(EU)
    attach(filtered.catalog, filtered.plan)
    filtered.put(filters=[EU | {"properties": {"amount": "6"}}, ANY])
    assert [f.properties["amount"] for f in filtered.charge.filters] == ["6", "9"]


def test_filters_that_stay_have_to_fit_new_terms() -> None:
    filtered = Filtered(EU)
    plain = filtered.catalog.one(
        CreateBillableMetric, input={**METRIC, "code": "plain", "filters": []}
    ).metric
    assert filtered.refuses_put(billable_metric_id=str(plain.id)) == {
        "billable_metric_filter": ["relation_must_exist"],
        "values": ["value_is_invalid"],
    }
    assert filtered.refuses_put(charge_model="package") == {
        "properties": ["invalid_package_size", "invalid_free_units"]
    }
    filtered.put(billable_metric_id=str(plain.id), filters=[])
    assert filtered.charge.billable_metric_id == plain.id


def test_group_keys_are_stored_under_one_name() -> None:
    new = Filtered(properties={"amount": "1", "pricing_group_keys": ["region", "", "region"]})
    assert new.charge.properties == {"amount": "1", "pricing_group_keys": ["region"]}
    old = Filtered(properties={"amount": "1", "grouped_by": ["region", "tier"]})
    assert old.charge.properties == {"amount": "1", "pricing_group_keys": ["region", "tier"]}


def test_a_changed_metric_trims_the_filters_of_its_charges() -> None:
    filtered = Filtered(EU, GOLD, ANY)
    change = {"filters": [{"key": "region", "values": ["us", "mars"]}, METRIC["filters"][1]]}
    updated, plan = filtered.catalog.do(UpdateBillableMetric, code="storage", input=change)
    assert isinstance(updated, BillableMetricUpdated)
    assert isinstance(plan, PlanUpdated)
    assert filtered.plan.version == 2
    assert filtered.values() == [
        {"tier": ("gold",), "region": ("us",)},
        {"tier": ("__ALL_FILTER_VALUES__",)},
    ]
    # What "all values" means changes with the metric, so the plan is a new version again.
    change = {"filters": [{"key": "tier", "values": ["gold", "silver", "tin"]}]}
    filtered.catalog.do(UpdateBillableMetric, code="storage", input=change)
    assert filtered.plan.version == 3
    assert filtered.values() == [{"tier": ("gold",)}, {"tier": ("__ALL_FILTER_VALUES__",)}]
    filtered.catalog.do(UpdateBillableMetric, code="storage", input={"filters": []})
    assert filtered.values() == []
    # Nothing filters by it any more, nor does a description change prices.
    filtered.catalog.one(UpdateBillableMetric, code="storage", input=change)
    filtered.catalog.one(UpdateBillableMetric, code="storage", input={"description": "x"})
    assert filtered.plan.version == 4


def test_new_filters_never_take_the_id_of_another_item() -> None:
    filtered = Filtered(EU, GOLD)
    filtered.put(filters=[EU, GOLD, ANY])
    filtered.put(filters=[])
    filtered.put(filters=[EU])
    versions = [filtered.catalog.folded.plan(filtered.plan.id, n) for n in range(1, 5)]
    seen = {f.id for plan in versions for charge in plan.charges for f in charge.filters}
    assert len(seen) == 4
    # Besides them: an API key, the metric, the plan and the charge.
    assert filtered.catalog.folded.items_count == 4 + 4
