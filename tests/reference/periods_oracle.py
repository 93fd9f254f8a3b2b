"""Slow, obvious period arithmetic: walks days and minutes, follows the text of the contract.

Nothing here uses the engine's period code, so that a shared mistake is unlikely.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
CALENDAR_MONTHS = {
    "monthly": set(range(1, 13)),
    "quarterly": {1, 4, 7, 10},
    "semiannual": {1, 7},
    "yearly": {1},
}
STEP = {"monthly": 1, "quarterly": 3, "semiannual": 6, "yearly": 12}


def is_start(day: date, interval: str, billing_time: str, anchor: date) -> bool:
    """Whether a period starts on `day`, read off the table of the contract."""
    if billing_time == "calendar":
        if interval == "weekly":
            return day.isoweekday() == 1
        return day.day == 1 and day.month in CALENDAR_MONTHS[interval]
    if interval == "weekly":
        return day.isoweekday() == anchor.isoweekday()
    months_apart = (day.year - anchor.year) * 12 + day.month - anchor.month
    last = monthrange(day.year, day.month)[1]
    return months_apart % STEP[interval] == 0 and day.day == min(anchor.day, last)


def start_on_or_before(day: date, interval: str, billing_time: str, anchor: date) -> date:
    while not is_start(day, interval, billing_time, anchor):
        day -= DAY
    return day


def start_after(day: date, interval: str, billing_time: str, anchor: date) -> date:
    day += DAY
    while not is_start(day, interval, billing_time, anchor):
        day += DAY
    return day


@lru_cache(maxsize=20_000)
def first_instant(day: date, zone_name: str) -> datetime:
    """The first minute at which the local date has reached `day`."""
    tz = ZoneInfo(zone_name)
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    while instant.astimezone(tz).date() < day:
        instant += timedelta(minutes=1)
    return instant


def last_instant(day: date, zone_name: str) -> datetime:
    return first_instant(day + DAY, zone_name) - timedelta(microseconds=1)


def windows(
    *,
    at: datetime,
    started_at: datetime,
    subscription_at: datetime,
    terminated_at: datetime | None,
    successor: str | None,
    interval: str,
    billing_time: str,
    pay_in_advance: bool,
    zone_name: str,
    current_usage: bool,
) -> tuple[tuple[datetime, datetime], tuple[datetime, datetime]]:
    """(base-fee window, usage window) of a link of a plan without monthly split."""
    tz = ZoneInfo(zone_name)
    grid = (interval, billing_time, subscription_at.astimezone(tz).date())
    own = start_on_or_before(at.astimezone(tz).date(), *grid)
    previous = own if current_usage else start_on_or_before(own - DAY, *grid)
    ended = terminated_at is not None and terminated_at <= at
    ended_for_good = ended and successor is None
    ended_arrears = ended and not pay_in_advance and successor != "downgrade"

    fee = own if pay_in_advance or ended_arrears else previous
    if ended_for_good:
        usage = own
    elif pay_in_advance:
        usage = previous
    else:
        usage = own if ended_arrears else previous

    fee_from = first_instant(fee, zone_name)
    fee_to = last_instant(start_after(fee, *grid) - DAY, zone_name)
    if fee_from < started_at:
        fee_from = first_instant(started_at.astimezone(tz).date(), zone_name)
    if ended and fee_to > terminated_at:
        fee_to = terminated_at
    if fee_to < started_at:
        fee_to = started_at

    usage_from = first_instant(usage, zone_name)
    usage_to = last_instant(start_after(usage, *grid) - DAY, zone_name)
    if usage_from < started_at:
        usage_from = started_at
    if terminated_at is not None and terminated_at <= usage_to:
        usage_to = terminated_at
    if usage_to < started_at:
        usage_to = started_at
    return (fee_from, fee_to), (usage_from, usage_to)


def base_fee(
    *,
    window: tuple[datetime, datetime],
    trial_end: datetime | None,
    amount_cents: int,
    period_days: int,
    previous_period_start: date,
    zone_name: str,
    pay_in_advance: bool,
    anniversary: bool,
    closing: bool,
    upgraded: bool,
    predecessor: str | None,
    invoices: int,
    earlier_base_fee: bool,
    backdated: bool,
    started_at: datetime,
) -> Fraction:
    """The base fee by the four branches of the contract, in fractions of a minor unit."""
    start, end = window
    price = Fraction(amount_cents, period_days)

    def days_from(begin: datetime) -> int:
        return begun_days(begin, end, zone_name)

    def after_trial() -> datetime | None:
        if trial_end is None:
            return start
        if trial_end >= end:
            return None
        return trial_end if trial_end > start else start

    begin = after_trial()
    if closing:
        if begin is None:
            return Fraction(0)
        days = days_from(begin)
        return (max(days - 1, 0) if upgraded else days) * price
    if predecessor == "upgrade" and invoices <= 1:
        return Fraction(0) if begin is None else days_from(begin) * price
    if (
        (pay_in_advance and anniversary and predecessor is None)
        or earlier_base_fee
        or (backdated and pay_in_advance)
        or (backdated and started_at < first_instant(previous_period_start, zone_name))
    ):
        if trial_end is None or trial_end <= start:
            return Fraction(amount_cents)
        return Fraction(0) if trial_end >= end else days_from(trial_end) * price
    return Fraction(0) if begin is None else days_from(begin) * price


def begun_days(start: datetime, end: datetime, zone_name: str) -> int:
    tz = ZoneInfo(zone_name)
    wall = start.astimezone(tz).replace(tzinfo=None)
    wall_end = end.astimezone(tz).replace(tzinfo=None)
    days = 0
    while wall < wall_end:
        wall += DAY
        days += 1
    at_midnight = (wall_end.hour, wall_end.minute, wall_end.second, wall_end.microsecond) == (
        0,
        0,
        0,
        0,
    )
    return days + 1 if at_midnight and wall == wall_end else days
