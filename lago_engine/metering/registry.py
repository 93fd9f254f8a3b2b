"""What the meter has to know of plans and subscriptions, and what it tells of their usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from lago_engine.domain.rating.charge_models.model import Changes, Group, Run, Step

if TYPE_CHECKING:
    from lago_engine._core import _ChargeSpec, _KeepSpec, _Kept, _Prorated


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
    sum and unique count only. Beside totals every bucket keeps what is asked for:
    keeps_values: the value of each event, of sums and maxima; memory grows by 32 bytes per event.
    keeps_changes: when units came and went in the window, of recurring sums and unique counts.
    keeps_amounts: the sum of `precise_total_amount_cents`. presentation_keys: units by the values of these properties.
    """

    charge_id: UUID
    metric_code: str
    aggregation_type: str
    field_name: str | None = None
    recurring: bool = False
    pricing_group_keys: tuple[str, ...] = ()
    filters: tuple[MeteredFilter, ...] = ()
    keeps_values: bool = False
    keeps_changes: bool = False
    keeps_amounts: bool = False
    presentation_keys: tuple[str, ...] = ()
    pay_in_advance: bool = False

    @property
    def keeps_anything(self) -> bool:
        """Whether its buckets keep more than totals."""
        return bool(
            self.keeps_values or self.keeps_changes or self.keeps_amounts or self.presentation_keys
        )


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


class BucketUsage(msgspec.Struct, frozen=True):
    """Running totals of one charge, charge filter and group; numbers are exact and normalized.

    filter_id: None is the default bucket. group: one value per pricing group key, None if missing, null or empty.
    total_aggregated_units: differs from `units` for weighted sums only. The rest is there where the charge keeps it:
    values in order of time, breakdown: units by presentation tuple, in the order of groups.
    """

    charge_id: UUID
    filter_id: UUID | None
    group: Group
    units: Decimal
    events_count: int
    total_aggregated_units: Decimal
    values: tuple[Run, ...] = ()
    changes: Changes | None = None
    precise_total_amount_cents: Decimal | None = None
    breakdown: tuple[tuple[Group, Decimal], ...] = ()


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


def keep_arguments(charges: Iterable[MeteredCharge]) -> list[_KeepSpec]:
    """What the buckets of charges keep beside totals, as the core takes it."""
    return [
        (
            charge.charge_id.bytes,
            charge.keeps_values,
            charge.keeps_changes,
            charge.keeps_amounts,
            charge.presentation_keys,
        )
        for charge in charges
        if charge.keeps_anything
    ]


def usage_of(
    charge_id: bytes,
    filter_id: bytes | None,
    group: Group,
    units: str,
    events_count: int,
    total: str | None,
    kept: _Kept | None,
) -> BucketUsage:
    """A row of totals as the core gives it."""
    exact = Decimal(units)
    usage = BucketUsage(
        UUID(bytes=charge_id),
        None if filter_id is None else UUID(bytes=filter_id),
        group,
        exact,
        events_count,
        exact if total is None else Decimal(total),
    )
    return usage if kept is None else _with_kept(usage, *kept)


def _with_kept(
    usage: BucketUsage,
    values: Iterable[tuple[str, int]],
    prorated: _Prorated | None,
    amount: str | None,
    breakdown: Iterable[tuple[Group, str]],
) -> BucketUsage:
    return msgspec.structs.replace(
        usage,
        values=tuple(Run(Decimal(value), times) for value, times in values),
        changes=None if prorated is None else _changes(*prorated),
        precise_total_amount_cents=None if amount is None else Decimal(amount),
        breakdown=tuple((tuple_, Decimal(units)) for tuple_, units in breakdown),
    )


def _changes(carried: str, steps: Iterable[tuple[str, int]]) -> Changes:
    return Changes(Decimal(carried), tuple(Step(Decimal(units), days) for units, days in steps))
