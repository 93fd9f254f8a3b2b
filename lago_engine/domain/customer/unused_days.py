"""Credit notes for the days of a paid-in-advance period that its subscription no longer uses (subscriptions.md §5.3)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.customer.credit_note_limits import Parts, fees_of, notes_of
from lago_engine.domain.customer.credit_notes import next_note_id, record_note
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import due_amount
from lago_engine.domain.customer.settings import plan_of, subject_of, trial_end_of
from lago_engine.domain.customer.state import CustomerState, InvoiceRecord, Subscription
from lago_engine.domain.decimals import precise, round_half_up, truncate
from lago_engine.domain.invoicing.credit_note_amounts import (
    ITEM_PLACES,
    creditable,
    expected_total,
    note_amounts,
)
from lago_engine.domain.invoicing.ledger import FeeRecord
from lago_engine.domain.invoicing.model import Invoice
from lago_engine.domain.periods import PeriodSubject
from lago_engine.domain.proration import days_between, period_length


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """How a billed period splits into days at its end, and what one whole period costs and lasts."""

    used: int
    unused: int
    period: int
    plan_amount_cents: int

    def worth(self, days: int, at_most: int) -> Decimal:
        """What `days` cost, in minor units to five decimals."""
        with precise():
            price = Decimal(self.plan_amount_cents * days) / self.period
            return truncate(min(price, Decimal(at_most)), ITEM_PLACES)


def credit_after_finalization(decision: Decision, invoice: Invoice, *, at: datetime) -> None:
    """Give back the unused days of subscriptions that ended while their invoice was a draft."""
    for fee in invoice.fees:
        if fee.fee_type == "subscription" and fee.subscription_id is not None:
            subscription = decision.state.subscriptions[fee.subscription_id]
            if subscription.status == "terminated":
                credit_unused_days(decision, subscription, at=at)


def credit_unused_days(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """Give back what was paid for the days after an end, the way that the subscription says.

    subscription: terminated; the note is dated `at`. Nothing happens while the invoice is a draft.
    """
    plan = plan_of(subscription, decision.organization)
    way = subscription.on_termination_credit_note or "credit"
    ended_at = subscription.terminated_at
    assert ended_at is not None
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    if not plan.pay_in_advance or way == "skip" or subject.successor == "downgrade":
        return
    found = _paid_period(decision.state, subscription, ended_at)
    if found is None:
        return
    record, fee = found
    days = unused_days(subject, fee, ended_at, trial_end=trial_end_of(subscription, plan))
    ledger, notes = fees_of(record), notes_of(decision.state, record)
    already = fee.amount_cents - creditable(ledger, notes)[fee.id]
    item = days.worth(days.unused, fee.amount_cents) - already
    if item <= 0:
        return
    amounts = note_amounts(next_note_id(decision), ledger, [(fee.id, item)], notes)
    total = expected_total(amounts)
    used_item = days.worth(days.used, fee.amount_cents)
    used = note_amounts(ids.derive(record.id, "used"), ledger, [(fee.id, used_item)], [])
    refund = min(max(round_half_up(_paid_for(record, fee) - expected_total(used)), 0), total)
    parts = _parts(way, total, refund, due=due_amount(record))
    if parts.total > 0:
        record_note(decision, record, amounts, parts, reason="order_cancellation", at=at)


def _paid_period(
    state: CustomerState, subscription: Subscription, at: datetime
) -> tuple[InvoiceRecord, FeeRecord] | None:
    """The invoice and base fee of the period around `at`, if one was billed and stands."""
    for record in reversed(list(state.invoices.values())):
        if record.status != "finalized" or record.invoice_type != "subscription":
            continue
        for fee in fees_of(record).fees:
            own = fee.fee_type == "subscription" and fee.subscription_id == subscription.id
            if own and fee.from_datetime <= at <= fee.to_datetime:
                return record, fee
    return None


def unused_days(
    subject: PeriodSubject, fee: FeeRecord, at: datetime, *, trial_end: datetime | None
) -> Days:
    """The days of the fee's window up to and after `at`; the day of an upgrade belongs to the new plan."""
    assert fee.plan_amount_cents is not None, "base fees say what their plan cost"
    # The customer may live by another zone's days since.
    paid = msgspec.structs.replace(subject, timezone=fee.timezone or subject.timezone)
    last_day = paid.local_date(fee.to_datetime)
    unused = (last_day - subject.local_date(at)).days + (subject.successor == "upgrade")
    if trial_end is not None and trial_end > at:
        unused = max((last_day - subject.local_date(trial_end)).days + 1, 0)
    billed = days_between(fee.from_datetime, fee.to_datetime, paid.tz)
    return Days(
        used=max(billed - unused, 0),
        unused=unused,
        period=period_length(paid, fee.to_datetime),
        plan_amount_cents=fee.plan_amount_cents,
    )


def _paid_for(record: InvoiceRecord, fee: FeeRecord) -> Decimal:
    """The part of what was paid on the invoice that is for the fee with its taxes."""
    invoiced = record.sub_total_including_taxes_amount_cents
    if not invoiced:
        return Decimal(0)
    with precise():
        cost = fee.amount_cents - fee.precise_coupons_amount_cents + fee.taxes_amount_cents
        return record.total_paid_amount_cents * cost / invoiced


def _parts(way: str, total: int, refund: int, *, due: int) -> Parts:
    """credit: all of it; refund: what was paid too much, the rest as credit; offset: the rest off what is due."""
    if way == "credit":
        return Parts(credit=total)
    if way == "refund":
        return Parts(refund=refund, credit=total - refund)
    offset = min(total - refund, max(due, 0))
    return Parts(refund=refund, offset=offset, credit=total - refund - offset)
