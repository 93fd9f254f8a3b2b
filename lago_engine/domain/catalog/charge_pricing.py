"""The charge model and the properties of a charge, and what fits its metric (charges §3, §4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.rating.charge_models.model import ChargeModel
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.validation import INVALID, MANDATORY, NOT_SUPPORTED_YET, Checker

INCOMPATIBLE: Final = "invalid_aggregation_type_or_charge_model"
_IN_ADVANCE_AGGREGATIONS: Final = frozenset(
    {"count_agg", "sum_agg", "unique_count_agg", "custom_agg"}
)
_PRORATED: Final = frozenset({"standard", "graduated", "volume"})
_PRORATED_IN_ADVANCE: Final = frozenset({"standard"})
_PRESENTATION_KEYS_MAX: Final = 2
_CUSTOM_MODEL: Final = "custom"
# Other aggregations have no value of a single event.
_VALUED_AGGREGATIONS: Final = frozenset({"sum_agg", "max_agg"})


def read_charge_model(checker: Checker, metric: BillableMetric | None) -> Any:
    """The name of a charge model that may price the metric at all."""
    name = checker.scalar("charge_model")
    if name == _CUSTOM_MODEL:
        # It prices custom metrics only, and there are none.
        checker.fail("charge_model", INCOMPATIBLE)
        return None
    model = checker.choice("charge_model", CHARGE_MODELS, missing=MANDATORY)
    if not name:
        checker.fail("charge_model", INVALID)
    return model


def read_properties(
    checker: Checker, model_name: str | None, metric: BillableMetric | None
) -> Mapping[str, Any]:
    """The properties to store: what is kept of those given, or the model's defaults for nothing."""
    model = CHARGE_MODELS.get(model_name or "")
    given = checker.mapping("properties") or {}
    if model is None:
        return {}
    if not given:
        given = model.defaults
    is_sound = check_properties(checker, model, metric, given)
    keys = {
        "pricing_group_keys": _group_keys(checker, given),
        "presentation_group_keys": _presentation_keys(checker, given),
    }
    if given is model.defaults or not is_sound:
        return dict(model.defaults)
    return {**model.stored(given), **{name: value for name, value in keys.items() if value}}


def check_properties(
    checker: Checker,
    model: ChargeModel,
    metric: BillableMetric | None,
    properties: Mapping[str, Any],
) -> bool:
    """Whether the model takes the properties, on this metric; records what it refuses."""
    problems = model.problems(properties)
    if metric is not None and metric.aggregation_type in model.refused_aggregations:
        problems.append("invalid_value")
    for code in problems:
        checker.fail("properties", code)
    if metric is not None and not problems:
        _check_metric(checker, model, metric, properties)
    return not problems


def _check_metric(
    checker: Checker, model: ChargeModel, metric: BillableMetric, properties: Mapping[str, Any]
) -> None:
    aggregation = metric.aggregation_type
    if model.only_aggregation not in (None, aggregation):
        checker.fail("charge_model", INCOMPATIBLE)
    if aggregation not in _VALUED_AGGREGATIONS:
        for key in model.needs_values(properties, aggregation):
            checker.fail(key, NOT_SUPPORTED_YET)


def check_payment_terms(
    checker: Checker, model_name: str | None, metric: BillableMetric | None, *, in_advance: bool
) -> None:
    """Which metrics and models can be paid in advance, and which prorated (charges §3.2, §3.3)."""
    fits = metric is None or metric.aggregation_type in _IN_ADVANCE_AGGREGATIONS
    if in_advance and (not fits or model_name == "volume"):
        checker.fail("pay_in_advance", INCOMPATIBLE)


def check_prorated(
    checker: Checker, model_name: str | None, metric: BillableMetric | None, *, in_advance: bool
) -> None:
    """A prorated charge has a metric whose units are carried over and not averaged, and a model that can."""
    models = _PRORATED_IN_ADVANCE if in_advance else _PRORATED
    fits = metric is not None and metric.recurring and metric.aggregation_type != "weighted_sum_agg"
    if not fits or model_name not in models:
        checker.fail("prorated", "invalid_billable_metric_or_charge_model")


def _group_keys(checker: Checker, properties: Mapping[str, Any]) -> list[str]:
    """Names of event properties, each once; `grouped_by` is the deprecated name of the same list."""
    given = [_array(checker, properties.get(key)) for key in ("pricing_group_keys", "grouped_by")]
    names = [name for name in given[0] or given[1] if name != ""]
    if not all(_is_name(name) for name in names):
        checker.fail("properties", "invalid_type")
        return []
    return list(dict.fromkeys(names))


def _presentation_keys(checker: Checker, properties: Mapping[str, Any]) -> list[Any]:
    """What units are broken down by, as it is given."""
    items = _array(checker, properties.get("presentation_group_keys"))
    for code in _presentation_problems(items):
        checker.fail("properties", code)
    return list(items)


def _array(checker: Checker, value: Any) -> Sequence[Any]:
    if value is not None and not isinstance(value, list):
        checker.fail("properties", "invalid_type")
        return ()
    return value or ()


def _presentation_problems(items: Sequence[Any]) -> list[str]:
    if not all(_is_presentation_key(item) for item in items):
        return ["invalid_type"]
    names = {item["value"] for item in items}
    problems = ["too_many_keys"] if len(items) > _PRESENTATION_KEYS_MAX else []
    return problems + (["value_is_duplicated"] if len(names) != len(items) else [])


def _is_presentation_key(item: Any) -> bool:
    if not isinstance(item, Mapping) or not set(item) <= {"value", "options"}:
        return False
    options = item.get("options", {})
    if not _is_name(item.get("value")) or not isinstance(options, Mapping):
        return False
    return set(options) <= {"display_in_invoice"} and all(
        isinstance(shown, bool) for shown in options.values()
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
