"""Day counts, prorated amounts and the base fee. Source: billing_periods §5, §6, §8 and §17.

Amounts are whole minor units. A prorated amount is `days * amount / length`: one exact product, one
division, one rounding.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from lago_engine.domain.decimals import CONTEXT, quantize_to, round_ratio
from lago_engine.domain.money import PRECISE_PLACES
from lago_engine.domain.periods import PeriodSubject, Succession, ended, first_month
from lago_engine.domain.timezones import DAY, SECOND, local_date

_MIDNIGHT: Final = time()


class Prorated(msgspec.Struct, frozen=True, kw_only=True):
    """An amount for `days` of a period of `period_days`, in minor units.

    `precise_amount_cents` has 15 decimals; `amount_cents` is rounded from the exact quotient.
    """

    days: int
    period_days: int
    amount_cents: int
    precise_amount_cents: Decimal


def days_between(start: datetime, end: datetime, tz: ZoneInfo) -> int:
    """Days begun from `start` to `end`, counted on the wall clock so that DST cannot shift them.

    An end exactly at local midnight still counts the day it begins.
    """
    wall_start = start.astimezone(tz).replace(tzinfo=None)
    wall_end = end.astimezone(tz).replace(tzinfo=None)
    if wall_end.time() == _MIDNIGHT:
        wall_end += SECOND
    return -((wall_start - wall_end) // DAY)


def paid_days(sub: PeriodSubject, window: tuple[datetime, datetime], at: datetime) -> int:
    """The days of a usage window billed at `at`, in the subject's time zone (metrics §3)."""
    days = days_between(*window, sub.tz)
    # The day of an upgrade is paid to the new plan.
    return max(days - 1, 0) if ended(sub, at) and sub.successor == "upgrade" else days


def prorate(amount_cents: int, days: int, period_days: int) -> Prorated:
    """`amount_cents` for `days` out of `period_days`; both ≥ 0, days may exceed the period."""
    assert period_days > 0
    assert days >= 0
    total = amount_cents * days
    quotient = CONTEXT.divide(Decimal(total), Decimal(period_days))
    return Prorated(
        days=days,
        period_days=period_days,
        amount_cents=round_ratio(total, period_days),
        precise_amount_cents=quantize_to(quotient, PRECISE_PLACES),
    )


def period_length(sub: PeriodSubject, at: datetime) -> int:
    """Days of the whole base-fee period that contains `at`, never of a shortened first one."""
    return sub.main_grid.length(sub.local_date(at))


def trial_end(initial_start: datetime, trial_period_days: Decimal | None) -> datetime | None:
    """`initial_start` plus N times 24 hours; None without a trial (null or not positive)."""
    if trial_period_days is None or trial_period_days <= 0:
        return None
    micros = CONTEXT.multiply(trial_period_days, Decimal(DAY // timedelta(microseconds=1)))
    return initial_start + timedelta(microseconds=int(micros))


def is_backdated(sub: PeriodSubject) -> bool:
    """Started on a local day before the one it was created on."""
    return sub.local_date(sub.start) < sub.local_date(sub.created_at)


class BaseFeeInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the amount of a base fee depends on.

    `window` is the subscription window of the link billed at `at`. `predecessor` tells how this
    subscription replaced its previous one; None when it had none.
    """

    subject: PeriodSubject
    at: datetime
    window: tuple[datetime, datetime]
    amount_cents: int
    trial_end: datetime | None = None
    predecessor: Succession | None = None


def base_fee(fee: BaseFeeInput) -> Prorated:
    """The base fee of a link, 0 while the trial lasts; whether there is one: `base_fee_due`.

    It is the price for the days of the window. A window that was not cut has all days of its period,
    so the full price needs no rule of its own, whatever was billed before.
    """
    sub = fee.subject
    # After a change of time zone a window may begin before its period does; it ends in it.
    period_days = period_length(sub, fee.window[1])
    in_trial = fee.trial_end is not None and fee.trial_end > fee.window[0]
    if _is_paid_in_full(fee) and not in_trial:
        return prorate(fee.amount_cents, period_days, period_days)
    days = _days_after_trial(fee)
    if _is_closing(sub, fee.at) and sub.successor == "upgrade":
        # The day of the change is paid to the new plan.
        days = max(days - 1, 0)
    return prorate(fee.amount_cents, days, period_days)


def _days_after_trial(fee: BaseFeeInput) -> int:
    start, end = fee.window
    if start > end:
        return 0
    if fee.trial_end is not None:
        if fee.trial_end >= end:
            return 0
        start = max(start, fee.trial_end)
    return max(days_between(start, end, fee.subject.tz), 0)


def _is_paid_in_full(fee: BaseFeeInput) -> bool:
    """An advance anniversary plan that replaced no other pays its first period in full, whenever it began."""
    sub = fee.subject
    first = sub.local_date(fee.window[0]) == sub.local_date(sub.start)
    anniversary = sub.pay_in_advance and sub.billing_time == "anniversary"
    return first and anniversary and fee.predecessor is None


def _is_closing(sub: PeriodSubject, at: datetime) -> bool:
    """As of `at`: a draft of an earlier period is not closing because the end came since."""
    return not sub.pay_in_advance and ended(sub, at) and sub.successor != "downgrade"


class BaseFeeDueInput(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether a link carries a base fee.

    `any_base_fee`: one was ever made for this subscription. `other_base_fee_created_at`: the
    latest one on another invoice. `starts_with_fixed_charges_only`: the first link of the
    subscription, for the reason `subscription_starting`, of an arrears plan with pay-in-advance
    fixed charges.
    """

    subject: PeriodSubject
    at: datetime
    invoice_created_at: datetime
    trial_end: datetime | None = None
    on_this_invoice: bool = False
    any_base_fee: bool = False
    other_base_fee_created_at: datetime | None = None
    starts_with_fixed_charges_only: bool = False


def base_fee_due(due: BaseFeeDueInput) -> bool:
    """Whether the invoice gets a base fee for this subscription (it may amount to 0)."""
    if due.on_this_invoice or due.starts_with_fixed_charges_only:
        return False
    return (
        not _billed_today(due)
        and _in_base_fee_month(due.subject, due.at, due.any_base_fee)
        and not _in_trial(due)
        and _status_allows(due)
    )


def _billed_today(due: BaseFeeDueInput) -> bool:
    sub, other = due.subject, due.other_base_fee_created_at
    if not sub.pay_in_advance or other is None:
        return False
    return sub.local_date(other) == sub.local_date(due.at)


def _in_base_fee_month(sub: PeriodSubject, at: datetime, any_base_fee: bool) -> bool:
    """Yearly and semiannual plans bill their base fee in the first month of a main period."""
    first = first_month(sub, at)
    if sub.interval not in ("semiannual", "yearly"):
        return first
    if not sub.pay_in_advance:
        return first or ended(sub, at)
    if not is_backdated(sub):
        return first or not any_base_fee
    return first and not _in_first_period_month(sub, at)


def _in_first_period_month(sub: PeriodSubject, at: datetime) -> bool:
    """The month a backdated advance subscription never pays for: the one it was meant to start in.

    By year, as the reference does, so that on a semiannual calendar plan it holds on 1 July as well.
    """
    day, origin = sub.local_date(at), sub.local_date(sub.subscription_at)
    if sub.interval == "semiannual" and sub.billing_time == "anniversary":
        return (day.year, day.month) == (origin.year, origin.month)
    return day.year == origin.year


def _in_trial(due: BaseFeeDueInput) -> bool:
    """Still free at the billing date; the last day of the trial is no longer free."""
    if due.trial_end is None or due.at >= due.trial_end:
        return False
    tz = due.subject.tz
    return local_date(due.trial_end, tz) != local_date(due.at, tz)


def _status_allows(due: BaseFeeDueInput) -> bool:
    sub = due.subject
    if sub.status in ("active", "incomplete"):
        return True
    if sub.status != "terminated":
        return False
    assert sub.terminated_at is not None
    return not sub.pay_in_advance or sub.terminated_at > due.invoice_created_at
