"""Decisions about billable metrics (metrics §1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, get_args

import msgspec

from lago_engine.domain.catalog.decide_charges import without_charges_of
from lago_engine.domain.catalog.entities import (
    AggregationType,
    BillableMetric,
    Plan,
    WeightedInterval,
)
from lago_engine.domain.catalog.metric_filters import read_metric_filters, with_filters_of
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    CreateBillableMetric,
    DeleteBillableMetric,
    UpdateBillableMetric,
)
from lago_engine.domain.decimals import DIGITS_MAX
from lago_engine.domain.events import (
    BillableMetricCreated,
    BillableMetricDeleted,
    BillableMetricUpdated,
    DomainEvent,
    PlanUpdated,
)
from lago_engine.domain.rating.rounding import RoundingFunction
from lago_engine.domain.validation import (
    ALREADY_EXISTS,
    INVALID,
    MANDATORY,
    Checker,
    Reader,
)
from lago_engine.errors import Forbidden, NotFound

_CUSTOM_AGGREGATION: Final = "custom_agg"
# Aggregations without carried-over units: asking for them can never be right.
_NEVER_RECURRING: Final = frozenset({"count_agg", "max_agg", "latest_agg"})

_DESCRIPTIVE: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "description": Checker.text,
}
_MEASURING: Final[Mapping[str, Reader]] = {
    "code": Checker.mandatory_text,
    "aggregation_type": partial(
        Checker.choice,
        allowed=get_args(AggregationType),
        missing=INVALID,
    ),
    "field_name": Checker.text,
    "expression": Checker.text,
    "recurring": Checker.boolean,
    "weighted_interval": partial(Checker.choice, allowed=get_args(WeightedInterval)),
    "rounding_function": partial(Checker.choice, allowed=get_args(RoundingFunction)),
    "rounding_precision": partial(Checker.integer, at_least=-DIGITS_MAX, at_most=DIGITS_MAX),
}


def create_metric(
    state: OrganizationState, command: CreateBillableMetric, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(command.input)
    fields = checker.read({**_DESCRIPTIVE, **_MEASURING})
    _check_measuring(checker, state, fields, previous_code=None)
    fields["filters"] = read_metric_filters(checker) or ()
    checker.raise_failures()
    metric_id = NewIds.after(state).take("billable_metric")
    return [BillableMetricCreated(metric=_metric(fields, id=metric_id, created_at=now))]


def update_metric(
    state: OrganizationState, command: UpdateBillableMetric, *, now: datetime
) -> list[DomainEvent]:
    """Changes the fields present; of a metric that a live plan uses, only filters and what describes it.

    Charge filters lose what the metric no longer declares: each plan that has any gets a new version.
    """
    metric = _live_metric(state, command.code)
    checker = Checker(command.input)
    changes = checker.read_present(_DESCRIPTIVE)
    if not _is_used(state, metric):
        changes |= checker.read_present(_MEASURING)
        fields = msgspec.structs.asdict(metric) | changes
        _check_measuring(checker, state, fields, previous_code=metric.code)
    if (filters := read_metric_filters(checker)) is not None:
        changes["filters"] = filters
    checker.raise_failures()
    updated = _metric(
        msgspec.structs.asdict(metric) | changes, id=metric.id, created_at=metric.created_at
    )
    event = BillableMetricUpdated(metric=updated, previous_code=metric.code)
    if updated.filters == metric.filters:
        return [event]
    return [event, *_new_versions(state, lambda plan: with_filters_of(plan, updated))]


def delete_metric(
    state: OrganizationState, command: DeleteBillableMetric, *, now: datetime
) -> list[DomainEvent]:
    """Deletes the metric and, before it, its charges: each plan that has any gets a new version."""
    metric = _live_metric(state, command.code)
    return [
        *_new_versions(state, lambda plan: without_charges_of(plan, metric)),
        BillableMetricDeleted(metric=metric),
    ]


def _new_versions(
    state: OrganizationState, change: Callable[[Plan], Plan]
) -> Iterator[PlanUpdated]:
    """The live plans that `change` changes, by code."""
    for _, before in sorted(state.plans.items()):
        after = change(before)
        if after is not before:
            yield PlanUpdated(plan=after, previous_code=before.code)


def _live_metric(state: OrganizationState, code: str) -> BillableMetric:
    if code not in state.metrics:
        raise NotFound("billable_metric")
    return state.metrics[code]


def _is_used(state: OrganizationState, metric: BillableMetric) -> bool:
    return any(
        charge.billable_metric_id == metric.id
        for plan in state.plans.values()
        for charge in plan.charges
    )


def _check_measuring(
    checker: Checker,
    state: OrganizationState,
    fields: Mapping[str, Any],
    *,
    previous_code: str | None,
) -> None:
    """Rules that look at more than one field; `fields` is the whole metric as it would be."""
    if fields["code"] != previous_code and fields["code"] in state.metrics:
        checker.fail("code", ALREADY_EXISTS)
    aggregation = checker.scalar("aggregation_type") or fields["aggregation_type"]
    if aggregation == _CUSTOM_AGGREGATION:
        raise Forbidden("feature_unavailable")
    if aggregation != "count_agg" and not (fields["field_name"] or "").strip():
        checker.fail("field_name", MANDATORY)
    if fields["recurring"] and aggregation in _NEVER_RECURRING:
        checker.fail("recurring", "not_compatible_with_aggregation_type")
    if aggregation == "weighted_sum_agg" and fields["weighted_interval"] is None:
        checker.fail("weighted_interval", INVALID)


def _metric(fields: Mapping[str, Any], **identity: Any) -> BillableMetric:
    """The metric of checked `fields`; counting events takes no field name."""
    counts_events = fields["aggregation_type"] == "count_agg"
    settled = {
        "field_name": None if counts_events else fields["field_name"],
        "recurring": bool(fields["recurring"]),
        "expression": fields["expression"] if (fields["expression"] or "").strip() else None,
    }
    return BillableMetric(**{**fields, **settled, **identity})
