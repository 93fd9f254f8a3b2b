"""Voiding an invoice: what it used comes back, and credit notes for what was paid (invoices.md §11)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.credit_note_limits import (
    Parts,
    fees_of,
    max_creditable,
    max_refundable,
    notes_of,
)
from lago_engine.domain.customer.credit_notes import (
    next_note_id,
    record_note,
    record_void,
    spread,
)
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import cancel_payments
from lago_engine.domain.customer.state import InvoiceRecord
from lago_engine.domain.customer.wallet_ledger import give_back_credits
from lago_engine.domain.decimals import precise
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon, given_back
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.credit_note_amounts import (
    creditable,
    expected_total,
    note_amounts,
)
from lago_engine.domain.invoicing.model import Credit
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotAllowed, NotFound, ValidationFailed


def void_invoice(decision: Decision, invoice_id: UUID, given: Mapping[str, Any]) -> None:
    """Only finalized invoices can be voided, paid ones too."""
    if invoice_id in decision.state.drafts:
        raise NotAllowed("not_voidable")
    record = decision.state.invoices.get(invoice_id)
    if record is None:
        raise NotFound("invoice")
    check = Checker(given)
    with_note = check.boolean("generate_credit_note") is True
    parts = Parts(
        credit=check.integer("credit_amount", at_least=0) or 0,
        refund=check.integer("refund_amount", at_least=0) or 0,
    )
    check.raise_failures()
    if with_note:
        _check_amounts(decision, record, parts)
    if record.status != "finalized":
        raise NotAllowed("not_voidable")
    if with_note:
        _credit(decision, record, parts)
    decision.record(e.InvoiceVoided(invoice_id=record.id, voided_at=decision.now))
    for credit in record.credits:
        _give_back(decision, record, credit)
    if not with_note:
        give_back_credits(decision, record)
    cancel_payments(decision, record.id)


def _check_amounts(decision: Decision, record: InvoiceRecord, parts: Parts) -> None:
    left = max_creditable(decision.state, record)
    refundable = max_refundable(decision.state, record)
    if parts.total > left or parts.refund > refundable:
        raise ValidationFailed.of("credit_refund_amount", "total_amount_exceeds_invoice_amount")


def _credit(decision: Decision, record: InvoiceRecord, parts: Parts) -> None:
    """A note for what was asked for, over all fees in proportion, and a voided one for the rest."""
    if parts.total:
        with precise():
            share = Decimal(parts.total) / max_creditable(decision.state, record)
        _note(decision, record, share, parts)
    if max_creditable(decision.state, record) >= 1:
        rest = _note(decision, record, Decimal(1), None)
        record_void(decision, rest, at=decision.now)


def _note(
    decision: Decision, record: InvoiceRecord, share: Decimal, parts: Parts | None
) -> CreditNote:
    """A note over `share` of what is left of each fee. parts: None gives all of it as credit."""
    ledger, notes = fees_of(record), notes_of(decision.state, record)
    items = spread(creditable(ledger, notes), share)
    amounts = note_amounts(next_note_id(decision), ledger, items, notes)
    given = parts or Parts(credit=expected_total(amounts))
    return record_note(decision, record, amounts, given, reason="other", at=decision.now)


def _give_back(decision: Decision, record: InvoiceRecord, credit: Credit) -> None:
    """A coupon may be used again, a credit note has its balance back."""
    state, now, amount = decision.state, decision.now, credit.amount_cents
    if credit.applied_coupon_id is not None:
        applied = state.applied_coupons[credit.applied_coupon_id]
        back = coupon_back(applied, amount, decision.organization, at=now)
        decision.record(
            e.CouponGivenBack(applied_coupon=back, invoice_id=record.id, amount_cents=amount)
        )
        return
    note = state.credit_notes[credit.item_id]
    if note.credit_status != "voided":
        restored = note_back(note, amount, at=now)
        decision.record(
            e.CreditNoteRestored(credit_note=restored, invoice_id=record.id, amount_cents=amount)
        )


def coupon_back(
    applied: AppliedCoupon, amount_cents: int, organization: OrganizationState, *, at: datetime
) -> AppliedCoupon:
    """A coupon of a customer after an invoice that used it was voided; it works again if its coupon still does."""
    coupon = organization.coupons_by_id[applied.coupon_id]
    is_over = coupon.deleted_at is not None or coupon.terminated_at(at) is not None
    return given_back(applied, amount_cents, may_revive=not is_over)


def note_back(note: CreditNote, amount_cents: int, *, at: datetime) -> CreditNote:
    """A credit note after an invoice that it had paid was voided."""
    balance = note.balance_amount_cents + amount_cents
    return replace(note, balance_amount_cents=balance, credit_status="available", updated_at=at)
