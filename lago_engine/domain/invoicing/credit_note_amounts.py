"""What giving back parts of fees amounts to: coupons, taxes, totals (coupons_wallets_credit_notes.md §10, §11.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.decimals import precise, quantize_to, round_half_up
from lago_engine.domain.invoicing.credit_note import (
    CreditNote,
    CreditNoteAmounts,
    CreditNoteItem,
    CreditNoteTax,
)
from lago_engine.domain.invoicing.ledger import FeeRecord, Ledger
from lago_engine.domain.invoicing.model import AppliedTax

ITEM_PLACES = 5
_HUNDRED = Decimal(100)

Items = Sequence[tuple[UUID, Decimal]]
"""(fee id, amount before coupons and taxes), at most one per fee."""


def creditable(ledger: Ledger, notes: Iterable[CreditNote]) -> dict[UUID, Decimal]:
    """What can still be given back of each fee; voided notes count, they do not give back (§10)."""
    left = {fee.id: Decimal(fee.amount_cents) for fee in ledger.fees}
    for note in notes:
        for item in note.amounts.items:
            left[item.fee_id] -= item.precise_amount_cents
    return left


def note_amounts(
    note_id: UUID, ledger: Ledger, items: Items, earlier: Sequence[CreditNote]
) -> CreditNoteAmounts:
    """The amounts of a note over `items`. earlier: the other notes on the invoice."""
    fees = {fee.id: fee for fee in ledger.fees}
    with precise():
        shares = {fee_id: _coupon_share(fees[fee_id], amount) for fee_id, amount in items}
        given = sum((amount for _, amount in items), Decimal(0))
        adjustment = sum(shares.values(), Decimal(0))
        bases = _tax_bases(fees, items, shares)
        taxes = [(tax, bases[tax.tax_id]) for tax in ledger.taxes if tax.tax_id in bases]
        exact_taxes = sum((base * tax.tax_rate / _HUNDRED for tax, base in taxes), Decimal(0))
        left = creditable(ledger, earlier)
        if all(amount == dict(items).get(fee_id, 0) for fee_id, amount in left.items()):
            # The last note takes what the rounding of the ones before it left over.
            exact_taxes -= sum((_rounding(note) for note in earlier), Decimal(0))
        discounted = given - adjustment
        rate = sum((base / discounted * tax.tax_rate for tax, base in taxes if base), Decimal(0))
        return CreditNoteAmounts(
            items=tuple(_item(note_id, fee_id, amount) for fee_id, amount in items),
            applied_taxes=tuple(_tax(note_id, tax, base) for tax, base in taxes),
            coupons_adjustment_amount_cents=round_half_up(adjustment),
            precise_coupons_adjustment_amount_cents=quantize_to(adjustment, ITEM_PLACES),
            taxes_amount_cents=max(round_half_up(exact_taxes), 0),
            precise_taxes_amount_cents=quantize_to(exact_taxes, 15),
            taxes_rate=quantize_to(rate, 5),
            sub_total_excluding_taxes_amount_cents=round_half_up(discounted),
            precise_total_amount_cents=quantize_to(discounted + exact_taxes, 15),
        )


def expected_total(amounts: CreditNoteAmounts) -> int:
    """What a note over these items gives back in all, with taxes."""
    return round_half_up(amounts.precise_total_amount_cents)


def reconciled(amounts: CreditNoteAmounts, total: int) -> tuple[CreditNoteAmounts, int]:
    """Amounts and total that agree: sub-total + taxes = total (§11.1, §12).

    Taxes give way, so that nobody gets more than was asked for; where they cannot, the total follows.
    """
    sub_total, taxes = amounts.sub_total_excluding_taxes_amount_cents, amounts.taxes_amount_cents
    total = max(min(total, sub_total + taxes), sub_total)
    return msgspec.structs.replace(amounts, taxes_amount_cents=total - sub_total), total


def invoice_creditable(ledger: Ledger, discounts: int, notes: Sequence[CreditNote]) -> Decimal:
    """What can be given back of a whole invoice, with taxes; may be fractional (§10).

    discounts: coupons and progressive-billing credits of the invoice, in minor units.
    """
    left = creditable(ledger, notes)
    fees_amount = sum(fee.amount_cents for fee in ledger.fees)
    total = sum(left.values(), Decimal(0))
    if not fees_amount or not total:
        return Decimal(0)
    with precise():
        adjustment = Decimal(discounts) / fees_amount * total
        taxes = sum(
            (
                (left[fee.id] - adjustment * left[fee.id] / total) * fee.taxes_rate / _HUNDRED
                for fee in ledger.fees
            ),
            Decimal(0),
        )
        return quantize_to(total - adjustment + round_half_up(taxes), ITEM_PLACES)


def _coupon_share(fee: FeeRecord, amount: Decimal) -> Decimal:
    if not fee.amount_cents:
        return Decimal(0)
    return fee.precise_coupons_amount_cents * amount / fee.amount_cents


def _tax_bases(
    fees: Mapping[UUID, FeeRecord], items: Items, shares: Mapping[UUID, Decimal]
) -> dict[UUID, Decimal]:
    bases: dict[UUID, Decimal] = {}
    for fee_id, amount in items:
        for tax_id in fees[fee_id].tax_ids:
            bases[tax_id] = bases.get(tax_id, Decimal(0)) + amount - shares[fee_id]
    return bases


def _rounding(note: CreditNote) -> Decimal:
    return note.amounts.taxes_amount_cents - note.amounts.precise_taxes_amount_cents


def _item(note_id: UUID, fee_id: UUID, amount: Decimal) -> CreditNoteItem:
    return CreditNoteItem(
        id=ids.derive(note_id, "item", fee_id),
        fee_id=fee_id,
        amount_cents=round_half_up(amount),
        precise_amount_cents=quantize_to(amount, ITEM_PLACES),
    )


def _tax(note_id: UUID, tax: AppliedTax, base: Decimal) -> CreditNoteTax:
    return CreditNoteTax(
        id=ids.derive(note_id, "applied_tax", tax.tax_id),
        tax_id=tax.tax_id,
        tax_code=tax.tax_code,
        tax_name=tax.tax_name,
        tax_rate=tax.tax_rate,
        tax_description=tax.tax_description,
        base_amount_cents=round_half_up(base),
        amount_cents=round_half_up(base * tax.tax_rate / _HUNDRED),
    )
