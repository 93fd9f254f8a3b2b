"""Issuing date, expected finalization date and payment due date. Source: invoices §4, customers §5.

All are calendar dates in the customer's zone; the day given to these functions is the local date of
the billing timestamp.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

import msgspec

IssuingAnchor = Literal["next_period_start", "current_period_end"]
IssuingAdjustment = Literal["align_with_finalization_date", "keep_anchor"]


class IssuingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The applicable values: the customer's where set, else the billing entity's; in days."""

    grace_period: int = 0
    net_payment_term: int = 0
    anchor: IssuingAnchor = "next_period_start"
    adjustment: IssuingAdjustment = "align_with_finalization_date"

    def __post_init__(self) -> None:
        assert self.grace_period >= 0
        assert self.net_payment_term >= 0


class InvoiceDates(msgspec.Struct, frozen=True, kw_only=True):
    """The dates of an invoice and the payment term (days) its due date was computed with."""

    issuing_date: date
    expected_finalization_date: date
    payment_due_date: date
    net_payment_term: int


def issuing_adjustment(settings: IssuingSettings, *, periodic: bool) -> int:
    """Days from the billing date to the issuing date of a subscription invoice.

    `periodic`: made by the recurring clock. Others follow the grace period whatever the settings.
    """
    if not periodic:
        return settings.grace_period
    kept = 0 if settings.anchor == "next_period_start" else -1
    if settings.adjustment == "keep_anchor" or settings.grace_period == 0:
        return kept
    return settings.grace_period


def subscription_dates(day: date, settings: IssuingSettings, *, periodic: bool) -> InvoiceDates:
    """Dates of a periodic, starting or terminating subscription invoice at its creation."""
    return _dates(
        day + timedelta(days=issuing_adjustment(settings, periodic=periodic)),
        day + timedelta(days=settings.grace_period),
        settings.net_payment_term,
    )


def immediate_dates(day: date, net_payment_term: int) -> InvoiceDates:
    """Dates of every other invoice: one-off, credit, progressive, in advance; never a draft."""
    return _dates(day, day, net_payment_term)


def finalized_dates(
    drafted: InvoiceDates, today: date, settings: IssuingSettings, *, periodic: bool
) -> InvoiceDates:
    """Dates when a draft or pending invoice is finalized on the local day `today`.

    The issuing date becomes today, except that `keep_anchor` keeps it on a periodic invoice. The due
    date follows with the term that applies now.
    """
    keeps = periodic and settings.adjustment == "keep_anchor"
    issuing_date = drafted.issuing_date if keeps else today
    return _dates(issuing_date, drafted.expected_finalization_date, settings.net_payment_term)


def redated_draft(
    drafted: InvoiceDates, old: IssuingSettings, new: IssuingSettings, *, periodic: bool
) -> InvoiceDates:
    """Dates of a draft after grace period, anchor or adjustment changed from `old` to `new`."""
    shift = issuing_adjustment(new, periodic=periodic) - issuing_adjustment(old, periodic=periodic)
    return _dates(
        drafted.issuing_date + timedelta(days=shift),
        drafted.expected_finalization_date + timedelta(days=new.grace_period - old.grace_period),
        new.net_payment_term,
    )


def _dates(issuing_date: date, expected: date, net_payment_term: int) -> InvoiceDates:
    return InvoiceDates(
        issuing_date=issuing_date,
        expected_finalization_date=expected,
        payment_due_date=issuing_date + timedelta(days=net_payment_term),
        net_payment_term=net_payment_term,
    )
