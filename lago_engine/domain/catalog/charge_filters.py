"""The filters of a charge as a request gives them (charges.md §7.1, plans.md §6.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from lago_engine.domain.catalog.charge_pricing import read_properties
from lago_engine.domain.catalog.entities import ALL_VALUES, BillableMetric, ChargeFilter
from lago_engine.domain.catalog.metric_filters import read_values
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.validation import INVALID, MANDATORY, Checker
from lago_engine.errors import ValidationFailed


def replace_filters(
    existing: Sequence[ChargeFilter],
    items: Sequence[Any],
    *,
    model: str,
    metric: BillableMetric,
    new_ids: NewIds,
    now: datetime,
) -> tuple[ChargeFilter, ...]:
    """The filters of a charge after `items`, in their order.

    An item with the values of an existing filter updates it, another one creates a filter; existing filters that no
    item matches are gone. Raises ValidationFailed for the first wrong item.
    """
    left = list(existing)
    result = []
    for item in items:
        given = read_filter(item, model, metric)
        match = next((each for each in left if each.values == given["values"]), None)
        if match is None:
            filter_id = new_ids.take("charge_filter")
            result.append(ChargeFilter(id=filter_id, created_at=now, **given))
        else:
            left.remove(match)
            result.append(msgspec.structs.replace(match, changed_at=now, **given))
    return tuple(result)


def filter_items(filters: Sequence[ChargeFilter]) -> list[dict[str, Any]]:
    """Filters as a request would give them."""
    return [
        {
            "invoice_display_name": filter_.invoice_display_name,
            "properties": filter_.properties,
            "values": {key: list(values) for key, values in filter_.values.items()},
        }
        for filter_ in filters
    ]


def read_filter(item: Any, model: str, metric: BillableMetric) -> dict[str, Any]:
    """The `values`, `properties` and `invoice_display_name` of a filter. Raises ValidationFailed."""
    if not isinstance(item, Mapping):
        raise ValidationFailed.of("filters", INVALID)
    checker = Checker(_without_presentation(item))
    values = _read_all_values(checker, metric)
    given = {
        "values": values,
        "properties": read_properties(checker, model, metric),
        "invoice_display_name": checker.text("invoice_display_name"),
    }
    checker.raise_failures()
    return given


def read_filter_changes(
    item: Mapping[str, Any], model: str, metric: BillableMetric
) -> dict[str, Any]:
    """The display name and the properties, each when it is present: what an update touches."""
    checker = Checker(_without_presentation(item))
    changes = checker.read_present({"invoice_display_name": Checker.text})
    if "properties" in item:
        changes["properties"] = read_properties(checker, model, metric)
    checker.raise_failures()
    return changes


def _without_presentation(item: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        return item
    kept = {key: value for key, value in properties.items() if key != "presentation_group_keys"}
    return {**item, "properties": kept}


def _read_all_values(checker: Checker, metric: BillableMetric) -> dict[str, tuple[str, ...]]:
    given = checker.mapping("values")
    if not given:
        checker.fail("values", MANDATORY)
        return {}
    values = {key: read_values(checker, listed) for key, listed in given.items()}
    for key, listed in values.items():
        declared = metric.values_of(key)
        if not declared:
            checker.fail("billable_metric_filter", "relation_must_exist")
            checker.fail("values", INVALID)
        elif listed != ALL_VALUES and not set(listed) <= set(declared):
            checker.fail("values", INVALID)
    return values
