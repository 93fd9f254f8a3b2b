"""How many units of a fixed charge a subscription has had: a step function of time (plans.md §7.4, charges.md §15.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from lago_engine.domain.decimals import CONTEXT, quantize_to
from lago_engine.domain.timezones import DAY, local_date

UNIT_PLACES: Final = 6


class UnitStep(msgspec.Struct, frozen=True, kw_only=True):
    """So many units from `timestamp` on, as it was known at `created_at`.

    plan_version: the version of the plan the subscription was put on that was in force then; a later one may change the
    units again.
    """

    units: Decimal
    timestamp: datetime
    created_at: datetime
    plan_version: int


class PeriodUnits(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a window. paid: what they come to when they are paid by the day, 6 decimals; else the full ones."""

    full: Decimal
    paid: Decimal


NO_UNITS: Final = PeriodUnits(full=Decimal(0), paid=Decimal(0))


def known_at(steps: Sequence[UnitStep], at: datetime) -> Sequence[UnitStep]:
    """The steps that had been set by `at`."""
    return [step for step in steps if step.created_at <= at]


def units_in(
    steps: Sequence[UnitStep],
    window: tuple[datetime, datetime],
    *,
    tz: ZoneInfo,
    period_days: int | None = None,
) -> PeriodUnits:
    """The units of a window, both ends inclusive.

    steps: in the order in which they were set. period_days: those of the whole period, for units that are paid by the day.
    """
    relevant = _relevant(steps, window)
    if not relevant:
        return NO_UNITS
    full = relevant[-1].units
    if period_days is None:
        return PeriodUnits(full=full, paid=full)
    return PeriodUnits(full=full, paid=_by_the_day(_in_force(relevant), window, tz, period_days))


def _relevant(steps: Sequence[UnitStep], window: tuple[datetime, datetime]) -> list[UnitStep]:
    """The steps within the window, and the one set last of those before it."""
    start, end = window
    before = next((step for step in reversed(steps) if step.timestamp < start), None)
    return [step for step in steps if step is before or start <= step.timestamp <= end]


def _in_force(steps: Sequence[UnitStep]) -> list[UnitStep]:
    """Without plans for later that something set afterwards came before."""
    return [
        step
        for place, step in enumerate(steps)
        if all(later.timestamp >= step.timestamp for later in steps[place + 1 :])
    ]


def _by_the_day(
    steps: Sequence[UnitStep], window: tuple[datetime, datetime], tz: ZoneInfo, period_days: int
) -> Decimal:
    """Each step is paid from its day until the day of the next one; each share is rounded by itself."""
    start, end = window
    days = [local_date(max(step.timestamp, start), tz) for step in steps]
    until: list[date] = [*days[1:], local_date(end, tz) + DAY]
    total = Decimal(0)
    for step, first, after in zip(steps, days, until, strict=True):
        unit_days = CONTEXT.multiply(step.units, Decimal(max((after - first).days, 0)))
        share = CONTEXT.divide(unit_days, Decimal(period_days))
        total = CONTEXT.add(total, quantize_to(share, UNIT_PLACES))
    return total
