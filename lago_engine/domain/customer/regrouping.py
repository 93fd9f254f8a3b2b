"""Paid fees that stood alone find their invoice at the end of a period (charges.md §9.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.billing import finalize, hash_of, local_today, next_invoice_id
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.settings import issuing_settings
from lago_engine.domain.customer.state import Payment
from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.model import AppliedTax, Fee, Invoice, StandaloneFee
from lago_engine.domain.invoicing.taxes import tax_invoice
from lago_engine.domain.invoicing.work import InvoiceInput, Line


def regroup_paid_fees(
    decision: Decision, external_ids: Collection[str], *, at: datetime, renewal: bool
) -> None:
    """One invoice per currency and purchase order over the fees that were paid by `at`.

    external_ids: of the subscriptions billed. renewal: only fees of periods that are over; at an end all of them.
    """

    def ready(standalone: StandaloneFee) -> bool:
        paid_at, fee = standalone.succeeded_at, standalone.fee
        if standalone.payment_status != "succeeded" or paid_at is None or paid_at > at:
            return False
        return fee.external_subscription_id in external_ids and (
            not renewal or fee.to_datetime <= at
        )

    def apart(standalone: StandaloneFee) -> tuple[str, str]:
        return standalone.currency, _purchase_order(decision, standalone) or ""

    found = sorted(filter(ready, decision.state.regrouping.values()), key=apart)
    for _, members in groupby(found, key=apart):
        regroup(decision, tuple(members), at=at)


def _purchase_order(decision: Decision, standalone: StandaloneFee) -> str | None:
    subscription_id = standalone.fee.subscription_id
    assert subscription_id is not None
    return decision.state.subscriptions[subscription_id].purchase_order_number


def regroup(decision: Decision, members: Sequence[StandaloneFee], *, at: datetime) -> None:
    """The `advance_charges` invoice of these fees: it adds them up, and is paid from its beginning."""
    profile, organization = decision.state.profile, decision.organization
    term = issuing_settings(profile, organization.organization).net_payment_term
    fees = tuple(member.fee for member in members)
    given = InvoiceInput(
        invoice_id=next_invoice_id(decision),
        kind="advance_charges",
        organization=organization,
        profile=profile,
        currency=members[0].currency,
        items=(),
        dates=immediate_dates(local_today(decision, at), term),
        created_at=at,
    )
    invoice = _taxed(assemble(given, [Line(fee, ()) for fee in fees], now=at), fees)
    finalize(decision, invoice, hash_of([profile, given.dates, members]), at=at)
    _record_payment(decision, invoice, at=at)


def _taxed(invoice: Invoice, fees: Sequence[Fee]) -> Invoice:
    """Taxes are those of the fees, added up and not computed again."""
    sub_total = invoice.sub_total_excluding_taxes_amount_cents
    computed = tax_invoice(invoice.id, fees, sub_total)
    taxes = sum(fee.taxes_amount_cents for fee in fees)
    return replace(
        invoice,
        payment_status="succeeded",
        applied_taxes=tuple(_added_up(line, fees) for line in computed.lines),
        taxes_amount_cents=taxes,
        taxes_rate=computed.rate,
        sub_total_including_taxes_amount_cents=sub_total + taxes,
        total_amount_cents=sub_total + taxes,
    )


def _added_up(line: AppliedTax, fees: Sequence[Fee]) -> AppliedTax:
    own = [tax for fee in fees for tax in fee.taxes if tax.tax_id == line.tax_id]
    precise = Decimal(0)
    for tax in own:
        precise = CONTEXT.add(precise, tax.precise_amount_cents)
    amount = sum(tax.amount_cents for tax in own)
    return replace(line, amount_cents=amount, precise_amount_cents=precise)


def _record_payment(decision: Decision, invoice: Invoice, *, at: datetime) -> None:
    """The total came in fee by fee; the ledger shows it as one manual payment."""
    record = decision.state.invoices.get(invoice.id)
    if record is None or not invoice.total_amount_cents:
        return
    payment = Payment(
        id=ids.derive(decision.state.id, "payment", decision.state.items_count + 1),
        invoice_id=invoice.id,
        invoice_number=record.number,
        type="manual",
        amount_cents=invoice.total_amount_cents,
        amount_currency=invoice.currency,
        status="succeeded",
        payment_status="succeeded",
        created_at=at,
        reference="advance_charges",
    )
    event = e.PaymentRecorded(
        customer=decision.state.profile,
        payment=payment,
        invoice_payment_status="succeeded",
        invoice_total_paid_amount_cents=invoice.total_amount_cents,
    )
    decision.record(event, at=at)
