"""Step: credit notes. Open ones pay what they can of the total, oldest first (invoices.md §6.5)."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.decimals import precise, quantize_to
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.model import Credit, Fee
from lago_engine.domain.invoicing.work import InvoiceInput, Line, Work

SHARE_PLACES = 5


def apply_credit_notes(work: Work, given: InvoiceInput) -> Work:
    """Consume the balances of the customer's credit notes in this currency."""
    with precise():
        for note in given.credit_notes:
            if work.total_cents <= 0:
                break
            if note.currency == given.currency and note.invoice_id != given.invoice_id:
                work = _consume(work, given, note)
    return work


def _consume(work: Work, given: InvoiceInput, note: CreditNote) -> Work:
    total = work.total_cents
    amount = min(note.balance_amount_cents, total)
    assert amount > 0
    credit = Credit(
        id=ids.derive(given.invoice_id, "credit", note.id),
        item_type="credit_note",
        item_id=note.id,
        item_code=note.number,
        item_name=note.invoice_number,
        amount_cents=amount,
    )
    lines = tuple(_paid(line, amount, total) for line in work.lines)
    return replace(work, lines=lines, credits=(*work.credits, credit))


def _paid(line: Line, amount: int, total: int) -> Line:
    """The fee with its share of the note, up to what it costs with its taxes."""
    fee = line.fee
    cost = fee.amount_cents - fee.precise_coupons_amount_cents + fee.taxes_amount_cents
    before = noted(fee)
    share = quantize_to(before + amount * (cost - before) / total, SHARE_PLACES)
    after = min(cost, share)
    return replace(line, fee=replace(fee, precise_credit_notes_amount_cents=after or UNSET))


def noted(fee: Fee) -> Decimal:
    """What credit notes paid of a fee."""
    amount = fee.precise_credit_notes_amount_cents
    return Decimal(0) if isinstance(amount, UnsetType) else amount
