"""Usage of the running period, priced: the `customer_usage` object (metrics.md §11.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import BucketUsage, UsageReader
from lago_engine.domain.customer.settings import fee_taxes, plan_of, subject_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.windows import running_windows
from lago_engine.domain.decimals import precise, round_half_up, to_wire
from lago_engine.domain.periods import charges_days
from lago_engine.domain.rating.buckets import RatedBucket, rate_buckets
from lago_engine.domain.timezones import local_date
from lago_engine.errors import NotFound

CHARGE_FILTERS = ("charge_id", "charge_code", "billable_metric_code")
"""Query parameters that restrict the charges; the first one present wins."""


def current_usage(
    state: CustomerState,
    organization: OrganizationState,
    subscription: Subscription,
    *,
    now: datetime,
    usage: UsageReader,
    apply_taxes: bool,
    charge_filter: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Every charge of the plan with its units and amount so far, zero usage included.

    Raises NotFound("charge") when a filter matches nothing.
    """
    plan = plan_of(subscription, organization)
    owner = organization.organization
    subject = subject_of(subscription, state.profile, organization)
    at = max(now, subject.start)
    windows = running_windows(subject, subscription, state.profile, owner, at)
    start, end = windows.charges_from, windows.charges_to
    assert start is not None
    assert end is not None
    days = charges_days(subject, end)
    used = usage(subscription.id, start, end, days=days) if plan.charges else {}
    rated = list(_rated(plan, organization, used, charge_filter))
    if charge_filter and not rated:
        raise NotFound("charge")
    amount = sum(bucket.rated.amount_cents for _, _, buckets in rated for bucket in buckets)
    taxes = 0
    if apply_taxes:
        for charge, _, buckets in rated:
            with precise():
                rate = sum(
                    (t.rate for t in fee_taxes(organization, state.profile, plan, charge)),
                    Decimal(0),
                )
                taxes += sum(round_half_up(b.rated.amount_cents * rate / 100) for b in buckets)
    return {
        "from_datetime": _instant(start),
        "to_datetime": _instant(end),
        "issuing_date": local_date(end, subject.tz).isoformat(),
        "currency": plan.amount_currency,
        "amount_cents": amount,
        "total_amount_cents": amount + taxes,
        "taxes_amount_cents": taxes,
        "lago_invoice_id": None,
        "charges_usage": [_charge_usage(plan, *item) for item in rated],
    }


def _rated(
    plan: Plan,
    organization: OrganizationState,
    used: Mapping[UUID, Sequence[BucketUsage]],
    charge_filter: Mapping[str, str] | None,
) -> Iterator[tuple[Charge, BillableMetric, Sequence[RatedBucket]]]:
    """Charges priced, by metric name, or in plan order when they are filtered."""
    pairs = [(c, organization.metrics_by_id[c.billable_metric_id]) for c in plan.charges]
    if charge_filter:
        pairs = [pair for pair in pairs if _matches(*pair, charge_filter)]
    else:
        pairs.sort(key=lambda pair: pair[1].name.lower())
    for charge, metric in pairs:
        buckets = rate_buckets(charge, metric, used[charge.id], plan.amount_currency)
        yield charge, metric, tuple(buckets)


def _matches(charge: Charge, metric: BillableMetric, wanted: Mapping[str, str]) -> bool:
    for name, value in zip(CHARGE_FILTERS, (str(charge.id), charge.code, metric.code), strict=True):
        if name in wanted:
            return wanted[name] == value
    return True


def _charge_usage(
    plan: Plan, charge: Charge, metric: BillableMetric, buckets: Sequence[RatedBucket]
) -> dict[str, Any]:
    return {
        **_sums(buckets),
        "amount_currency": plan.amount_currency,
        "charge": {
            "lago_id": str(charge.id),
            "code": charge.code,
            "charge_model": charge.charge_model,
            "invoice_display_name": charge.invoice_display_name,
        },
        "billable_metric": {
            "lago_id": str(metric.id),
            "name": metric.name,
            "code": metric.code,
            "aggregation_type": metric.aggregation_type,
        },
        "filters": _filters(charge, buckets),
        "grouped_usage": _groups(charge, buckets),
        "presentation_breakdowns": [],
    }


def _sums(buckets: Sequence[RatedBucket]) -> dict[str, Any]:
    with precise():
        units = sum((bucket.rated.units for bucket in buckets), Decimal(0))
        total = sum((bucket.total_aggregated_units for bucket in buckets), Decimal(0))
    return {
        "units": to_wire(units),
        "total_aggregated_units": to_wire(total),
        "events_count": sum(bucket.rated.events_count for bucket in buckets),
        "amount_cents": sum(bucket.rated.amount_cents for bucket in buckets),
        "pricing_unit_details": None,
    }


def _filters(charge: Charge, buckets: Sequence[RatedBucket]) -> list[dict[str, Any]]:
    """Each charge filter among the buckets, then the default one; nothing for a charge without filters."""
    if not charge.filters:
        return []
    shown = []
    for filter_ in (*charge.filters, None):
        members = [bucket for bucket in buckets if bucket.filter == filter_]
        if members:
            shown.append(
                {
                    **_sums(members),
                    "invoice_display_name": filter_ and filter_.invoice_display_name,
                    "values": filter_ and filter_.values,
                    "presentation_breakdowns": [],
                }
            )
    return shown


def _groups(charge: Charge, buckets: Sequence[RatedBucket]) -> list[dict[str, Any]]:
    """The buckets by their group, whatever filter they are of; nothing for a charge without groups."""
    if not any(bucket.grouped_by for bucket in buckets):
        return []
    groups: dict[tuple[tuple[str, str | None], ...], list[RatedBucket]] = {}
    for bucket in buckets:
        groups.setdefault(tuple(bucket.grouped_by.items()), []).append(bucket)
    return [
        {
            **_sums(members),
            "grouped_by": dict(group),
            "filters": _filters(charge, members),
            "presentation_breakdowns": [],
        }
        for group, members in groups.items()
    ]


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
