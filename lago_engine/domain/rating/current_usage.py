"""Usage of the running period, priced: the `customer_usage` object (metrics.md §11.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan, PricingUnit
from lago_engine.domain.customer.settings import fee_taxes
from lago_engine.domain.decimals import precise, round_half_up, to_wire
from lago_engine.domain.rating.buckets import RatedBucket, rate_buckets
from lago_engine.domain.rating.in_advance.current import billed_buckets
from lago_engine.domain.rating.presentation import breakdown_objects
from lago_engine.domain.rating.usage_question import AskedUsage, Used
from lago_engine.domain.rating.window_usage import days_of
from lago_engine.domain.timezones import local_date

B = TypeVar("B", bound=RatedBucket)


class RatedUsage(msgspec.Struct, Generic[B], frozen=True, kw_only=True):
    """The usage of one charge, priced; unit: what it is priced in, None for the plan's currency."""

    charge: Charge
    metric: BillableMetric
    unit: PricingUnit | None
    buckets: Sequence[B]


Sums = Callable[[RatedUsage[B], Sequence[B]], dict[str, Any]]
"""The totals of some buckets of a charge, as members of an object."""


def current_usage(asked: AskedUsage, used: Used) -> dict[str, Any]:
    """Every charge asked for with its units and amount so far, zero usage included."""
    rated = rated_usage(asked, used)
    return {
        **usage_head(asked, rated),
        "charges_usage": [charge_usage(asked.plan, item, sums) for item in rated],
    }


def rated_usage(asked: AskedUsage, used: Used) -> Sequence[RatedUsage[RatedBucket]]:
    """The charges of a question, priced."""
    currency = asked.plan.amount_currency
    days = days_of(asked.subject, (asked.start, asked.end), asked.now)
    return [
        RatedUsage(
            charge=charge,
            metric=metric,
            unit=_unit(asked, charge),
            buckets=tuple(
                billed_buckets(asked, charge, metric, used[charge.id], days)
                if charge.pay_in_advance
                else rate_buckets(charge, metric, used[charge.id], currency, days)
            ),
        )
        for charge, metric in asked.charges
    ]


def _unit(asked: AskedUsage, charge: Charge) -> PricingUnit | None:
    applied = charge.applied_pricing_unit
    return None if applied is None else asked.organization.pricing_units[applied.code]


def usage_head(asked: AskedUsage, rated: Sequence[RatedUsage[B]]) -> dict[str, Any]:
    """Period and totals."""
    amount = sum(bucket.rated.amount_cents for item in rated for bucket in item.buckets)
    taxes = _taxes(asked, rated) if asked.question.apply_taxes else 0
    return {
        "from_datetime": _instant(asked.start),
        "to_datetime": _instant(asked.end),
        "issuing_date": local_date(asked.end, asked.subject.tz).isoformat(),
        "currency": asked.plan.amount_currency,
        "amount_cents": amount,
        "total_amount_cents": amount + taxes,
        "taxes_amount_cents": taxes,
        "lago_invoice_id": None,
    }


def _taxes(asked: AskedUsage, rated: Sequence[RatedUsage[B]]) -> int:
    """Those of each fee there would be, as on an invoice."""
    taxes = 0
    for item in rated:
        applied = fee_taxes(asked.organization, asked.state.profile, asked.plan, item.charge)
        with precise():
            rate = sum((tax.rate for tax in applied), Decimal(0))
            taxes += sum(round_half_up(b.rated.amount_cents * rate / 100) for b in item.buckets)
    return taxes


def charge_usage(plan: Plan, item: RatedUsage[B], sums: Sums[B]) -> dict[str, Any]:
    """One charge with its filters and groups."""
    charge, metric = item.charge, item.metric
    return {
        **sums(item, item.buckets),
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
        "filters": _filters(item, item.buckets, sums),
        "grouped_usage": _groups(item, sums),
        "presentation_breakdowns": _presented(
            bucket for bucket in item.buckets if bucket.filter is None and not bucket.grouped_by
        ),
    }


def _presented(buckets: Iterable[RatedBucket]) -> list[dict[str, Any]]:
    return [shown for bucket in buckets for shown in breakdown_objects(bucket.presented)]


def sums(item: RatedUsage[B], buckets: Sequence[B]) -> dict[str, Any]:
    """The totals of buckets."""
    with precise():
        units = sum((bucket.rated.units for bucket in buckets), Decimal(0))
        total = sum((bucket.total_aggregated_units for bucket in buckets), Decimal(0))
    return {
        "units": to_wire(units),
        "total_aggregated_units": to_wire(total),
        "events_count": sum(bucket.rated.events_count for bucket in buckets),
        "amount_cents": sum(bucket.rated.amount_cents for bucket in buckets),
        "pricing_unit_details": _in_unit(item, buckets),
    }


def _in_unit(item: RatedUsage[B], buckets: Sequence[B]) -> dict[str, Any] | None:
    """The amount in the pricing unit of the charge, if it has one."""
    applied = item.charge.applied_pricing_unit
    if applied is None or item.unit is None:
        return None
    amounts = (bucket.rated.pricing_unit for bucket in buckets)
    return {
        "amount_cents": sum(amount.amount_cents for amount in amounts if amount),
        "short_name": item.unit.short_name,
        "conversion_rate": to_wire(applied.conversion_rate),
    }


def _filters(item: RatedUsage[B], buckets: Sequence[B], sums: Sums[B]) -> list[dict[str, Any]]:
    """Each charge filter among the buckets, then the default one; nothing for a charge without filters."""
    filters = item.charge.filters
    if not filters:
        return []
    shown = []
    for filter_ in (*filters, None):
        members = [bucket for bucket in buckets if bucket.filter == filter_]
        if members:
            shown.append(
                {
                    **sums(item, members),
                    "invoice_display_name": filter_ and filter_.invoice_display_name,
                    "values": filter_ and filter_.values,
                    "presentation_breakdowns": _presented(_of_one_group(members)),
                }
            )
    return shown


def _of_one_group(buckets: Sequence[B]) -> Sequence[B]:
    """The buckets, unless they are of several groups, whose breakdowns could not be told apart."""
    groups = {tuple(bucket.grouped_by.items()) for bucket in buckets}
    return buckets if len(groups) == 1 else ()


def _groups(item: RatedUsage[B], sums: Sums[B]) -> list[dict[str, Any]]:
    """The buckets by their group, whatever filter they are of; nothing for a charge without groups."""
    if not any(bucket.grouped_by for bucket in item.buckets):
        return []
    groups: dict[tuple[tuple[str, str | None], ...], list[B]] = {}
    for bucket in item.buckets:
        groups.setdefault(tuple(bucket.grouped_by.items()), []).append(bucket)
    return [
        {
            **sums(item, members),
            "grouped_by": dict(group),
            "filters": _filters(item, members, sums),
            "presentation_breakdowns": _presented(
                bucket for bucket in members if bucket.filter is None
            ),
        }
        for group, members in groups.items()
    ]


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
