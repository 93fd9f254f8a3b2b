"""The filters of a metric, and what their change does to the charges that use them (metrics.md §1.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import (
    ALL_VALUES,
    BillableMetric,
    Charge,
    ChargeFilter,
    MetricFilter,
    Plan,
)
from lago_engine.domain.validation import INVALID, MANDATORY, Checker


def read_metric_filters(checker: Checker) -> tuple[MetricFilter, ...] | None:
    """The filters given, by key; None when there is no such list."""
    items = checker.array("filters")
    if items is None:
        return None
    found: dict[str, MetricFilter] = {}
    for item in items:
        if not isinstance(item, Mapping):
            checker.fail("filters", INVALID)
            continue
        key, values = item.get("key"), read_values(checker, item.get("values"))
        if not isinstance(key, str) or not key.strip():
            checker.fail("key", MANDATORY)
        elif key in found:
            checker.fail("key", "value_is_duplicated")
        else:
            found[key] = MetricFilter(key=key, values=tuple(sorted(values)))
    return tuple(each for _, each in sorted(found.items()))


def read_values(checker: Checker, given: Any) -> tuple[str, ...]:
    """Filter values as text, each once, in the order given; failures go to `values`."""
    if given is None or given == []:
        checker.fail("values", MANDATORY)
        return ()
    if not isinstance(given, list) or not all(map(_is_value, given)):
        checker.fail("values", INVALID)
        return ()
    return tuple(dict.fromkeys(map(str, given)))


def _is_value(value: Any) -> bool:
    return not isinstance(value, bool | list | Mapping) and value is not None and value != ""


def with_filters_of(plan: Plan, metric: BillableMetric) -> Plan:
    """The plan at its next version after the metric's filters changed; the same plan if it filters nothing by them.

    What "all values" means changes without a change of the charge, so the version always does.
    """
    if not any(charge.filters for charge in plan.charges if charge.billable_metric_id == metric.id):
        return plan
    charges = tuple(
        _trimmed(charge, metric) if charge.billable_metric_id == metric.id else charge
        for charge in plan.charges
    )
    return msgspec.structs.replace(plan, version=plan.version + 1, charges=charges)


def declared(plan: Plan, metrics: Mapping[UUID, BillableMetric]) -> Plan:
    """The plan without filters and values of filters that its metrics do not declare."""
    charges = (_trimmed(charge, metrics[charge.billable_metric_id]) for charge in plan.charges)
    return msgspec.structs.replace(plan, charges=tuple(charges))


def _trimmed(charge: Charge, metric: BillableMetric) -> Charge:
    """Without what the metric no longer declares."""
    kept: Sequence[ChargeFilter] = [
        msgspec.structs.replace(filter_, values=values)
        for filter_ in charge.filters
        if (values := _declared(filter_.values, metric))
    ]
    return msgspec.structs.replace(charge, filters=tuple(kept))


def _declared(
    values: Mapping[str, tuple[str, ...]], metric: BillableMetric
) -> dict[str, tuple[str, ...]]:
    declared = {each.key: each.values for each in metric.filters}
    trimmed = {
        key: given if given == ALL_VALUES else tuple(v for v in given if v in declared[key])
        for key, given in values.items()
        if key in declared
    }
    return {key: given for key, given in trimmed.items() if given}
