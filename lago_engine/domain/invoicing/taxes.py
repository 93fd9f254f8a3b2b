"""Taxes of fees and invoices (invoices.md §6.4): exact sums, one rounding per figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Tax
from lago_engine.domain.decimals import precise, quantize_to, round_half_up, truncate
from lago_engine.domain.invoicing.model import AppliedTax, Fee

_HUNDRED = Decimal(100)


def tax_fee(fee: Fee, taxes: Sequence[Tax]) -> Fee:
    """The fee with its taxes; the taxed amount is what coupons left of it."""
    with precise():
        taxed = fee.amount_cents - fee.precise_coupons_amount_cents
        precise_taxed = fee.precise_amount_cents - fee.precise_coupons_amount_cents
        rate = sum((tax.rate for tax in taxes), Decimal(0))
        applied = tuple(_applied(fee.id, tax, taxed, precise_taxed) for tax in taxes)
        return msgspec.structs.replace(
            fee,
            taxes=applied,
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


class InvoiceTaxes(msgspec.Struct, frozen=True, kw_only=True):
    """Tax lines by tax, their total (rounded once) and the effective rate in percent."""

    lines: tuple[AppliedTax, ...]
    amount_cents: int
    rate: Decimal


def tax_invoice(
    invoice_id: UUID, fees: Sequence[Fee], sub_total_excluding_taxes: int
) -> InvoiceTaxes:
    """Tax lines of an invoice from its taxed fees."""
    with precise():
        bases = {tax.tax_id: _base(fees, tax.tax_id) for tax in _distinct(fees)}
        lines = tuple(
            msgspec.structs.replace(
                tax,
                id=ids.derive(invoice_id, "applied_tax", tax.tax_id),
                amount_cents=round_half_up(bases[tax.tax_id] * tax.tax_rate / _HUNDRED),
                precise_amount_cents=quantize_to(bases[tax.tax_id] * tax.tax_rate / _HUNDRED, 15),
                fees_amount_cents=int(truncate(bases[tax.tax_id])),
            )
            for tax in _distinct(fees)
        )
        total = sum((bases[tax.tax_id] * tax.tax_rate for tax in lines), Decimal(0)) / _HUNDRED
        return InvoiceTaxes(
            lines=lines,
            amount_cents=round_half_up(total),
            rate=_effective_rate(fees, lines, bases, sub_total_excluding_taxes),
        )


def _distinct(fees: Iterable[Fee]) -> list[AppliedTax]:
    return list({tax.tax_id: tax for fee in fees for tax in fee.taxes}.values())


def _base(fees: Iterable[Fee], tax_id: UUID) -> Decimal:
    return sum(
        (
            fee.amount_cents - fee.precise_coupons_amount_cents
            for fee in fees
            if any(tax.tax_id == tax_id for tax in fee.taxes)
        ),
        Decimal(0),
    )


def _effective_rate(
    fees: Sequence[Fee],
    lines: Sequence[AppliedTax],
    bases: dict[UUID, Decimal],
    sub_total: int,
) -> Decimal:
    """Σ of each rate weighted by its share of the subtotal; by its share of fees when that is 0."""
    if not fees:
        return Decimal(0)
    rate = Decimal(0)
    for tax in lines:
        if sub_total:
            rate += bases[tax.tax_id] / sub_total * tax.tax_rate
        else:
            taxed = sum(any(t.tax_id == tax.tax_id for t in fee.taxes) for fee in fees)
            rate += Decimal(taxed) / len(fees) * tax.tax_rate
    return quantize_to(rate, 5)
