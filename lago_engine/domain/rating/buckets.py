"""The buckets of a charge, each priced on its own: by charge filter and by group (charges.md §7, metrics.md §8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge, ChargeFilter
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.rating.charge_fees import RatedCharge, rate_charge
from lago_engine.domain.rating.presentation import PresentedUnits, present, presentation_keys
from lago_engine.domain.rating.prorating import PaidDays


class RatedBucket(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket with its price.

    filter: None is the default bucket. grouped_by: value by pricing group key, None where events have none.
    total_aggregated_units: other than the units for weighted sums only (metrics.md §6.6). presented: its units by the
    presentation keys of the charge.
    """

    filter: ChargeFilter | None
    grouped_by: Mapping[str, str | None]
    rated: RatedCharge
    total_aggregated_units: Decimal
    presented: tuple[PresentedUnits, ...]


def rate_buckets(
    charge: Charge,
    metric: BillableMetric,
    usage: Iterable[BucketUsage],
    currency: str,
    days: PaidDays,
) -> Iterator[RatedBucket]:
    """Price every bucket with its own properties: the default one first, then filters in their order."""
    shown = presentation_keys(charge.properties)
    position = {filter_.id: number for number, filter_ in enumerate(charge.filters)}

    def place(bucket: BucketUsage) -> int:
        return -1 if bucket.filter_id is None else position[bucket.filter_id]

    for bucket in sorted(usage, key=place):
        filter_ = None if bucket.filter_id is None else charge.filters[place(bucket)]
        properties = charge.properties if filter_ is None else filter_.properties
        rated = rate_charge(
            msgspec.structs.replace(charge, properties=properties),
            metric,
            bucket,
            currency,
            days,
        )
        weighted = metric.aggregation_type == "weighted_sum_agg"
        keys = properties.get("pricing_group_keys", ())
        yield RatedBucket(
            filter=filter_,
            grouped_by=dict(zip(keys, bucket.group, strict=True)),
            rated=rated,
            total_aggregated_units=_aggregated(bucket) if weighted else rated.units,
            presented=present(shown, keys, bucket.breakdown),
        )


def _aggregated(bucket: BucketUsage) -> Decimal:
    return bucket.units if bucket.aggregated is None else bucket.aggregated
