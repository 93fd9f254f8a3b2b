"""Refunds of credit notes through payment providers, and what comes of them (payments.md §9)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.state import Refund
from lago_engine.domain.invoicing.credit_note import CreditNote, RefundStatus


def request_refund(decision: Decision, note: CreditNote, *, at: datetime) -> None:
    """Ask the provider that collected the invoice to give back the refund part of a note.

    Without such a payment, or after a lost dispute, somebody says how the refund went by hand.
    """
    record = decision.state.invoices[note.invoice_id]
    payment = record.provider_payment
    if not note.refund_amount_cents or record.payment_status != "succeeded":
        return
    if payment is None or record.payment_dispute_lost_at is not None:
        return
    if payment.provider is None or payment.connection_code is None:
        return
    if payment.provider_payment_id is None:
        return
    refund = Refund(
        credit_note_id=note.id,
        payment_id=payment.id,
        provider=payment.provider,
        connection_code=payment.connection_code,
        provider_customer_id=payment.provider_customer_id,
        provider_payment_id=payment.provider_payment_id,
        amount_cents=note.refund_amount_cents,
        amount_currency=note.currency,
        idempotency_key=f"{note.id}:refund:1",
    )
    decision.record(e.RefundRequested(customer=decision.state.profile, refund=refund), at=at)


def record_refund_outcome(
    decision: Decision, credit_note_id: UUID, outcome: PaymentOutcome
) -> None:
    """Fold a provider's answer into the note; a repeated one changes nothing."""
    refund = decision.state.refunds.get(credit_note_id)
    if refund is None:
        return
    note = decision.state.credit_notes[credit_note_id]
    status: RefundStatus = "pending"
    if outcome.payment_status in ("succeeded", "failed"):
        status = "succeeded" if outcome.payment_status == "succeeded" else "failed"
    known_as = outcome.provider_payment_id or refund.provider_refund_id
    if status == "pending" and known_as == refund.provider_refund_id:
        return
    refund = replace(refund, provider_refund_id=known_as)
    changed = replace(refunded(note, status, at=decision.now), updated_at=decision.now)
    decision.record(
        e.RefundStatusChanged(
            customer=decision.state.profile,
            refund=refund,
            credit_note=changed,
            error_code=outcome.error_code,
            error_message=outcome.error_message,
        )
    )


def refunded(note: CreditNote, status: RefundStatus, *, at: datetime) -> CreditNote:
    """The note with the state of its refund; one that succeeded stays so."""
    if note.refund_status == "succeeded":
        return note
    return replace(note, refund_status=status, refunded_at=at if status == "succeeded" else None)
