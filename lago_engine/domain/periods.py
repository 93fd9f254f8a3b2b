"""Which period is billed: the windows of an invoice link and the days the clock bills on.

Words: the anchor is the local date of `subscription_at`; a billing date is the local date of the
instant `at` a billing refers to. A window is shown with inclusive microsecond ends, as on the wire;
`timezones.to_exclusive` gives the half-open end. Source: billing_periods §1, §3-§5, §7,
§13.2, §16, and the corrections of its §17.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from lago_engine.domain.grid import MONTHS, BillingTime, Grid, Interval, Period, month_index
from lago_engine.domain.timezones import (
    DAY,
    MICROSECOND,
    SECOND,
    local_date,
    start_of_day,
    zone,
)

__all__ = [
    "BillingTime",
    "Grid",
    "Interval",
    "Mode",
    "Period",
    "PeriodSubject",
    "PickedPeriods",
    "Status",
    "Succession",
    "Windows",
    "billing_day_starts",
    "charges_days",
    "ended",
    "first_month",
    "fixed_charges_days",
    "is_billing_day",
    "link_windows",
    "next_billing_at",
    "next_fixed_charges_at",
    "period_containing",
    "picked_periods",
    "running_fixed_charges",
    "termination_windows",
]

Status = Literal["pending", "incomplete", "active", "terminated", "canceled"]
Succession = Literal["upgrade", "downgrade"]
Mode = Literal["billing", "current_usage"]
"""`current_usage` takes the running period for everything: usage pages, alerts, upgrades."""


class PeriodSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What the time arithmetic must know of a subscription, its plan and its customer.

    `successor` tells how the next subscription that is not canceled replaces this one: None when
    there is none. `timezone` is the customer's, else the billing entity's, else UTC.
    """

    subscription_at: datetime
    created_at: datetime
    started_at: datetime | None
    status: Status
    interval: Interval
    billing_time: BillingTime = "calendar"
    pay_in_advance: bool = False
    bill_charges_monthly: bool = False
    bill_fixed_charges_monthly: bool = False
    timezone: str = "UTC"
    ending_at: datetime | None = None
    terminated_at: datetime | None = None
    successor: Succession | None = None

    def __post_init__(self) -> None:
        assert self.status != "terminated" or self.terminated_at is not None

    @property
    def tz(self) -> ZoneInfo:
        return zone(self.timezone)

    def local_date(self, instant: datetime) -> date:
        return local_date(instant, self.tz)

    @property
    def start(self) -> datetime:
        """`started_at` of a subscription that has started; a pending one has no windows."""
        assert self.started_at is not None
        return self.started_at

    @property
    def ended_at(self) -> datetime | None:
        return self.terminated_at if self.status == "terminated" else None

    @property
    def splits_charges(self) -> bool:
        return self.bill_charges_monthly and self._may_split

    @property
    def splits_fixed_charges(self) -> bool:
        return self.bill_fixed_charges_monthly and self._may_split

    @property
    def _may_split(self) -> bool:
        return self.interval in ("semiannual", "yearly")

    @property
    def main_grid(self) -> Grid:
        """The grid of the base fee."""
        return Grid(self.interval, self.billing_time, self.local_date(self.subscription_at))

    @property
    def monthly_grid(self) -> Grid:
        """The grid of charges billed monthly: same anchor, same billing time."""
        return Grid("monthly", self.billing_time, self.local_date(self.subscription_at))

    @property
    def charges_grid(self) -> Grid:
        return self.monthly_grid if self.splits_charges else self.main_grid

    @property
    def fixed_charges_grid(self) -> Grid:
        return self.monthly_grid if self.splits_fixed_charges else self.main_grid

    @property
    def billing_grid(self) -> Grid:
        """The grid whose starts are billing days."""
        splits = self.splits_charges or self.splits_fixed_charges
        return self.monthly_grid if splits else self.main_grid


class PickedPeriods(msgspec.Struct, frozen=True, kw_only=True):
    """The whole periods behind the three windows; their `days` are the `*_duration` of a fee."""

    subscription: Period
    charges: Period
    fixed_charges: Period


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of an (invoice, subscription) link: UTC, both ends inclusive.

    A family without a window (None) has no fees on this invoice. A window that ends where it starts
    holds no usage.
    """

    subscription_from: datetime
    subscription_to: datetime
    charges_from: datetime | None
    charges_to: datetime | None
    fixed_charges_from: datetime | None
    fixed_charges_to: datetime | None


def ended(sub: PeriodSubject, at: datetime) -> bool:
    """Whether the subscription is terminated as of `at`, compared to the second."""
    return sub.ended_at is not None and _to_second(sub.ended_at) <= _to_second(at)


def _closing(sub: PeriodSubject, at: datetime) -> bool:
    """Ended inside a period that nothing else will bill; a downgrade ends with its period."""
    return ended(sub, at) and sub.successor != "downgrade"


def _to_second(instant: datetime) -> datetime:
    return (instant + SECOND / 2).replace(microsecond=0)


def picked_periods(sub: PeriodSubject, at: datetime, *, mode: Mode = "billing") -> PickedPeriods:
    """Which whole periods a billing at `at` is about.

    On a billing day an advance base fee is for the period that starts; usage and an arrears base fee
    are for the one that ended. A closing subscription settles the running period.
    """
    day = sub.local_date(at)
    running = mode == "current_usage" or _closing(sub, at)

    def pick(grid: Grid, running: bool) -> Period:
        return grid.period(day) if running else grid.period_before(day)

    return PickedPeriods(
        subscription=pick(sub.main_grid, running or sub.pay_in_advance),
        charges=pick(sub.charges_grid, running),
        fixed_charges=pick(sub.fixed_charges_grid, running),
    )


def link_windows(sub: PeriodSubject, at: datetime, *, mode: Mode = "billing") -> Windows:
    """The windows of a link billed at `at`, cut to the life of the subscription, which has started.

    The base fee counts whole local days from the first one; usage counts from the exact start.
    A termination without successor goes through `termination_windows`.
    """
    picked = picked_periods(sub, at, mode=mode)
    subscription_from, subscription_to = _base_fee_window(sub, at, picked.subscription)
    charges_from, charges_to = (
        _usage_window(sub, picked.charges) if _has_charges(sub, at, mode) else (None, None)
    )
    fixed_charges_from, fixed_charges_to = (
        _usage_window(sub, picked.fixed_charges) if _has_fixed_charges(sub, at) else (None, None)
    )
    return Windows(
        subscription_from=subscription_from,
        subscription_to=subscription_to,
        charges_from=charges_from,
        charges_to=charges_to,
        fixed_charges_from=fixed_charges_from,
        fixed_charges_to=fixed_charges_to,
    )


def _base_fee_window(sub: PeriodSubject, at: datetime, period: Period) -> tuple[datetime, datetime]:
    start, end = period.bounds(sub.tz)
    if sub.ended_at is not None and ended(sub, at):
        end = min(end, _to_second(sub.ended_at))
    first_day = start_of_day(sub.local_date(sub.start), sub.tz)
    return max(start, first_day), max(end, sub.start)


def _usage_window(sub: PeriodSubject, period: Period) -> tuple[datetime, datetime]:
    start, end = period.bounds(sub.tz)
    if sub.ended_at is not None:
        end = min(end, sub.ended_at)
    return max(start, sub.start), max(end, sub.start)


def first_month(sub: PeriodSubject, at: datetime) -> bool:
    """Whether `at` lies in the first month of a main period; true of every shorter interval.

    Only then an invoice of a yearly or semiannual plan carries what is not billed monthly.
    """
    if sub.interval not in ("semiannual", "yearly"):
        return True
    month = sub.monthly_grid.start(sub.local_date(at))
    return (month_index(month) - month_index(sub.main_grid.origin)) % MONTHS[sub.interval] == 0


def _has_charges(sub: PeriodSubject, at: datetime, mode: Mode) -> bool:
    unsplit = sub.splits_fixed_charges and not sub.splits_charges
    return not unsplit or mode == "current_usage" or first_month(sub, at) or _closing(sub, at)


def _has_fixed_charges(sub: PeriodSubject, at: datetime) -> bool:
    unsplit = sub.splits_charges and not sub.splits_fixed_charges
    return not unsplit or first_month(sub, at) or _closing(sub, at)


def termination_windows(
    sub: PeriodSubject, at: datetime, *, recurring: Iterable[Windows]
) -> Windows:
    """The windows of the closing invoice of a subscription terminated at `at` without successor.

    When a period ended less than 24 hours before and no recurring link in `recurring` has billed it,
    the closing invoice bills that period instead, as the clock would have. Each family follows its
    own grid, so a month's end inside a yearly period does not touch the yearly base fee.
    """
    windows = link_windows(sub, at)
    day_before = at - DAY
    if sub.ended_at is None or sub.successor is not None or day_before < sub.start:
        return windows
    missed = link_windows(msgspec.structs.replace(sub, status="active"), at)
    if any(_same_boundaries(sub, missed, link) for link in recurring):
        return windows

    def turned(grid: Grid) -> bool:
        return grid.start(sub.local_date(day_before)) != grid.start(sub.local_date(at))

    if turned(sub.main_grid):
        windows = msgspec.structs.replace(
            windows,
            subscription_from=missed.subscription_from,
            subscription_to=missed.subscription_to,
        )
    if turned(sub.charges_grid):
        windows = msgspec.structs.replace(
            windows, charges_from=missed.charges_from, charges_to=missed.charges_to
        )
    if turned(sub.fixed_charges_grid):
        windows = msgspec.structs.replace(
            windows,
            fixed_charges_from=missed.fixed_charges_from,
            fixed_charges_to=missed.fixed_charges_to,
        )
    return windows


def _same_boundaries(sub: PeriodSubject, one: Windows, other: Windows) -> bool:
    def key(windows: Windows) -> tuple[datetime | None, ...]:
        charges = (windows.charges_from, windows.charges_to)
        fixed = (windows.fixed_charges_from, windows.fixed_charges_to)
        return (
            windows.subscription_from,
            windows.subscription_to,
            *(charges if sub.splits_charges else ()),
            *(fixed if sub.splits_fixed_charges else ()),
        )

    return key(one) == key(other)


def charges_days(sub: PeriodSubject, end: datetime) -> int:
    """The days of the whole period of a usage window that ends at `end`: its `charges_duration`."""
    # After a change of time zone a window begins before its period does; it never ends after it.
    return sub.charges_grid.length(sub.local_date(end))


def fixed_charges_days(sub: PeriodSubject, end: datetime) -> int:
    """The days of the whole period of a fixed-charge window that ends at `end`."""
    return sub.fixed_charges_grid.length(sub.local_date(end))


def running_fixed_charges(sub: PeriodSubject, at: datetime) -> tuple[datetime, datetime]:
    """The fixed-charge window that contains `at`: there always is one, also where an invoice has none."""
    return _usage_window(sub, sub.fixed_charges_grid.period(sub.local_date(at)))


def next_fixed_charges_at(sub: PeriodSubject, at: datetime) -> datetime:
    """The first instant of the fixed-charge period after the one that contains `at` (billing_periods §12.3)."""
    grid = sub.fixed_charges_grid
    return start_of_day(grid.next(grid.start(sub.local_date(at))), sub.tz)


def period_containing(sub: PeriodSubject, at: datetime) -> Period:
    """The running base-fee period, whole: never cut to the start of the subscription."""
    return sub.main_grid.period(sub.local_date(at))


def billing_day_starts(grid: Grid, tz: ZoneInfo, after: datetime) -> datetime:
    """The first instant, strictly after `after`, of a local day that is a start of `grid`."""
    start = grid.next(grid.start(local_date(after, tz)))
    # Where clocks go back over midnight, a local date can follow the first instant of the next one.
    while start_of_day(start, tz) <= after:
        start = grid.next(start)
    return start_of_day(start, tz)


def _first_billing_day(sub: PeriodSubject) -> date:
    """The earliest day that may be billed: after its own first day, and not before it was known."""
    return max(sub.local_date(sub.start) + DAY, sub.local_date(sub.created_at))


def _ends_by(sub: PeriodSubject, day: date) -> bool:
    return sub.ending_at is not None and sub.local_date(sub.ending_at) <= day


def is_billing_day(sub: PeriodSubject, now: datetime) -> bool:
    """Whether the periodic clock bills the subscription on the local day of `now`.

    Whether that day has been billed already is for the caller's cursor to say.
    """
    day = sub.local_date(now)
    return (
        sub.status == "active"
        and sub.billing_grid.start(day) == day
        and _first_billing_day(sub) <= day
        and not _ends_by(sub, day)
    )


def next_billing_at(sub: PeriodSubject, after: datetime) -> datetime | None:
    """The next instant strictly after `after` at which the periodic clock bills the subscription.

    It is the first instant of a period and serves as the billing's `at`. The first cursor of a
    subscription is `next_billing_at(sub, sub.started_at)`, in the past when created on a billing day.
    None unless the subscription is active and lasts beyond that day.
    """
    if sub.status != "active":
        return None
    earliest = start_of_day(_first_billing_day(sub), sub.tz)
    at = billing_day_starts(sub.billing_grid, sub.tz, max(after, earliest - MICROSECOND))
    return None if _ends_by(sub, sub.local_date(at)) else at
