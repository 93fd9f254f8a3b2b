"""The minimum commitment of a plan and the fee that makes up what a period falls short of it (billing_periods.md §10).

Advance plans are reconciled on the next invoice, which has the usage of the period; arrears plans on the one that bills it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import MinimumCommitment, Plan
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.decimals import CONTEXT, quantize_to
from lago_engine.domain.grid import Period
from lago_engine.domain.invoicing.ledger import FeeRecord
from lago_engine.domain.invoicing.model import Fee, InvoiceLink
from lago_engine.domain.money import PRECISE_PLACES, minor_units
from lago_engine.domain.periods import PeriodSubject, ended
from lago_engine.domain.proration import Prorated, days_between, prorate
from lago_engine.domain.timezones import start_of_day

DISPLAY_NAME = "Minimum commitment"
_COUNTED = ("subscription", "charge", "fixed_charge")


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """The base-fee period that a link brings up to the commitment, and the part of it that was lived."""

    period: Period
    start: datetime
    end: datetime
    days: int


def reconciled_by(subject: PeriodSubject, link: InvoiceLink) -> Reconciled | None:
    """What the link reconciles: at the end of a base-fee period and at the end of the subscription.

    Nothing where the base fee of the period was to be paid before and was not: in a trial, or before a start in
    the past was known.
    """
    unpaid = subject.pay_in_advance and not link.earlier_base_fee
    if link.invoicing_reason == "subscription_starting" or unpaid:
        return None
    subject = msgspec.structs.replace(subject, timezone=link.timezone)
    day = subject.local_date(link.timestamp)
    closing = ended(subject, link.timestamp) and subject.successor != "downgrade"
    if not closing and subject.main_grid.start(day) != day:
        return None
    if closing or not subject.pay_in_advance:
        start, end = link.from_datetime, link.to_datetime
        # After a change of time zone a window may begin before its period does; it ends in it.
        period = subject.main_grid.period(subject.local_date(end))
    else:
        period = subject.main_grid.period_before(day)
        start, end = period.bounds(subject.tz)
        start = max(start, start_of_day(subject.local_date(subject.start), subject.tz))
    days = days_between(start, end, subject.tz)
    if closing and subject.successor == "upgrade":
        # The day of the change is paid to the new plan.
        days = max(days - 1, 0)
    return Reconciled(period=period, start=start, end=end, days=days)


def belongs(
    fee: Fee | FeeRecord, subscription_id: UUID, period: Period, subject: PeriodSubject
) -> bool:
    """Whether a fee counts towards the commitment of the period: a base fee, usage or fixed charge that ends in it."""
    counts = fee.fee_type in _COUNTED and fee.subscription_id == subscription_id
    return counts and period.first <= subject.local_date(fee.to_datetime) <= period.last


def commitment_fee(
    invoice_id: UUID,
    subscription: Subscription,
    plan: Plan,
    reconciled: Reconciled,
    fees: Iterable[Fee],
    billed: Sequence[FeeRecord],
) -> Fee | None:
    """The true-up fee; None when enough was billed.

    fees: those of the period on this invoice. billed: those on earlier ones, which count as they were billed, in
    whole minor units.
    """
    commitment = plan.minimum_commitment
    assert commitment is not None
    due = prorate(commitment.amount_cents, reconciled.days, reconciled.period.days)
    here = list(fees)
    before = sum(fee.amount_cents for fee in billed)
    missing = due.amount_cents - before - sum(fee.amount_cents for fee in here)
    if missing <= 0:
        return None
    precise = _precise(due, before, here)
    return Fee(
        id=ids.derive(invoice_id, "fee", "commitment", subscription.id),
        fee_type="commitment",
        subscription_id=subscription.id,
        external_subscription_id=subscription.external_id,
        item_id=subscription.id,
        item_type="Subscription",
        item_code=plan.code,
        item_name=plan.name,
        item_description=plan.description,
        invoice_display_name=_display_name(commitment),
        amount_cents=missing,
        precise_amount_cents=precise,
        units=Decimal(1),
        unit_amount_cents=missing,
        precise_unit_amount=quantize_to(
            CONTEXT.divide(precise, Decimal(minor_units(plan.amount_currency))), PRECISE_PLACES
        ),
        amount_details={},
        pay_in_advance=False,
        from_datetime=reconciled.start,
        to_datetime=reconciled.end,
    )


def _precise(due: Prorated, before: int, here: Sequence[Fee]) -> Decimal:
    precise = CONTEXT.subtract(due.precise_amount_cents, Decimal(before))
    for fee in here:
        precise = CONTEXT.subtract(precise, fee.precise_amount_cents)
    return precise


def _display_name(commitment: MinimumCommitment) -> str:
    return commitment.invoice_display_name or DISPLAY_NAME
