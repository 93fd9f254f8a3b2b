"""Which charge model prices which metric, when, and how (charges §3): the whole tables."""

from __future__ import annotations

from typing import Any, Final

import pytest
from catalog_kit import Catalog

from lago_engine.domain.commands import CreateBillableMetric, CreatePlan
from lago_engine.errors import ValidationFailed

AGGREGATIONS: Final = (
    "count_agg", "sum_agg", "max_agg", "unique_count_agg", "latest_agg", "weighted_sum_agg",
)  # fmt: skip
MODELS: Final = (
    "standard", "graduated", "package", "volume", "percentage", "graduated_percentage", "dynamic",
    "custom",
)  # fmt: skip
UNFIT: Final = "invalid_aggregation_type_or_charge_model"
# Of a model that prices only some metrics: the others, and what is said about them.
REFUSED: Final[dict[str, tuple[set[str], dict[str, list[str]]]]] = {
    "percentage": ({"latest_agg"}, {"properties": ["invalid_value"]}),
    "graduated_percentage": ({"latest_agg"}, {"properties": ["invalid_value"]}),
    "dynamic": (set(AGGREGATIONS) - {"sum_agg"}, {"charge_model": [UNFIT]}),
    "custom": (set(AGGREGATIONS), {"charge_model": [UNFIT]}),
}
RECURRING: Final = ("sum_agg", "unique_count_agg", "weighted_sum_agg")
IN_ADVANCE: Final = {"count_agg", "sum_agg", "unique_count_agg"}
PRORATED: Final = {"standard", "graduated", "volume"}


def refusal(aggregation: str, model: str, *, recurring: bool = False, **terms: Any) -> Any:
    """The codes of a plan with such a charge; nothing when it is accepted."""
    catalog = Catalog()
    metric = {
        "code": "m",
        "name": "M",
        "aggregation_type": aggregation,
        "field_name": None if aggregation == "count_agg" else "gb",
        "weighted_interval": "seconds" if aggregation == "weighted_sum_agg" else None,
        "recurring": recurring,
    }
    metric_id = str(catalog.one(CreateBillableMetric, input=metric).metric.id)
    plan = {
        "code": "p", "name": "P", "interval": "monthly", "amount_cents": 0, "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": [{"billable_metric_id": metric_id, "charge_model": model, **terms}],
    }  # fmt: skip
    try:
        catalog.do(CreatePlan, input=plan)
    except ValidationFailed as refused:
        return refused.details
    return {}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_models_and_metrics(model: str, aggregation: str) -> None:
    aggregations, details = REFUSED.get(model, (set(), {}))
    assert refusal(aggregation, model) == (details if aggregation in aggregations else {})


@pytest.mark.parametrize(
    ("aggregation", "recurring"),
    [*((each, False) for each in AGGREGATIONS), *((each, True) for each in RECURRING)],
)
def test_metrics_that_are_paid_in_advance(aggregation: str, *, recurring: bool) -> None:
    expected = {} if aggregation in IN_ADVANCE else {"pay_in_advance": [UNFIT]}
    assert refusal(aggregation, "standard", recurring=recurring, pay_in_advance=True) == expected


@pytest.mark.parametrize("model", MODELS[:-1])
def test_models_that_are_paid_in_advance(model: str) -> None:
    expected = {"pay_in_advance": [UNFIT]} if model == "volume" else {}
    assert refusal("sum_agg", model, pay_in_advance=True) == expected


@pytest.mark.parametrize("in_advance", [True, False])
@pytest.mark.parametrize("model", MODELS[:-1])
@pytest.mark.parametrize("aggregation", RECURRING)
def test_units_paid_by_the_day(aggregation: str, model: str, *, in_advance: bool) -> None:
    terms = {"recurring": True, "pay_in_advance": in_advance}
    without = refusal(aggregation, model, **terms)
    models = {"standard"} if in_advance else PRORATED
    fits = model in models and aggregation != "weighted_sum_agg"
    expected = {} if fits else {"prorated": ["invalid_billable_metric_or_charge_model"]}
    assert refusal(aggregation, model, prorated=True, **terms) == without | expected


def test_only_recurring_units_are_paid_by_the_day() -> None:
    assert refusal("sum_agg", "standard", prorated=True) == {
        "prorated": ["invalid_billable_metric_or_charge_model"]
    }
