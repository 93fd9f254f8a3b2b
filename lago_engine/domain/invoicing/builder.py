"""The one invoice builder: who, which subscriptions and windows, usage → a whole invoice.

Pure; serves drafts, finalization and audit alike (architecture: one builder, one way to compute an amount).
Order of steps and roundings: invoices.md §5, §6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import UsageReader
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.settings import fee_taxes, period_subject
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.decimals import precise, quantize_to
from lago_engine.domain.invoicing.dates import InvoiceDates
from lago_engine.domain.invoicing.model import Fee, Invoice, InvoiceLink
from lago_engine.domain.invoicing.numbering import draft_number
from lago_engine.domain.invoicing.taxes import tax_fee, tax_invoice
from lago_engine.domain.invoicing.usage_fees import billed_usage, usage_fees
from lago_engine.domain.money import to_major
from lago_engine.domain.proration import (
    BaseFeeDueInput,
    BaseFeeInput,
    base_fee,
    base_fee_due,
)


class InvoiceInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an invoice is a function of, usage apart.

    items: the subscriptions on it, each with its link (windows, reason) and the plan as priced, in line order.
    """

    invoice_id: UUID
    organization: OrganizationState
    profile: CustomerProfile
    items: Sequence[tuple[Subscription, Plan, InvoiceLink]]
    dates: InvoiceDates
    created_at: datetime


def build_invoice(given: InvoiceInput, usage: UsageReader, *, now: datetime) -> Invoice:
    """A draft of the invoice with all fees, taxes and totals; finalizing adds number and dates."""
    fees = tuple(fee for item in given.items for fee in _fees(given, item, usage))
    fees_amount = sum(fee.amount_cents for fee in fees)
    taxes = tax_invoice(given.invoice_id, fees, fees_amount)
    total = fees_amount + taxes.amount_cents
    assert total >= 0
    return Invoice(
        id=given.invoice_id,
        customer_id=given.profile.id,
        customer=given.profile,
        billing_entity_code=given.profile.billing_entity_code,
        status="draft",
        payment_status="succeeded" if total == 0 else "pending",
        currency=given.items[0][1].amount_currency,
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
        fees=fees,
        applied_taxes=taxes.lines,
        fees_amount_cents=fees_amount,
        sub_total_excluding_taxes_amount_cents=fees_amount,
        taxes_amount_cents=taxes.amount_cents,
        taxes_rate=taxes.rate,
        sub_total_including_taxes_amount_cents=total,
        total_amount_cents=total,
    )


def _fees(
    given: InvoiceInput, item: tuple[Subscription, Plan, InvoiceLink], usage: UsageReader
) -> Iterator[Fee]:
    """Fees of one subscription in the order of invoices.md §5, taxed."""
    subscription, plan, link = item
    base = _base_fee(given, subscription, plan, link)
    if base is not None:
        yield tax_fee(base, fee_taxes(given.organization, given.profile, plan))
    subject = period_subject(subscription, plan, given.profile, given.organization.organization)
    used = billed_usage(plan, subject, link, usage)
    if used is None:
        return
    metrics = given.organization.metrics_by_id
    for fee, charge in usage_fees(
        given.invoice_id, subscription, plan, subject, link, used, metrics
    ):
        yield tax_fee(fee, fee_taxes(given.organization, given.profile, plan, charge))


def _base_fee(
    given: InvoiceInput, subscription: Subscription, plan: Plan, link: InvoiceLink
) -> Fee | None:
    """The plan's own price for the link's subscription window (billing_periods.md §8)."""
    subject = period_subject(subscription, plan, given.profile, given.organization.organization)
    due = BaseFeeDueInput(
        subject=subject,
        at=link.timestamp,
        invoice_created_at=given.created_at,
        any_base_fee=link.earlier_base_fee,
    )
    if not base_fee_due(due):
        return None
    amount = base_fee(
        BaseFeeInput(
            subject=subject,
            at=link.timestamp,
            window=(link.from_datetime, link.to_datetime),
            amount_cents=plan.amount_cents,
        )
    )
    with precise():
        return Fee(
            id=ids.derive(given.invoice_id, "fee", "subscription", subscription.id),
            fee_type="subscription",
            subscription_id=subscription.id,
            external_subscription_id=subscription.external_id,
            item_id=subscription.id,
            item_type="Subscription",
            item_code=plan.code,
            item_name=plan.name,
            item_description=plan.description,
            invoice_display_name=plan.invoice_display_name or plan.name,
            amount_cents=amount.amount_cents,
            precise_amount_cents=amount.precise_amount_cents,
            units=Decimal(1),
            unit_amount_cents=amount.amount_cents,
            precise_unit_amount=quantize_to(
                to_major(amount.amount_cents, plan.amount_currency), 15
            ),
            amount_details={"plan_amount_cents": plan.amount_cents},
            pay_in_advance=plan.pay_in_advance,
            from_datetime=link.from_datetime,
            to_datetime=link.to_datetime,
        )
