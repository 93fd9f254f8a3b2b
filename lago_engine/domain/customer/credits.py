"""What a customer has against invoices: which credits an invoice may use, and what using or voiding it changes."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.wallet_ledger import debit, funded_wallets
from lago_engine.domain.invoicing import applied_coupon
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.kinds import STEPS
from lago_engine.domain.invoicing.model import Credit, Invoice
from lago_engine.domain.invoicing.work import InvoiceInput


def with_credits(decision: Decision, given: InvoiceInput) -> InvoiceInput:
    """The input with the coupons and credit notes that an invoice of its kind may use."""
    steps, state = STEPS[given.kind], decision.state
    if "coupons" in steps and state.applied_coupons:
        catalog = decision.organization.coupons_by_id
        coupons = tuple(
            (applied, catalog[applied.coupon_id])
            for applied in state.applied_coupons.values()
            if applied.status == "active" and catalog[applied.coupon_id].deleted_at is None
        )
        given = replace(given, coupons=coupons)
    if "credit_notes" in steps and state.credit_notes:
        given = replace(given, credit_notes=tuple(filter(_is_open, state.credit_notes.values())))
    if "prepaid_credits" in steps and state.wallets:
        given = replace(given, wallets=funded_wallets(state, given.currency))
    return given


def _is_open(note: CreditNote) -> bool:
    is_available = note.status == "finalized" and note.credit_status == "available"
    return is_available and note.balance_amount_cents > 0


def use_credits(decision: Decision, invoice: Invoice, *, at: datetime) -> None:
    """The invoice was finalized: its coupons and credit notes have that much less."""
    for credit in invoice.credits or ():
        decision.record(used(decision, credit, invoice, at=at), at=at)
    for paid in invoice.prepaid or ():
        fact = debit(decision.state, paid.wallet_id, paid.amount_cents, invoice.id, at=at)
        decision.record(fact, at=at)


def used(
    decision: Decision, credit: Credit, invoice: Invoice, *, at: datetime
) -> e.CouponUsed | e.CreditNoteConsumed:
    """The fact that one credit of a finalized invoice makes true."""
    taken = credit.amount_cents
    if credit.applied_coupon_id is not None:
        coupon = decision.state.applied_coupons[credit.applied_coupon_id]
        after = applied_coupon.used(coupon, taken, at=at)
        return e.CouponUsed(
            applied_coupon=after, invoice_id=invoice.id, credit=credit, currency=invoice.currency
        )
    note = consumed(decision.state.credit_notes[credit.item_id], taken, at=at)
    return e.CreditNoteConsumed(credit_note=note, invoice_id=invoice.id, amount_cents=taken)


def consumed(note: CreditNote, amount_cents: int, *, at: datetime) -> CreditNote:
    """The note after it paid `amount_cents` of an invoice."""
    balance = note.balance_amount_cents - amount_cents
    assert balance >= 0
    return replace(
        note,
        balance_amount_cents=balance,
        credit_status="available" if balance else "consumed",
        updated_at=at,
    )
