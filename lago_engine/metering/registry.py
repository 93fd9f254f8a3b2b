"""What the meter has to know of plans and subscriptions, and what it tells of their usage."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from lago_engine._core import _ChargeSpec


class MeteredFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A charge filter (charges.md §7): events whose property has one of the values, for every key.

    values: never empty, "all values" already expanded. pricing_group_keys: the filter's own.
    """

    filter_id: UUID
    values: Mapping[str, tuple[str, ...]]
    pricing_group_keys: tuple[str, ...] = ()


class MeteredCharge(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of a plan version.

    aggregation_type: `count_agg`, `sum_agg`, `max_agg`, `latest_agg`, `unique_count_agg`, `weighted_sum_agg`; all but
    the first need `field_name`. recurring: sum, unique count and weighted sum only. filters: in order, the oldest of
    identical ones first. pricing_group_keys: of the default bucket. pay_in_advance: its events wait to be billed; count,
    sum and unique count only.
    """

    charge_id: UUID
    metric_code: str
    aggregation_type: str
    field_name: str | None = None
    recurring: bool = False
    pricing_group_keys: tuple[str, ...] = ()
    filters: tuple[MeteredFilter, ...] = ()
    pay_in_advance: bool = False


class MeteredSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as far as it decides which usage events are its own.

    Event timestamps in [started_at_us, terminated_at_us), both cut to the millisecond, belong to it
    (events.md §5, §6). stream_id: the customer's stream, which takes the usage. plan_key: names a plan version.
    """

    subscription_id: UUID
    organization_id: UUID
    external_id: str
    stream_id: UUID
    plan_key: UUID
    started_at_us: int
    terminated_at_us: int | None = None


class Window(NamedTuple):
    """A usage window of a subscription: [from_us, to_us), bounds cut to the millisecond."""

    subscription_id: UUID
    from_us: int
    to_us: int


class Period(NamedTuple):
    """What a weighted sum is the average of (metrics.md §6.6).

    until_us: last instant of the window, inclusive; Rust rounds it up to the whole second. days: `charges_duration`,
    the days of the full period, > 0.
    """

    until_us: int
    days: int


class CarriedLevel(msgspec.Struct, frozen=True, kw_only=True):
    """Level of a recurring weighted sum at the beginning of a window, for one charge, filter and group.

    Without one the level is the sum of all values before the window (metrics.md §12).
    """

    charge_id: UUID
    level: Decimal
    filter_id: UUID | None = None
    group: tuple[str | None, ...] = ()


class BucketUsage(msgspec.Struct, frozen=True):
    """Running totals of one charge, charge filter and group; numbers are exact and normalized.

    filter_id: None is the default bucket. group: one value per pricing group key, None if missing, null or empty.
    total_aggregated_units: differs from `units` for weighted sums only.
    """

    charge_id: UUID
    filter_id: UUID | None
    group: tuple[str | None, ...]
    units: Decimal
    events_count: int
    total_aggregated_units: Decimal


Place = tuple[int, int, int]
"""Segment, event in the segment, charge of the event: ascending in the order of billing."""


class UsageChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an event did to the totals of its bucket in one window.

    units, events_count: those of the bucket right after the event, without unit rounding.
    """

    window: Window
    delta: Decimal
    units: Decimal
    events_count: int


class PendingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One event on one charge that is paid in advance, until it is billed (metrics.md §10).

    change: None when it must be found in the log first.
    """

    place: Place
    charge_id: UUID
    filter_id: UUID | None
    group: tuple[str | None, ...]
    timestamp_us: int
    transaction_id: str
    precise_total_amount_cents: Decimal | None
    change: UsageChange | None


def charge_argument(charge: MeteredCharge) -> _ChargeSpec:
    """A charge as the core takes it."""
    return (
        charge.charge_id.bytes,
        charge.metric_code,
        charge.aggregation_type,
        charge.field_name,
        charge.recurring,
        charge.pricing_group_keys,
        [
            (filter_.filter_id.bytes, list(filter_.values.items()), filter_.pricing_group_keys)
            for filter_ in charge.filters
        ],
    )


def usage_of(
    charge_id: bytes,
    filter_id: bytes | None,
    group: tuple[str | None, ...],
    units: str,
    events_count: int,
    total: str | None,
) -> BucketUsage:
    """A row of totals as the core gives it."""
    exact = Decimal(units)
    return BucketUsage(
        UUID(bytes=charge_id),
        None if filter_id is None else UUID(bytes=filter_id),
        group,
        exact,
        events_count,
        exact if total is None else Decimal(total),
    )
