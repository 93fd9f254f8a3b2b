"""What the running period will have cost at its end: the `customer_projected_usage` object (metrics.md §11.3)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.decimals import CONTEXT, precise, quantize_to, to_wire
from lago_engine.domain.proration import days_between
from lago_engine.domain.rating.buckets import RatedBucket
from lago_engine.domain.rating.charge_models.model import Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.current_usage import (
    RatedUsage,
    charge_usage,
    rated_usage,
    sums,
    usage_head,
)
from lago_engine.domain.rating.denomination import Denomination, Priced
from lago_engine.domain.rating.usage_question import AskedUsage, Used

PRICED_AGAIN: Final = ("standard", "graduated", "package", "volume")
"""Models that price the projected units; the amount of the others grows with time."""

UNITS_PLACES: Final = 2


class ProjectedBucket(RatedBucket, frozen=True, kw_only=True):
    """A priced bucket and what it will be at the end of the period."""

    projected_units: Decimal
    projected: Priced


def projected_usage(asked: AskedUsage, used: Used) -> dict[str, Any]:
    """Current usage, and beside every total its projection. The default bucket is part of its charge."""
    ratio = elapsed_ratio(asked)
    currency = asked.plan.amount_currency
    projected = [_project(item, ratio, currency) for item in rated_usage(asked, used)]
    amount = sum(b.projected.amount_cents for item in projected for b in item.buckets)
    return {
        **usage_head(asked, projected),
        "projected_amount_cents": amount,
        "charges_usage": [_charge_usage(asked, item) for item in projected],
    }


def elapsed_ratio(asked: AskedUsage) -> Fraction:
    """The part of the subscription's period that has begun by now, in days: 0 … 1."""
    start, end = asked.windows.subscription_from, asked.windows.subscription_to
    if asked.now < start:
        return Fraction(0)
    if asked.now > end:
        return Fraction(1)
    tz = asked.subject.tz
    return min(
        Fraction(days_between(start, asked.now, tz), days_between(start, end, tz)), Fraction(1)
    )


def _project(
    item: RatedUsage[RatedBucket], ratio: Fraction, currency: str
) -> RatedUsage[ProjectedBucket]:
    charge, metric = item.charge, item.metric
    return RatedUsage(
        charge=charge,
        metric=metric,
        unit=item.unit,
        buckets=[_bucket(charge, metric, bucket, ratio, currency) for bucket in item.buckets],
    )


def _bucket(
    charge: Charge, metric: BillableMetric, bucket: RatedBucket, ratio: Fraction, currency: str
) -> ProjectedBucket:
    prices = Denomination.of(charge, currency)
    units, projected = _projection(charge, metric, bucket, ratio, prices)
    return ProjectedBucket(
        **{name: getattr(bucket, name) for name in bucket.__struct_fields__},
        projected_units=units,
        projected=projected,
    )


def _projection(
    charge: Charge,
    metric: BillableMetric,
    bucket: RatedBucket,
    ratio: Fraction,
    prices: Denomination,
) -> tuple[Decimal, Priced]:
    """Units and amounts at the end of the period."""
    rated = bucket.rated
    if metric.recurring:
        return rated.units, rated
    if not ratio:
        return Decimal(0), prices.priced(Decimal(0))
    units = quantize_to(_divided(rated.units, ratio), UNITS_PLACES)
    if charge.charge_model not in PRICED_AGAIN:
        cents = (rated.pricing_unit or rated).precise_amount_cents
        amount = CONTEXT.divide(cents, Decimal(prices.minor_units))
        return units, prices.priced(_divided(amount, ratio))
    properties = charge.properties if bucket.filter is None else bucket.filter.properties
    usage = Usage(
        units=units, events_count=rated.events_count, aggregation_type=metric.aggregation_type
    )
    priced = CHARGE_MODELS[charge.charge_model].rate(usage, properties)
    return units, prices.priced(max(priced.amount, Decimal(0)))


def _divided(number: Decimal, ratio: Fraction) -> Decimal:
    product = CONTEXT.multiply(number, Decimal(ratio.denominator))
    return CONTEXT.divide(product, Decimal(ratio.numerator))


def _charge_usage(asked: AskedUsage, item: RatedUsage[ProjectedBucket]) -> dict[str, Any]:
    shown = charge_usage(asked.plan, item, _sums)
    _with_breakdowns(shown)
    del shown["charge"]["code"]
    return shown


def _sums(item: RatedUsage[ProjectedBucket], buckets: Sequence[ProjectedBucket]) -> dict[str, Any]:
    totals = sums(item, buckets)
    del totals["total_aggregated_units"]
    if totals["pricing_unit_details"] is not None:
        amounts = (bucket.projected.pricing_unit for bucket in buckets)
        totals["pricing_unit_details"]["projected_amount_cents"] = sum(
            amount.amount_cents for amount in amounts if amount
        )
    with precise():
        units = sum((bucket.projected_units for bucket in buckets), Decimal(0))
    return totals | {
        "projected_units": to_wire(units),
        "projected_amount_cents": sum(bucket.projected.amount_cents for bucket in buckets),
    }


def _with_breakdowns(shown: dict[str, Any]) -> None:
    """Breakdowns are not projected; every level has the member."""
    shown["projected_presentation_breakdowns"] = []
    for part in (*shown.get("filters", ()), *shown.get("grouped_usage", ())):
        _with_breakdowns(part)
