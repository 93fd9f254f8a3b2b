"""Local days and UTC instants.

A local day is the half-open span from its first existing instant to the first instant of the next
day; where Lago's wire shows inclusive ends, the end is that instant minus one microsecond.
Daylight-saving changes need no other rule. Source: billing_periods §3.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name that `is_timezone` accepted; ZoneInfoNotFoundError otherwise."""
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def is_timezone(name: str) -> bool:
    """Whether `name` is an IANA time zone. Lago's shorter list is a subset."""
    return name in _names()


def local_date(instant: datetime, tz: ZoneInfo) -> date:
    """The calendar date of an aware instant in `tz`."""
    return instant.astimezone(tz).date()


@lru_cache(maxsize=4096)
def start_of_day(day: date, tz: ZoneInfo) -> datetime:
    """The first existing instant of the local `day`, in UTC.

    If midnight is skipped, that is the instant of the change; if midnight comes twice, the first one.
    A day that a zone skipped altogether is empty: it starts where the next one does.
    """
    midnight = datetime.combine(day, time(), tz)
    start = midnight.astimezone(UTC)
    if start.astimezone(tz).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return start
    # Midnight does not exist. Read with the offset after the change it lies before the change.
    return _offset_change(midnight.replace(fold=1).astimezone(UTC), start, tz)


def _offset_change(before: datetime, after: datetime, tz: ZoneInfo) -> datetime:
    """The first instant in (before, after] that has the offset of `after`; changes fall on seconds."""
    offset = after.astimezone(tz).utcoffset()
    low, high = 0, round((after - before) / SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if (before + middle * SECOND).astimezone(tz).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return before + high * SECOND


def end_of_day(day: date, tz: ZoneInfo) -> datetime:
    """The last microsecond of the local `day`, in UTC."""
    return start_of_day(day + DAY, tz) - MICROSECOND


@lru_cache(maxsize=1024)
def day_starts(start: datetime, end: datetime, tz: ZoneInfo) -> tuple[datetime, ...]:
    """The first instants of the local days that begin after `start`, up to `end` (inclusive)."""
    day = local_date(start, tz)
    found = []
    while (first := start_of_day(day, tz)) <= end:
        if first > start:
            found.append(first)
        day += DAY
    return tuple(found)


def to_exclusive(end_inclusive: datetime) -> datetime:
    """The end of the half-open window [from, end) that an inclusive microsecond end stands for."""
    return end_inclusive + MICROSECOND


def micros(instant: datetime) -> int:
    """Microseconds since the Unix epoch, as the metering core counts them."""
    return (instant - EPOCH) // MICROSECOND


def from_micros(micros_since_epoch: int) -> datetime:
    """The UTC instant `micros` gave the number for."""
    return EPOCH + timedelta(microseconds=micros_since_epoch)
