"""How much a credit note may give back, and the refusals of one that asks for more (§10, §11 of
coupons_wallets_credit_notes.md)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from lago_engine.domain.customer.payments import due_amount
from lago_engine.domain.customer.state import CustomerState, InvoiceRecord
from lago_engine.domain.decimals import precise, round_half_up
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.credit_note_amounts import invoice_creditable
from lago_engine.domain.invoicing.ledger import Ledger, unpacked
from lago_engine.domain.validation import Checker

HIGHER = "higher_than_remaining_invoice_amount"
TOLERANCE = 1
"""Minor units by which totals may miss what the items amount to."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """How a note gives back its total, with taxes, in minor units."""

    credit: int = 0
    refund: int = 0
    offset: int = 0

    @property
    def total(self) -> int:
        return self.credit + self.refund + self.offset

    def changed_to(self, total: int) -> Parts:
        """The same with another total: the first part that is not 0 takes the difference."""
        difference = total - self.total
        if self.credit:
            return msgspec.structs.replace(self, credit=self.credit + difference)
        if self.refund:
            return msgspec.structs.replace(self, refund=self.refund + difference)
        return msgspec.structs.replace(self, offset=self.offset + difference)


def fees_of(record: InvoiceRecord) -> Ledger:
    """What was billed on a finalized invoice."""
    return unpacked(record.ledger)


def notes_of(state: CustomerState, record: InvoiceRecord) -> Sequence[CreditNote]:
    """The notes on an invoice, oldest first; voided ones too."""
    return [note for note in state.credit_notes.values() if note.invoice_id == record.id]


def max_creditable(state: CustomerState, record: InvoiceRecord) -> Decimal:
    """What can be given back of the invoice, with taxes; may be fractional."""
    return invoice_creditable(fees_of(record), record.discounts_cents, notes_of(state, record))


def max_refundable(state: CustomerState, record: InvoiceRecord) -> Decimal:
    """What can be paid back: never more than was paid."""
    if not _is_refundable(record):
        return Decimal(0)
    refunds = sum(note.refund_amount_cents for note in notes_of(state, record))
    paid = Decimal(record.total_paid_amount_cents - refunds)
    return max(Decimal(0), min(paid, max_creditable(state, record)))


def max_offsettable(state: CustomerState, record: InvoiceRecord) -> Decimal:
    """What can be taken off what is due."""
    return max(Decimal(0), min(Decimal(due_amount(record)), max_creditable(state, record)))


def _is_refundable(record: InvoiceRecord) -> bool:
    """Something was paid, and a whole payment is through."""
    paid = record.total_paid_amount_cents
    return paid > 0 and (paid != record.total_amount_cents or record.payment_status == "succeeded")


def check_note(
    check: Checker, state: CustomerState, record: InvoiceRecord, parts: Parts, expected: int
) -> None:
    """Record why these parts cannot be given back. expected: what the items amount to."""
    others = notes_of(state, record)
    refunds = sum(note.refund_amount_cents for note in others)
    credits = sum(note.credit_amount_cents for note in others)
    offsets = sum(note.offset_amount_cents for note in others)
    billed = _billed(fees_of(record))
    if parts.refund and not _is_refundable(record):
        check.fail("refund_amount_cents", "cannot_refund_unpaid_invoice")
    elif parts.refund > record.total_paid_amount_cents - refunds:
        check.fail("refund_amount_cents", HIGHER)
    if abs(parts.total - expected) > TOLERANCE:
        check.fail("base", "does_not_match_item_amounts")
    if parts.credit > billed - credits - offsets + TOLERANCE:
        check.fail("credit_amount_cents", HIGHER)
    if parts.offset > min(due_amount(record), billed - credits - offsets + TOLERANCE):
        check.fail("offset_amount_cents", HIGHER)
    if parts.total > billed - credits - offsets - refunds + TOLERANCE:
        check.fail("base", HIGHER)
    if parts.total <= 0:
        check.fail("base", "total_amount_must_be_positive")


def _billed(ledger: Ledger) -> int:
    """All fees with their taxes, before any discount."""
    with precise():
        taxes = sum((fee.amount_cents * fee.taxes_rate / 100 for fee in ledger.fees), Decimal(0))
        return sum(fee.amount_cents for fee in ledger.fees) + round_half_up(taxes)
