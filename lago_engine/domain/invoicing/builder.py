"""The one invoice builder: fees through the steps of their kind → a whole invoice.

Pure; serves drafts, finalization, previews and audit alike (architecture: one builder, one way to compute an amount).
Order of steps and roundings: invoices.md §5, §6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import UNSET

from lago_engine.domain.customer.decision import UsageReader
from lago_engine.domain.invoicing.coupons import apply_coupons
from lago_engine.domain.invoicing.kinds import STEPS, TYPES, Step
from lago_engine.domain.invoicing.model import Invoice
from lago_engine.domain.invoicing.numbering import draft_number
from lago_engine.domain.invoicing.prepaid import apply_prepaid_credits
from lago_engine.domain.invoicing.settlements import apply_credit_notes
from lago_engine.domain.invoicing.subscription_fees import subscription_lines
from lago_engine.domain.invoicing.taxes import apply_taxes
from lago_engine.domain.invoicing.work import InvoiceInput, Line, Work

_APPLY: Final[Mapping[Step, Callable[[Work, InvoiceInput], Work]]] = {
    "coupons": apply_coupons,
    "taxes": apply_taxes,
    "credit_notes": apply_credit_notes,
    "prepaid_credits": apply_prepaid_credits,
}


def build_invoice(given: InvoiceInput, usage: UsageReader, *, now: datetime) -> Invoice:
    """The invoice of what the given subscriptions owe; finalizing adds number and dates."""
    return assemble(given, subscription_lines(given, usage), now=now)


def assemble(given: InvoiceInput, lines: Iterable[Line], *, now: datetime) -> Invoice:
    """The invoice over these fees, with credits, taxes and totals, in status draft."""
    work = Work(tuple(lines))
    for step in STEPS[given.kind]:
        work = _APPLY[step](work, given)
    sub_total, total = work.sub_total_cents, work.total_cents
    assert sub_total >= 0
    assert total >= 0
    return Invoice(
        id=given.invoice_id,
        customer_id=given.profile.id,
        customer=given.profile,
        billing_entity_code=given.profile.billing_entity_code,
        status="draft",
        payment_status="succeeded" if total == 0 else "pending",
        currency=given.currency,
        number=draft_number(given.organization),
        sequential_id=None,
        entity_sequential_id=None,
        issuing_date=given.dates.issuing_date,
        expected_finalization_date=given.dates.expected_finalization_date,
        payment_due_date=given.dates.payment_due_date,
        net_payment_term=given.dates.net_payment_term,
        created_at=given.created_at,
        updated_at=now,
        links=tuple(link for _, _, link in given.items),
        fees=tuple(line.fee for line in work.lines),
        applied_taxes=work.taxes.lines,
        fees_amount_cents=work.fees_amount_cents,
        sub_total_excluding_taxes_amount_cents=sub_total,
        taxes_amount_cents=work.taxes.amount_cents,
        taxes_rate=work.taxes.rate,
        sub_total_including_taxes_amount_cents=sub_total + work.taxes.amount_cents,
        total_amount_cents=total,
        invoice_type=TYPES[given.kind],
        credits=work.credits or UNSET,
        prepaid=work.prepaid or UNSET,
    )
