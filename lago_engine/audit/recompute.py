"""Invoices and standalone fees decided again, from the state and usage that preceded them in the log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import UnsetType
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.billing import bill_together, finalize_draft, rebuild
from lago_engine.domain.customer.credits import consumed
from lago_engine.domain.customer.decision import Decision, InAdvanceReader, UsageReader
from lago_engine.domain.customer.in_advance import bill_event, waiting
from lago_engine.domain.customer.regrouping import regroup
from lago_engine.domain.customer.renewals import bill_renewals
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.invoicing import applied_coupon
from lago_engine.domain.invoicing.model import Fee, Invoice, InvoicingReason

CreditEvent = e.CouponUsed | e.CreditNoteConsumed
CREDIT_EVENTS = (e.CouponUsed, e.CreditNoteConsumed)

InvoiceEvent = e.InvoiceDrafted | e.InvoiceRefreshed | e.InvoiceFinalized | e.InvoiceClosed
BillingEvent = InvoiceEvent | e.FeeCreated
INVOICE_EVENTS = (e.InvoiceDrafted, e.InvoiceRefreshed, e.InvoiceFinalized, e.InvoiceClosed)
BILLING_EVENTS = (*INVOICE_EVENTS, e.FeeCreated)


def recompute(
    event: BillingEvent,
    state: CustomerState,
    organization: OrganizationState,
    usage: UsageReader,
    in_advance: InAdvanceReader,
) -> e.DomainEvent | None:
    """The fact that today's code decides where `event` was recorded.

    state, organization and usage: as they were right before the event. None: nothing would be recorded today.
    """
    at = event.fee.created_at if isinstance(event, e.FeeCreated) else event.invoice.updated_at
    decision = Decision(state, organization, now=at, usage=usage, in_advance=in_advance)
    billed = _event_subscription(event)
    if billed is not None:
        for pending in waiting(decision, billed, limit=1):
            bill_event(decision, pending, at=at)
    elif isinstance(event, e.FeeCreated):
        return _renewal(decision, event)
    else:
        _invoice(decision, event, at=at)
    return decision.recorded[0].event if decision.recorded else None


def _invoice(decision: Decision, event: InvoiceEvent, *, at: datetime) -> None:
    invoice, state = event.invoice, decision.state
    if isinstance(event, e.InvoiceRefreshed):
        rebuilt = rebuild(decision, state.drafts[invoice.id], at=at)
        decision.record(e.InvoiceRefreshed(invoice=rebuilt))
    elif invoice.invoice_type == "advance_charges":
        regroup(decision, [state.regrouping[fee.id] for fee in invoice.fees], at=at)
    elif invoice.id in state.drafts:
        finalize_draft(decision, state.drafts[invoice.id], at=at)
    else:
        bill_together(
            decision,
            [(state.subscriptions[id_], reason) for id_, reason in _members(invoice)],
            at=invoice.created_at,
        )


def _event_subscription(event: BillingEvent) -> UUID | None:
    """The subscription whose usage event was billed, if it was one."""
    if isinstance(event, e.FeeCreated):
        fees: tuple[Fee, ...] = (event.fee.fee,)
    elif event.invoice.invoice_type == "advance_charges":
        fees = ()
    else:
        fees = event.invoice.fees
    found = (fee.subscription_id for fee in fees if not isinstance(fee.billed_event, UnsetType))
    return next(found, None)


def _renewal(decision: Decision, event: e.FeeCreated) -> e.DomainEvent | None:
    """One of the fees that a subscription's renewal gave."""
    fee = event.fee.fee
    assert fee.subscription_id is not None
    subscription = decision.state.subscriptions[fee.subscription_id]
    bill_renewals(decision, subscription, at=event.fee.created_at)
    created = (each.event for each in decision.recorded if isinstance(each.event, e.FeeCreated))
    return next((each for each in created if each.fee.fee.id == fee.id), None)


def recompute_credit(event: CreditEvent, state: CustomerState, at: datetime) -> CreditEvent:
    """The fact that today's code makes of a credit that a finalized invoice used."""
    if isinstance(event, e.CouponUsed):
        coupon = state.applied_coupons[event.applied_coupon.id]
        after = applied_coupon.used(coupon, event.credit.amount_cents, at=at)
        return replace(event, applied_coupon=after)
    note = consumed(state.credit_notes[event.credit_note.id], event.amount_cents, at=at)
    return replace(event, credit_note=note)


def _members(invoice: Invoice) -> list[tuple[UUID, InvoicingReason]]:
    return [(link.subscription_id, link.invoicing_reason) for link in invoice.links]
