"""The buckets of a charge, each priced on its own: by charge filter and by group (charges.md §7, metrics.md §8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import BillableMetric, Charge, ChargeFilter
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.rating.charge_fees import RatedCharge, rate_charge
from lago_engine.domain.rating.grouping import spelled_out
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
    charge = spelled_out(charge)
    shown = presentation_keys(charge.properties)
    position = {filter_.id: number for number, filter_ in enumerate(charge.filters)}

    def place(bucket: BucketUsage) -> int:
        return -1 if bucket.filter_id is None else position[bucket.filter_id]

    for bucket in sorted(usage, key=place):
        filter_ = None if bucket.filter_id is None else charge.filters[place(bucket)]
        properties = properties_of(charge, filter_)
        rated = rate_charge(
            msgspec.structs.replace(charge, properties=properties),
            metric,
            bucket,
            currency,
            days,
        )
        weighted = metric.aggregation_type == "weighted_sum_agg"
        yield RatedBucket(
            filter=filter_,
            grouped_by=grouped_by(properties, bucket.group),
            rated=rated,
            total_aggregated_units=_aggregated(bucket) if weighted else rated.units,
            presented=present(shown, properties.get("pricing_group_keys", ()), bucket.breakdown),
        )


def properties_of(charge: Charge, filter_: ChargeFilter | None) -> Mapping[str, Any]:
    """What prices a bucket: the properties of its filter, or of the charge for the default bucket."""
    return charge.properties if filter_ is None else filter_.properties


def grouped_by(
    properties: Mapping[str, Any], group: tuple[str | None, ...]
) -> dict[str, str | None]:
    """A group by the names of the properties that make it."""
    return dict(zip(properties.get("pricing_group_keys", ()), group, strict=True))


def bucket_id(
    charge_id: UUID, filter_id: UUID | None, group: tuple[str | None, ...], start: datetime
) -> UUID:
    """What names a bucket of a charge in the period that begins at `start`."""
    values = (value or "" for value in group)
    return ids.derive(charge_id, filter_id or "", start.isoformat(), *values)


def _aggregated(bucket: BucketUsage) -> Decimal:
    return bucket.units if bucket.aggregated is None else bucket.aggregated
