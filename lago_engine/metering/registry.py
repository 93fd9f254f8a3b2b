"""What the meter has to know of plans and subscriptions, and what it tells of their usage."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec


class MeteredCharge(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of a plan version.

    aggregation_type: `count_agg` or `sum_agg`; the latter needs `field_name`.
    """

    charge_id: UUID
    metric_code: str
    aggregation_type: str
    field_name: str | None = None


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


class ChargeUsage(NamedTuple):
    """Running totals of one charge; `units` is exact and normalized."""

    charge_id: UUID
    units: Decimal
    events_count: int
