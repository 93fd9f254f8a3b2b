"""Step: taxes of fees and invoices (invoices.md §6.4). Exact sums, one rounding per figure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Tax
from lago_engine.domain.decimals import precise, quantize_to, round_half_up, truncate
from lago_engine.domain.invoicing.model import AppliedTax, Fee
from lago_engine.domain.invoicing.work import UNTAXED, InvoiceInput, InvoiceTaxes, Work

_HUNDRED = Decimal(100)
_NO_TAX = quantize_to(Decimal(0), 15)


def apply_taxes(work: Work, given: InvoiceInput) -> Work:
    """Tax what discounts left of the fees, and the invoice."""
    with precise():
        lines = tuple(replace(line, fee=_taxed(line.fee, line.taxes)) for line in work.lines)
        fees = tuple(line.fee for line in lines)
        taxes = tax_invoice(given.invoice_id, fees, work.sub_total_cents)
    return replace(work, lines=lines, taxes=taxes)


def tax_fee(fee: Fee, taxes: Sequence[Tax]) -> Fee:
    """The fee with its taxes; the taxed amount is what coupons left of it."""
    with precise():
        return _taxed(fee, taxes)


def _taxed(fee: Fee, taxes: Sequence[Tax]) -> Fee:
    if not taxes:
        return replace(fee, precise_taxes_amount_cents=_NO_TAX)
    taxed = fee.amount_cents - fee.precise_coupons_amount_cents
    precise_taxed = fee.precise_amount_cents - fee.precise_coupons_amount_cents
    rate = sum((tax.rate for tax in taxes), Decimal(0))
    return replace(
        fee,
        taxes=tuple(_applied(fee.id, tax, taxed, precise_taxed) for tax in taxes),
        taxes_amount_cents=round_half_up(taxed * rate / _HUNDRED),
        precise_taxes_amount_cents=quantize_to(precise_taxed * rate / _HUNDRED, 15),
        taxes_rate=rate,
    )


def _applied(owner: UUID, tax: Tax, base: Decimal, precise_base: Decimal) -> AppliedTax:
    return AppliedTax(
        id=ids.derive(owner, "applied_tax", tax.id),
        tax_id=tax.id,
        tax_code=tax.code,
        tax_name=tax.name,
        tax_rate=tax.rate,
        tax_description=tax.description,
        amount_cents=round_half_up(base * tax.rate / _HUNDRED),
        precise_amount_cents=quantize_to(precise_base * tax.rate / _HUNDRED, 15),
        fees_amount_cents=int(truncate(base)),
    )


def tax_invoice(
    invoice_id: UUID, fees: Sequence[Fee], sub_total_excluding_taxes: int
) -> InvoiceTaxes:
    """Tax lines of an invoice from its taxed fees, in order of first appearance."""
    if not fees:
        return UNTAXED
    with precise():
        latest, bases, counts = _by_tax(fees)
        lines = tuple(
            _line(invoice_id, tax, bases[tax_id], bases[tax_id] * tax.tax_rate / _HUNDRED)
            for tax_id, tax in latest.items()
        )
        total = sum((bases[tax.tax_id] * tax.tax_rate for tax in lines), Decimal(0)) / _HUNDRED
        rate = Decimal(0)
        for tax in lines:
            if sub_total_excluding_taxes:
                rate += bases[tax.tax_id] / sub_total_excluding_taxes * tax.tax_rate
            else:
                rate += Decimal(counts[tax.tax_id]) / len(fees) * tax.tax_rate
        return InvoiceTaxes(
            lines=lines, amount_cents=round_half_up(total), rate=quantize_to(rate, 5)
        )


def _by_tax(
    fees: Sequence[Fee],
) -> tuple[dict[UUID, AppliedTax], dict[UUID, Decimal], dict[UUID, int]]:
    """By tax: how it reads, the sum it is taken on, and how many fees have it."""
    latest: dict[UUID, AppliedTax] = {}
    bases: dict[UUID, Decimal] = {}
    counts: dict[UUID, int] = {}
    for fee in fees:
        base = fee.amount_cents - fee.precise_coupons_amount_cents
        for tax in fee.taxes:
            latest[tax.tax_id] = tax
            bases[tax.tax_id] = bases.get(tax.tax_id, Decimal(0)) + base
            counts[tax.tax_id] = counts.get(tax.tax_id, 0) + 1
    return latest, bases, counts


def _line(invoice_id: UUID, tax: AppliedTax, base: Decimal, amount: Decimal) -> AppliedTax:
    return replace(
        tax,
        id=ids.derive(invoice_id, "applied_tax", tax.tax_id),
        amount_cents=round_half_up(amount),
        precise_amount_cents=quantize_to(amount, 15),
        fees_amount_cents=int(truncate(base)),
    )
