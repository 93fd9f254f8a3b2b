"""The period grid: on which local dates the periods of a plan start. Source: billing_periods §2."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from lago_engine.domain.timezones import DAY, end_of_day, start_of_day

Interval = Literal["weekly", "monthly", "quarterly", "semiannual", "yearly"]
BillingTime = Literal["calendar", "anniversary"]

MONTHS: Final = {"monthly": 1, "quarterly": 3, "semiannual": 6, "yearly": 12}

# A calendar grid is the anniversary grid of a Monday that is also a 1 January.
_CALENDAR_ANCHOR: Final = date(2024, 1, 1)


class Period(msgspec.Struct, frozen=True):
    """A whole grid period, by its first and last local day."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def bounds(self, tz: ZoneInfo) -> tuple[datetime, datetime]:
        """First instant and last microsecond, in UTC."""
        return start_of_day(self.first, tz), end_of_day(self.last, tz)


class Grid(msgspec.Struct, frozen=True):
    """The infinite sequence of local dates on which a period starts.

    Where a month is shorter than the anchor day its last day is the start; the anchor day is not
    lost for later months.
    """

    interval: Interval
    billing_time: BillingTime
    anchor: date

    @property
    def origin(self) -> date:
        return self.anchor if self.billing_time == "anniversary" else _CALENDAR_ANCHOR

    def start(self, day: date) -> date:
        """The latest start on or before `day`."""
        return _start(self.interval, self.origin, day)

    def next(self, start: date) -> date:
        """The start that follows `start`, which must itself be one."""
        return _next(self.interval, self.origin, start)

    def period(self, day: date) -> Period:
        """The period that contains `day`."""
        start = self.start(day)
        return Period(start, self.next(start) - DAY)

    def period_before(self, day: date) -> Period:
        """The period before the one that contains `day`."""
        return self.period(self.start(day) - DAY)

    def length(self, day: date) -> int:
        """Days of the whole period that contains `day`: the divisor of every proration."""
        return self.period(day).days


# Customers billed on one day ask for the same dates again and again.
@lru_cache(maxsize=65_536)
def _start(interval: Interval, origin: date, day: date) -> date:
    if interval == "weekly":
        return day - timedelta(days=(day.weekday() - origin.weekday()) % 7)
    step = MONTHS[interval]
    month = month_index(day)
    month -= (month - month_index(origin)) % step
    start = _start_in(month, origin)
    return start if start <= day else _start_in(month - step, origin)


@lru_cache(maxsize=65_536)
def _next(interval: Interval, origin: date, start: date) -> date:
    assert _start(interval, origin, start) == start
    if interval == "weekly":
        return start + timedelta(days=7)
    return _start_in(month_index(start) + MONTHS[interval], origin)


def _start_in(month: int, origin: date) -> date:
    year, month_before = divmod(month, 12)
    days = monthrange(year, month_before + 1)[1]
    return date(year, month_before + 1, min(origin.day, days))


def month_index(day: date) -> int:
    """Months since year 0, so that every step of a grid is an addition."""
    return day.year * 12 + day.month - 1
