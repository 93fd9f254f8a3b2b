"""Invoices decided again, from the state and usage that preceded them in the log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.billing import bill_together, finalize_draft, rebuild
from lago_engine.domain.customer.credit_note_limits import fees_of, notes_of
from lago_engine.domain.customer.credits import consumed
from lago_engine.domain.customer.decision import Decision, UsageReader
from lago_engine.domain.customer.one_off import issue
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.invoicing import applied_coupon
from lago_engine.domain.invoicing.add_on_fees import sale_of
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.credit_note_amounts import note_amounts, reconciled
from lago_engine.domain.invoicing.model import Invoice, InvoicingReason

CreditEvent = e.CouponUsed | e.CreditNoteConsumed | e.CreditNoteCreated
CREDIT_EVENTS = (e.CouponUsed, e.CreditNoteConsumed, e.CreditNoteCreated)

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
    if invoice.invoice_type == "one_off":
        sales = tuple(sale_of(fee) for fee in invoice.fees)
        issue(decision, sales, invoice.currency, at=at, collect=False)
    elif invoice.id in state.drafts:
        finalize_draft(decision, state.drafts[invoice.id], at=at)
    else:
        bill_together(
            decision,
            [(state.subscriptions[id_], reason) for id_, reason in _members(invoice)],
            at=invoice.created_at,
        )
    return decision.recorded[0].event


def recompute_credit(event: CreditEvent, state: CustomerState, at: datetime) -> CreditEvent:
    """The fact that today's code makes of a credit that a finalized invoice used, or of what a note gives back."""
    if isinstance(event, e.CouponUsed):
        coupon = state.applied_coupons[event.applied_coupon.id]
        after = applied_coupon.used(coupon, event.credit.amount_cents, at=at)
        return replace(event, applied_coupon=after)
    if isinstance(event, e.CreditNoteCreated):
        return replace(event, credit_note=_amounts_again(event.credit_note, state))
    note = consumed(state.credit_notes[event.credit_note.id], event.amount_cents, at=at)
    return replace(event, credit_note=note)


def _amounts_again(note: CreditNote, state: CustomerState) -> CreditNote:
    """The note with amounts derived anew from its items and the fees of its invoice."""
    record = state.invoices[note.invoice_id]
    items = [(item.fee_id, item.precise_amount_cents) for item in note.amounts.items]
    amounts = note_amounts(note.id, fees_of(record), items, notes_of(state, record))
    amounts, total = reconciled(amounts, note.total_amount_cents)
    return replace(note, amounts=amounts, total_amount_cents=total)


def _members(invoice: Invoice) -> list[tuple[UUID, InvoicingReason]]:
    return [(link.subscription_id, link.invoicing_reason) for link in invoice.links]
