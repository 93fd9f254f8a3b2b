"""On which days an interval rule fires (coupons_wallets_credit_notes.md §7)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from lago_engine.domain.wallets.model import RuleInterval

MONTHS: Final[Mapping[RuleInterval, int]] = {
    "monthly": 1, "quarterly": 3, "semiannual": 6, "yearly": 12,
}  # fmt: skip


def next_day(interval: RuleInterval, anchor: date, after: date) -> date:
    """The first day later than `after` that is an anniversary of `anchor`.

    In a shorter month its last day stands for later ones: 31 January, 29 February, 31 March, 30 April.
    """
    if interval == "weekly":
        return after + timedelta(days=(anchor.weekday() - after.weekday() - 1) % 7 + 1)
    step = MONTHS[interval]
    apart = (after.year - anchor.year) * 12 + after.month - anchor.month
    months = apart - apart % step
    while (day := _months_after(anchor, months)) <= after:
        months += step
    return day


def is_day(interval: RuleInterval, anchor: date, day: date) -> bool:
    """Whether `day` is an anniversary."""
    return next_day(interval, anchor, day - timedelta(days=1)) == day


def _months_after(anchor: date, months: int) -> date:
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))
