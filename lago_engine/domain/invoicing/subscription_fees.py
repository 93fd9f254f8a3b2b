"""The first step: what subscriptions owe for their windows (invoices.md §5, billing_periods.md §8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.decision import UsageReader
from lago_engine.domain.customer.settings import fee_taxes, period_subject, trial_end_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.decimals import precise, quantize_to
from lago_engine.domain.invoicing.commitment import belongs, commitment_fee, reconciled_by
from lago_engine.domain.invoicing.fixed_charge_fees import fixed_charge_fees
from lago_engine.domain.invoicing.model import Fee, InvoiceLink
from lago_engine.domain.invoicing.renewal_fees import renewal_fees
from lago_engine.domain.invoicing.usage_fees import billed_usage, usage_fees
from lago_engine.domain.invoicing.work import InvoiceInput, Line, plan_ids
from lago_engine.domain.money import to_major
from lago_engine.domain.proration import (
    BaseFeeDueInput,
    BaseFeeInput,
    base_fee,
    base_fee_due,
)

Item = tuple[Subscription, Plan, InvoiceLink]


def subscription_lines(given: InvoiceInput, usage: UsageReader) -> Iterator[Line]:
    """The fees of all subscriptions on the invoice, subscription by subscription."""
    for item in given.items:
        yield from _lines(given, item, usage)


def _lines(given: InvoiceInput, item: Item, usage: UsageReader) -> Iterator[Line]:
    """Fees of one subscription in the order of invoices.md §5."""
    subscription, plan, link = item
    lines = []
    base = _base_fee(given, subscription, plan, link)
    if base is not None:
        lines.append(Line(base, fee_taxes(given.organization, given.profile, plan), plan_ids(plan)))
    lines += _usage_lines(given, item, usage)
    lines += _fixed_charge_lines(given, item)
    yield from lines
    yield from _commitment_line(given, item, lines)


def _usage_lines(given: InvoiceInput, item: Item, usage: UsageReader) -> Iterator[Line]:
    subscription, plan, link = item
    subject = period_subject(subscription, plan, given.profile, given.organization.organization)
    used = billed_usage(plan, subject, link, usage)
    if used is None:
        return
    organization = given.organization
    for fee, charge in usage_fees(
        given.invoice_id, subscription, plan, subject, link, used, organization
    ):
        taxes = fee_taxes(given.organization, given.profile, plan, charge)
        yield Line(fee, taxes, plan_ids(plan))
    for fee, charge in renewal_fees(
        given.invoice_id, subscription, plan, subject, link, used, organization, invoiceable=True
    ):
        taxes = fee_taxes(given.organization, given.profile, plan, charge)
        yield Line(fee, taxes, plan_ids(plan))


def _fixed_charge_lines(given: InvoiceInput, item: Item) -> Iterator[Line]:
    subscription, plan, link = item
    history = given.fixed.get(subscription.id)
    if history is None:
        return
    organization = given.organization
    subject = period_subject(subscription, plan, given.profile, organization.organization)
    for fee, fixed_charge in fixed_charge_fees(
        given.invoice_id,
        subscription,
        plan,
        subject,
        link,
        history,
        organization.add_ons_by_id,
    ):
        taxes = fee_taxes(organization, given.profile, plan, fixed_charge)
        yield Line(fee, taxes, plan_ids(plan))


def _commitment_line(given: InvoiceInput, item: Item, lines: Iterable[Line]) -> Iterator[Line]:
    """What the period that ends falls short of the plan's minimum commitment (billing_periods.md §10)."""
    subscription, plan, link = item
    if plan.minimum_commitment is None:
        return
    subject = period_subject(subscription, plan, given.profile, given.organization.organization)
    reconciled = reconciled_by(subject, link)
    if reconciled is None:
        return
    zoned = replace(subject, timezone=link.timezone)
    here = [
        line.fee for line in lines if belongs(line.fee, subscription.id, reconciled.period, zoned)
    ]
    billed = given.billed.get(subscription.id, ())
    fee = commitment_fee(given.invoice_id, subscription, plan, reconciled, here, billed)
    if fee is not None:
        taxes = fee_taxes(given.organization, given.profile, plan, plan.minimum_commitment)
        yield Line(fee, taxes, plan_ids(plan))


def _base_fee(
    given: InvoiceInput, subscription: Subscription, plan: Plan, link: InvoiceLink
) -> Fee | None:
    """The plan's own price for the link's subscription window (billing_periods.md §8)."""
    subject = period_subject(subscription, plan, given.profile, given.organization.organization)
    subject = replace(subject, timezone=link.timezone)
    free_until = trial_end_of(subscription, plan)
    due = BaseFeeDueInput(
        subject=subject,
        at=link.timestamp,
        trial_end=free_until,
        invoice_created_at=given.created_at,
        any_base_fee=link.earlier_base_fee,
        starts_with_fixed_charges_only=(
            link.invoicing_reason == "subscription_starting" and not plan.pay_in_advance
        ),
    )
    if not base_fee_due(due):
        return None
    amount = base_fee(
        BaseFeeInput(
            subject=subject,
            at=link.timestamp,
            window=(link.from_datetime, link.to_datetime),
            amount_cents=plan.amount_cents,
            trial_end=free_until,
            predecessor=subscription.replaces.succession if subscription.replaces else None,
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
