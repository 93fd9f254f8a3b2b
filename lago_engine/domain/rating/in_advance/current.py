"""Current usage of charges that are paid in advance: what is billed, and what is in use (metrics.md §10.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.buckets import RatedBucket, bucket_id, rate_buckets
from lago_engine.domain.rating.in_advance.counter import NOTHING_BILLED, Counter
from lago_engine.domain.rating.in_advance.rate import Share
from lago_engine.domain.rating.prorating import PaidDays
from lago_engine.domain.rating.usage_question import AskedUsage

_ZERO: Final = Decimal(0)


def billed_buckets(
    asked: AskedUsage,
    charge: Charge,
    metric: BillableMetric,
    usage: Sequence[BucketUsage],
    days: PaidDays,
) -> Iterator[RatedBucket]:
    """The amount of what is billed, never falling in a period, beside the units in use; units are not rounded.

    Where nothing was used nothing was billed, no flat amount either.
    """
    state = asked.state.billed_usage.get(asked.subscription.id)
    unrounded = replace(metric, rounding_function=None)
    currency = asked.plan.amount_currency
    for bucket in usage:
        name = bucket_id(charge.id, bucket.filter_id, bucket.group, asked.start)
        counter = state.counters.get(name, NOTHING_BILLED) if state else NOTHING_BILLED
        billed = _billed(charge, bucket.units, counter, days)
        paid = replace(bucket, units=billed, changes=None)
        [priced] = rate_buckets(charge, unrounded, [paid], currency, days)
        level = max(bucket.units, _ZERO)
        rated = priced.rated if billed else priced.rated.free()
        yield replace(priced, rated=replace(rated, units=level), total_aggregated_units=level)


def _billed(charge: Charge, units: Decimal, counter: Counter, days: PaidDays) -> Decimal:
    """The units that are paid for; of a prorated charge those carried over by the day, and those billed since."""
    if not charge.prorated:
        return max(CONTEXT.add(units, counter.unused), _ZERO)
    carried = max(CONTEXT.subtract(units, max(counter.level, _ZERO)), _ZERO)
    if days.carried < days.period:
        carried = Share(days.carried, days.period).of(carried)
    return CONTEXT.add(carried, counter.prorated)
