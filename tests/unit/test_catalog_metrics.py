from __future__ import annotations

from typing import Any

import pytest
from catalog_kit import NOW, Catalog

from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreatePlan,
    DeleteBillableMetric,
    DeletePlan,
    UpdateBillableMetric,
)
from lago_engine.domain.events import BillableMetricDeleted, PlanUpdated
from lago_engine.errors import Forbidden, NotFound

STORAGE: dict[str, Any] = {
    "name": "Storage",
    "code": "storage",
    "aggregation_type": "sum_agg",
    "field_name": "gb",
}
CALLS: dict[str, Any] = {"name": "Calls", "code": "calls", "aggregation_type": "count_agg"}


def plan_with(*metric_ids: object, code: str = "pro") -> dict[str, Any]:
    return {
        "name": "Pro",
        "code": code,
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": [
            {"billable_metric_id": str(metric_id), "charge_model": "standard"}
            for metric_id in metric_ids
        ],
    }


def test_a_metric_is_created_with_everything_given() -> None:
    catalog = Catalog()
    fields = {
        **STORAGE,
        "description": "Gigabytes",
        "rounding_function": "ceil",
        "rounding_precision": -1,
        "recurring": False,
        "weighted_interval": None,
        "expression": "",
        "filters": [],
        "unknown": "dropped",
    }
    metric = catalog.one(CreateBillableMetric, input=fields).metric
    assert metric == catalog.folded.metrics["storage"] == catalog.folded.metrics_by_id[metric.id]
    assert (metric.aggregation_type, metric.field_name) == ("sum_agg", "gb")
    assert (metric.rounding_function, metric.rounding_precision) == ("ceil", -1)
    assert (metric.description, metric.created_at) == ("Gigabytes", NOW)


@pytest.mark.parametrize(
    ("fields", "recurring"),
    [
        ({"aggregation_type": "max_agg"}, False),
        ({"aggregation_type": "latest_agg"}, False),
        ({"aggregation_type": "unique_count_agg"}, False),
        ({"aggregation_type": "unique_count_agg", "recurring": "true"}, True),
        ({"aggregation_type": "sum_agg", "recurring": True}, True),
        ({"aggregation_type": "weighted_sum_agg", "weighted_interval": "seconds"}, False),
        (
            {
                "aggregation_type": "weighted_sum_agg",
                "weighted_interval": "seconds",
                "recurring": True,
            },
            True,
        ),
    ],
)
def test_every_aggregation_is_stored(fields: dict[str, Any], recurring: bool) -> None:
    metric = Catalog().one(CreateBillableMetric, input={**STORAGE, **fields}).metric
    assert metric.aggregation_type == fields["aggregation_type"]
    assert (metric.field_name, metric.recurring) == ("gb", recurring)
    assert metric.weighted_interval == fields.get("weighted_interval")


def test_filters_are_sorted_by_key_and_value() -> None:
    given = [{"key": "tier", "values": ["b", "a", "b"]}, {"key": "region", "values": [7, "eu"]}]
    metric = Catalog().one(CreateBillableMetric, input={**STORAGE, "filters": given}).metric
    assert [(each.key, each.values) for each in metric.filters] == [
        ("region", ("7", "eu")),
        ("tier", ("a", "b")),
    ]


def test_counting_events_takes_no_field() -> None:
    metric = Catalog().one(CreateBillableMetric, input={**CALLS, "field_name": "x"}).metric
    assert metric.field_name is None


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": ""}, {"name": ["value_is_mandatory"]}),
        ({"code": None}, {"code": ["value_is_mandatory"]}),
        ({"code": "taken"}, {"code": ["value_already_exist"]}),
        ({"aggregation_type": "median_agg"}, {"aggregation_type": ["value_is_invalid"]}),
        ({"aggregation_type": None}, {"aggregation_type": ["value_is_invalid"]}),
        ({"aggregation_type": "weighted_sum_agg"}, {"weighted_interval": ["value_is_invalid"]}),
        (
            {"aggregation_type": "max_agg", "field_name": ""},
            {"field_name": ["value_is_mandatory"]},
        ),
        ({"field_name": " "}, {"field_name": ["value_is_mandatory"]}),
        *(
            (
                {"recurring": True, "aggregation_type": aggregation},
                {"recurring": ["not_compatible_with_aggregation_type"]},
            )
            for aggregation in ("count_agg", "max_agg", "latest_agg")
        ),
        ({"recurring": "often"}, {"recurring": ["value_is_invalid"]}),
        ({"weighted_interval": "hours"}, {"weighted_interval": ["value_is_invalid"]}),
        (
            {"aggregation_type": "weighted_sum_agg", "weighted_interval": "hours"},
            {"weighted_interval": ["value_is_invalid"]},
        ),
        ({"filters": ["region"]}, {"filters": ["value_is_invalid"]}),
        ({"filters": [{"values": ["eu"]}]}, {"key": ["value_is_mandatory"]}),
        (
            {"filters": [{"key": " ", "values": []}]},
            {
                "values": ["value_is_mandatory"],
                "key": ["value_is_mandatory"],
            },
        ),
        ({"filters": [{"key": "a"}]}, {"values": ["value_is_mandatory"]}),
        ({"filters": [{"key": "a", "values": "b"}]}, {"values": ["value_is_invalid"]}),
        ({"filters": [{"key": "a", "values": ["b", ""]}]}, {"values": ["value_is_invalid"]}),
        (
            {"filters": [{"key": "a", "values": ["b"]}, {"key": "a", "values": ["c"]}]},
            {"key": ["value_is_duplicated"]},
        ),
        ({"rounding_function": "trunc"}, {"rounding_function": ["value_is_invalid"]}),
        ({"rounding_precision": 61}, {"rounding_precision": ["value_is_out_of_range"]}),
    ],
)
def test_a_wrong_metric_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    catalog = Catalog()
    catalog.do(CreateBillableMetric, input={**CALLS, "code": "taken"})
    assert catalog.refuses(CreateBillableMetric, input={**STORAGE, **fields}) == details


def test_a_custom_aggregation_is_a_feature_nobody_has() -> None:
    catalog = Catalog()
    catalog.do(CreateBillableMetric, input=STORAGE)
    custom = {"aggregation_type": "custom_agg"}
    for kind, members in [
        (CreateBillableMetric, {"input": {**CALLS, **custom}}),
        (UpdateBillableMetric, {"code": "storage", "input": custom}),
    ]:
        with pytest.raises(Forbidden) as refused:
            catalog.do(kind, **members)
        assert refused.value.code == "feature_unavailable"


def test_an_empty_metric_names_everything_mandatory() -> None:
    assert Catalog().refuses(CreateBillableMetric, input={"description": "x"}) == {
        "name": ["value_is_mandatory"],
        "code": ["value_is_mandatory"],
        "aggregation_type": ["value_is_invalid"],
        "field_name": ["value_is_mandatory"],
    }


def test_an_unused_metric_changes_in_everything_present() -> None:
    catalog = Catalog()
    before = catalog.one(CreateBillableMetric, input=STORAGE).metric
    event = catalog.one(
        UpdateBillableMetric,
        code="storage",
        input={"code": "disk", "aggregation_type": "count_agg", "rounding_function": "round"},
    )
    assert event.previous_code == "storage"
    assert list(catalog.folded.metrics) == ["disk"]
    metric = catalog.folded.metrics["disk"]
    assert (metric.id, metric.created_at, metric.name) == (before.id, NOW, "Storage")
    assert (metric.aggregation_type, metric.field_name) == ("count_agg", None)
    assert metric.rounding_function == "round"


def test_an_update_is_checked_against_the_whole_metric() -> None:
    catalog = Catalog()
    catalog.do(CreateBillableMetric, input=STORAGE)
    catalog.do(CreateBillableMetric, input=CALLS)
    for fields, details in [
        ({"field_name": None}, {"field_name": ["value_is_mandatory"]}),
        ({"code": "calls"}, {"code": ["value_already_exist"]}),
        ({"name": None}, {"name": ["value_is_mandatory"]}),
        ({"aggregation_type": "weighted_sum_agg"}, {"weighted_interval": ["value_is_invalid"]}),
    ]:
        assert catalog.refuses(UpdateBillableMetric, code="storage", input=fields) == details
    to_sum = {"aggregation_type": "sum_agg"}
    assert catalog.refuses(UpdateBillableMetric, code="calls", input=to_sum) == {
        "field_name": ["value_is_mandatory"]
    }
    catalog.do(UpdateBillableMetric, code="storage", input={"code": "storage"})


def test_a_metric_in_use_changes_in_name_and_description_only() -> None:
    catalog = Catalog()
    metric = catalog.one(CreateBillableMetric, input=STORAGE).metric
    catalog.do(CreatePlan, input=plan_with(metric.id))
    fields = {
        "name": "Disk",
        "description": "GB",
        "code": "disk",
        "aggregation_type": "nonsense",
        "recurring": True,
    }
    catalog.do(UpdateBillableMetric, code="storage", input=fields)
    updated = catalog.folded.metrics["storage"]
    assert (updated.name, updated.description) == ("Disk", "GB")
    assert (updated.code, updated.aggregation_type) == ("storage", "sum_agg")
    assert updated.recurring is False
    catalog.do(DeletePlan, code="pro")
    catalog.do(UpdateBillableMetric, code="storage", input={"code": "disk"})
    assert "disk" in catalog.folded.metrics


def test_deleting_a_metric_takes_its_charges_from_live_plans() -> None:
    catalog = Catalog()
    storage = catalog.one(CreateBillableMetric, input=STORAGE).metric
    calls = catalog.one(CreateBillableMetric, input=CALLS).metric
    catalog.do(CreatePlan, input=plan_with(storage.id, calls.id, storage.id, code="b"))
    catalog.do(CreatePlan, input=plan_with(calls.id, code="c"))
    catalog.do(CreatePlan, input=plan_with(storage.id, code="a"))
    a, b, deleted = catalog.do(DeleteBillableMetric, code="storage")
    assert isinstance(a, PlanUpdated)
    assert isinstance(b, PlanUpdated)
    assert (a.plan.code, a.plan.version, a.plan.charges) == ("a", 2, ())
    assert (b.plan.code, b.plan.version) == ("b", 2)
    assert [charge.code for charge in b.plan.charges] == ["calls"]
    assert deleted == BillableMetricDeleted(metric=storage)
    state = catalog.folded
    assert state.plans["c"].version == 1
    assert list(state.metrics) == ["calls"]
    assert state.metrics_by_id[storage.id] == storage
    assert len(state.plan(b.plan.id, 1).charges) == 3


def test_the_code_of_a_deleted_metric_is_free_and_the_old_one_stays_gone() -> None:
    catalog = Catalog()
    old = catalog.one(CreateBillableMetric, input=STORAGE).metric
    catalog.do(DeleteBillableMetric, code="storage")
    new = catalog.one(CreateBillableMetric, input=STORAGE).metric
    assert new.id != old.id
    with pytest.raises(NotFound) as missing:
        catalog.do(CreatePlan, input=plan_with(old.id))
    assert missing.value.code == "billable_metrics_not_found"


@pytest.mark.parametrize("kind", [UpdateBillableMetric, DeleteBillableMetric])
def test_an_unknown_metric_is_not_found(kind: Any) -> None:
    members = {"input": {"name": "x"}} if kind is UpdateBillableMetric else {}
    with pytest.raises(NotFound) as missing:
        Catalog().do(kind, code="none", **members)
    assert missing.value.code == "billable_metric_not_found"
