"""The rows under the fees, from their sum to the amount due, and the proof that they add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lago_engine.documents.formats import Formats
from lago_engine.documents.labels import Labels
from lago_engine.documents.model import DocumentError, Total

Wire = Mapping[str, Any]


def check_sums(invoice: Wire) -> None:
    """Refuse an invoice whose printed rows would not add up; the definitions are invoices §2.

    Tax rows are left out: each is rounded on its own and the total once (invoices §6.4).
    Raises DocumentError naming the first sum that disagrees.
    """
    before = sum(credit["amount_cents"] for credit in _credits(invoice, before_taxes=True))
    after = sum(credit["amount_cents"] for credit in _credits(invoice, before_taxes=False))
    excluding = invoice["fees_amount_cents"] - before
    including = invoice["sub_total_excluding_taxes_amount_cents"] + invoice["taxes_amount_cents"]
    total = (
        invoice["sub_total_including_taxes_amount_cents"]
        - after
        - invoice["prepaid_credit_amount_cents"]
    )
    for name, expected in (
        ("fees_amount_cents", sum(fee["amount_cents"] for fee in invoice["fees"])),
        ("sub_total_excluding_taxes_amount_cents", excluding),
        ("sub_total_including_taxes_amount_cents", including),
        ("total_amount_cents", total),
    ):
        if invoice[name] != expected:
            raise DocumentError(
                f"invoice {invoice['number']}: {name} is {invoice[name]}, its parts give {expected}"
            )


def total_rows(invoice: Wire, labels: Labels, formats: Formats) -> tuple[Total, ...]:
    """Deductions before tax, tax, deductions after tax, payments; rows of nothing are left out."""
    return (
        *_before_tax(invoice, labels, formats),
        *_tax(invoice, labels, formats),
        *_after_tax(invoice, labels, formats),
        *_settled(invoice, labels, formats),
    )


def _before_tax(invoice: Wire, labels: Labels, formats: Formats) -> Iterable[Total]:
    deductions = _credits(invoice, before_taxes=True)
    if deductions:
        yield Total(label=labels.fees, amount=formats.amount(invoice["fees_amount_cents"]))
    for credit in deductions:
        label = labels.coupon if credit["item"]["type"] == "coupon" else labels.progressive_credit
        yield Total(
            label=label.format(name=credit["item"]["name"]),
            amount=formats.amount(-credit["amount_cents"]),
        )
    subtotal = invoice["sub_total_excluding_taxes_amount_cents"]
    yield Total(label=labels.subtotal_excluding_tax, amount=formats.amount(subtotal), strong=True)


def _tax(invoice: Wire, labels: Labels, formats: Formats) -> Iterable[Total]:
    taxes = invoice["applied_taxes"]
    for tax in taxes:
        label = labels.tax_on.format(
            name=tax["tax_name"],
            rate=formats.rate(tax["tax_rate"]),
            base=formats.amount(tax["fees_amount_cents"]),
        )
        yield Total(label=label, amount=formats.amount(tax["amount_cents"]))
    total = invoice["taxes_amount_cents"]
    if len(taxes) != 1 or taxes[0]["amount_cents"] != total:
        yield Total(label=labels.tax_total, amount=formats.amount(total))


def _after_tax(invoice: Wire, labels: Labels, formats: Formats) -> Iterable[Total]:
    notes = _credits(invoice, before_taxes=False)
    prepaid = invoice["prepaid_credit_amount_cents"]
    if notes or prepaid:
        including = invoice["sub_total_including_taxes_amount_cents"]
        yield Total(
            label=labels.subtotal_including_tax, amount=formats.amount(including), strong=True
        )
    for credit in notes:
        yield Total(
            label=labels.credit_note.format(name=credit["item"]["code"]),
            amount=formats.amount(-credit["amount_cents"]),
        )
    if prepaid:
        yield Total(label=labels.prepaid_credits, amount=formats.amount(-prepaid))
    yield Total(
        label=labels.total, amount=formats.amount(invoice["total_amount_cents"]), strong=True
    )


def _settled(invoice: Wire, labels: Labels, formats: Formats) -> Iterable[Total]:
    rows = (
        (labels.paid, invoice["total_paid_amount_cents"]),
        (labels.offset, invoice["total_offsetted_credit_note_amount_cents"]),
    )
    return (Total(label=label, amount=formats.amount(-cents)) for label, cents in rows if cents)


def _credits(invoice: Wire, *, before_taxes: bool) -> list[Wire]:
    return [credit for credit in invoice["credits"] if credit["before_taxes"] is before_taxes]
