"""How windows go on after a customer moved to another time zone. Source: billing_periods §16, and §17 item 12.

The grid of periods may move by days then, where an anniversary lies at a month's end. Usage goes on at the instant at
which it was billed, the base fee on the local day after the last one that was billed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from lago_engine.domain.periods import PeriodSubject, Windows, ended
from lago_engine.domain.timezones import (
    DAY,
    end_of_day,
    local_date,
    start_of_day,
    to_exclusive,
    zone,
)

_ZONE_SHIFT_MAX: Final = timedelta(days=4, hours=26)
"""The widest distance between two zones, and up to four days between a 28 March and a 1 April."""

_GRID_SHIFT_MAX: Final = timedelta(days=5)
"""The same between local days."""


def follow_zone_change(windows: Windows, *, last: Windows) -> Windows:
    """The usage windows moved to begin where those of `last` ended, without gap or overlap.

    For the first link after the customer's zone changed; `last` is the latest link, made in the old zone.
    """
    return replace(
        windows,
        charges_from=_continued(windows.charges_from, windows.charges_to, last.charges_to),
        fixed_charges_from=_continued(
            windows.fixed_charges_from, windows.fixed_charges_to, last.fixed_charges_to
        ),
    )


def _continued(
    start: datetime | None, end: datetime | None, last_end: datetime | None
) -> datetime | None:
    if start is None or end is None or last_end is None:
        return start
    continued = to_exclusive(last_end)
    lies_within = start < continued <= end
    if abs(continued - start) >= _ZONE_SHIFT_MAX and not lies_within:
        return start
    # A window that had already been billed in full becomes empty, not reversed.
    return min(continued, to_exclusive(end))


def align_base_fee(
    sub: PeriodSubject, at: datetime, windows: Windows, *, last: Windows, last_timezone: str
) -> Windows:
    """The base-fee window moved to the days that follow those of `last`, whatever the grid is now.

    `last` is the latest link, the base fee of which was billed by the days of `last_timezone`. A link about the same period as
    the last one keeps its days, so that the next period begins after them.
    """
    last_tz = zone(last_timezone)
    first_billed = local_date(last.subscription_from, last_tz)
    last_billed = local_date(last.subscription_to, last_tz)
    computed = sub.local_date(windows.subscription_from)
    following = last_billed + DAY
    nearest = min(following, first_billed, key=lambda day: abs(day - computed))
    if nearest == computed or abs(nearest - computed) > _GRID_SHIFT_MAX:
        return windows
    end = windows.subscription_to
    if nearest == first_billed and not _owes_a_base_fee(sub, at):
        end = _last_instant(sub, at, last_billed)
    start = _first_instant(sub, following if _owes_a_base_fee(sub, at) else nearest, end)
    return replace(windows, subscription_from=start, subscription_to=end)


def _owes_a_base_fee(sub: PeriodSubject, at: datetime) -> bool:
    """Whether the end of the subscription is billed: days in arrears, which never were billed before."""
    return not sub.pay_in_advance and ended(sub, at)


def _first_instant(sub: PeriodSubject, day: date, end: datetime) -> datetime:
    """A window whose days were billed before is empty, not reversed."""
    return min(start_of_day(day, sub.tz), to_exclusive(end))


def _last_instant(sub: PeriodSubject, at: datetime, day: date) -> datetime:
    end = end_of_day(day, sub.tz)
    return min(end, sub.ended_at) if sub.ended_at is not None and ended(sub, at) else end
