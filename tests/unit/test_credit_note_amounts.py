"""What a credit note over parts of fees amounts to (coupons_wallets_credit_notes.md §10, §11.1)."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from invoice_kit import (
    CITY,
    EXAMPLE,
    K1,
    K2,
    OWNER,
    VAT,
    built,
    coupon,
    line,
    note,
    tax,
)

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Tax
from lago_engine.domain.invoicing.credit_note import CreditNote, CreditNoteAmounts
from lago_engine.domain.invoicing.credit_note_amounts import (
    creditable,
    expected_total,
    invoice_creditable,
    note_amounts,
    reconciled,
)
from lago_engine.domain.invoicing.ledger import Ledger, packed, unpacked
from lago_engine.domain.invoicing.model import Invoice

NOTE = ids.derive(OWNER, "this note")


def ledger_of(invoice: Invoice) -> Ledger:
    return unpacked(packed(invoice))


def noted(amounts: CreditNoteAmounts, number: int) -> CreditNote:
    """A note over these amounts that was credited whole."""
    amounts, total = reconciled(amounts, expected_total(amounts))
    return note(number, total, amounts=amounts)


def test_the_example_of_the_specification() -> None:
    """§11.1 on the invoice of invoices.md §6.7: 5 000 of F1 and 617 of F3."""
    invoice = built(EXAMPLE, coupons=[K1, K2])
    ledger = ledger_of(invoice)
    first, _, third = (fee.id for fee in invoice.fees)
    amounts = note_amounts(NOTE, ledger, [(first, Decimal(5_000)), (third, Decimal(617))], [])
    assert amounts.coupons_adjustment_amount_cents == 789
    assert amounts.precise_coupons_adjustment_amount_cents == Decimal("789.23704")
    assert [(t.tax_code, t.base_amount_cents, t.amount_cents) for t in amounts.applied_taxes] == [
        ("VAT", 4_828, 966),
        ("CITY", 530, 29),
    ]
    assert round(amounts.precise_taxes_amount_cents, 5) == Decimal("994.71943")
    assert amounts.taxes_amount_cents == 995
    assert amounts.sub_total_excluding_taxes_amount_cents == 4_828
    assert amounts.taxes_rate == Decimal("20.60415")
    assert expected_total(amounts) == 5_822
    # One rule for estimates and notes: taxes give way.
    agreed, total = reconciled(amounts, 5_822)
    assert (agreed.taxes_amount_cents, total) == (994, 5_822)
    agreed, total = reconciled(amounts, 5_824)
    assert (agreed.taxes_amount_cents, total) == (995, 5_823)


def test_the_last_note_takes_what_rounding_left() -> None:
    """§11.1: three fees of 33 at 10 %, an invoice tax of 10."""
    invoice = built([line(number, 33, tax("TEN", "10")) for number in range(3)])
    notes: list[CreditNote] = []
    for number, fee in enumerate(invoice.fees):
        amounts = note_amounts(NOTE, ledger_of(invoice), [(fee.id, Decimal(33))], notes)
        notes.append(noted(amounts, number))
    assert [each.amounts.taxes_amount_cents for each in notes] == [3, 3, 4]
    assert notes[-1].amounts.precise_taxes_amount_cents == Decimal("3.9")
    assert invoice_creditable(ledger_of(invoice), 0, notes) == 0


def test_what_is_left_of_an_invoice() -> None:
    invoice = built(EXAMPLE, coupons=[K1, K2])
    ledger = ledger_of(invoice)
    # All of it: 12 234 after coupons, and taxes on each fee's share of the coupons.
    whole = invoice_creditable(ledger, 2_333, [])
    assert 12_234 < whole < 14_740
    assert creditable(ledger, [])[invoice.fees[0].id] == 10_000


AMOUNTS = st.lists(st.integers(1, 10**6), min_size=1, max_size=5)


@given(
    amounts=AMOUNTS,
    percent=st.decimals(0, 100, places=2),
    rates=st.lists(st.sampled_from([VAT, CITY]), unique=True),
    cuts=st.lists(st.decimals(0, 1, places=3), min_size=1, max_size=4),
)
def test_notes_never_give_back_more_than_was_billed(
    amounts: list[int], percent: Decimal, rates: list[Tax], cuts: list[Decimal]
) -> None:
    fees = [line(number, amount, *rates) for number, amount in enumerate(amounts)]
    invoice = built(fees, coupons=[coupon("p", percentage_rate=percent)])
    ledger, notes = ledger_of(invoice), list[CreditNote]()
    for number, cut in enumerate([*cuts, Decimal(1)]):
        left: dict[UUID, Decimal] = creditable(ledger, notes)
        items = [(fee_id, round(amount * cut, 5)) for fee_id, amount in left.items()]
        notes.append(noted(note_amounts(NOTE, ledger, items, notes), number))
    assert all(amount == 0 for amount in creditable(ledger, notes).values())
    given_back = sum(each.total_amount_cents for each in notes)
    # Each note is rounded to whole minor units once for its sub-total and once for its taxes.
    assert abs(given_back - invoice.total_amount_cents) <= len(notes) + 1
