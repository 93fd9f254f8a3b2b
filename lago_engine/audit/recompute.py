"""Invoices decided again, from the state and usage that preceded them in the log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.billing import bill_together, finalize_draft, rebuild
from lago_engine.domain.customer.credits import consumed
from lago_engine.domain.customer.decision import Decision, UsageReader
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.invoicing import applied_coupon
from lago_engine.domain.invoicing.model import Invoice, InvoicingReason

CreditEvent = e.CouponUsed | e.CreditNoteConsumed
CREDIT_EVENTS = (e.CouponUsed, e.CreditNoteConsumed)

InvoiceEvent = e.InvoiceDrafted | e.InvoiceRefreshed | e.InvoiceFinalized | e.InvoiceClosed
INVOICE_EVENTS = (e.InvoiceDrafted, e.InvoiceRefreshed, e.InvoiceFinalized, e.InvoiceClosed)


def recompute(
    event: InvoiceEvent,
    state: CustomerState,
    organization: OrganizationState,
    usage: UsageReader,
) -> e.DomainEvent:
    """The fact that today's code decides where `event` was recorded.

    state, organization and usage: as they were right before the event.
    """
    invoice = event.invoice
    at = invoice.updated_at
    decision = Decision(state, organization, now=at, usage=usage)
    if isinstance(event, e.InvoiceRefreshed):
        rebuilt = rebuild(decision, state.drafts[invoice.id], at=at)
        return e.InvoiceRefreshed(invoice=rebuilt)
    if invoice.id in state.drafts:
        finalize_draft(decision, state.drafts[invoice.id], at=at)
    else:
        bill_together(
            decision,
            [(state.subscriptions[id_], reason) for id_, reason in _members(invoice)],
            at=invoice.created_at,
        )
    return decision.recorded[0].event


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
