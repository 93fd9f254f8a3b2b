"""Billing of a customer: which subscriptions share an invoice, drafts, finalization, collection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.commitments import with_billed_fees
from lago_engine.domain.customer.credits import use_credits, with_credits
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_history import hashed, with_fixed_charges
from lago_engine.domain.customer.links import in_line_order, make_link
from lago_engine.domain.customer.payments import request_payment
from lago_engine.domain.customer.settings import (
    finalizes_zero_invoices,
    issuing_settings,
    period_subject,
    plan_of,
    timezone_of,
)
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.unused_days import credit_after_finalization
from lago_engine.domain.invoicing.builder import build_invoice
from lago_engine.domain.invoicing.dates import InvoiceDates, finalized_dates, subscription_dates
from lago_engine.domain.invoicing.kinds import InvoiceKind
from lago_engine.domain.invoicing.model import Invoice, InvoiceLink, InvoicingReason
from lago_engine.domain.invoicing.numbering import customer_number, entity_number
from lago_engine.domain.invoicing.usage_fees import billed_usage
from lago_engine.domain.invoicing.work import InvoiceInput
from lago_engine.domain.timezones import local_date, zone

Item = tuple[Subscription, Plan, InvoiceLink]
Billed = tuple[Subscription, InvoicingReason]
"""A subscription and why it is billed."""


def bill(decision: Decision, billed: Sequence[Billed], *, at: datetime) -> None:
    """Bill the subscriptions at `at`: one invoice per group that may share one (billing_periods.md §14)."""

    def group(item: Billed) -> tuple[str, str, str]:
        alone = "" if item[0].consolidate_invoice else item[0].id.hex
        return *_shared_terms(decision, item), alone

    for _, members in groupby(sorted(billed, key=group), key=group):
        bill_together(decision, tuple(members), at=at)


def bill_change(decision: Decision, billed: Sequence[Billed], *, at: datetime) -> None:
    """Bill both sides of a change of plan on one invoice, if currency and order number allow it."""

    def group(item: Billed) -> tuple[str, str]:
        return _shared_terms(decision, item)

    for _, members in groupby(sorted(billed, key=group), key=group):
        bill_together(decision, tuple(members), at=at)


def _shared_terms(decision: Decision, item: Billed) -> tuple[str, str]:
    subscription, _ = item
    currency = plan_of(subscription, decision.organization).amount_currency
    return currency, subscription.purchase_order_number or ""


def bill_together(decision: Decision, billed: Sequence[Billed], *, at: datetime) -> None:
    """One invoice for subscriptions that may share it: a draft within the grace period, else final."""
    grace = issuing_settings(
        decision.state.profile, decision.organization.organization
    ).grace_period
    given = joint_input(
        decision, billed, "subscription_draft" if grace > 0 else "subscription", at=at
    )
    draft = build_invoice(given, decision.usage, now=at)
    if grace > 0:
        decision.record(e.InvoiceDrafted(invoice=draft), at=at)
    else:
        finalize(decision, draft, inputs_hash(decision, given), at=at)


def joint_input(
    decision: Decision, billed: Sequence[Billed], kind: InvoiceKind, *, at: datetime
) -> InvoiceInput:
    """What one invoice over these subscriptions at `at` is made of."""
    profile, organization = decision.state.profile, decision.organization
    settings = issuing_settings(profile, organization.organization)
    items = []
    for subscription, reason in billed:
        plan = plan_of(subscription, organization)
        link = make_link(subscription, plan, profile, organization, at=at, reason=reason)
        items.append((subscription, plan, link))
    given = InvoiceInput(
        invoice_id=next_invoice_id(decision),
        kind=kind,
        organization=organization,
        profile=profile,
        currency=items[0][1].amount_currency,
        items=in_line_order(items),
        dates=subscription_dates(
            local_today(decision, at), settings, periodic=all(link.recurring for *_, link in items)
        ),
        created_at=at,
    )
    return _with_history(decision, given)


def next_invoice_id(decision: Decision) -> UUID:
    """The id of the invoice that is made next."""
    return ids.derive(decision.state.id, "invoice", decision.state.items_count + 1)


def local_today(decision: Decision, at: datetime) -> date:
    """The customer's calendar day at `at`."""
    owner = decision.organization.organization
    return local_date(at, zone(timezone_of(decision.state.profile, owner)))


def dates_of(invoice: Invoice) -> InvoiceDates:
    """The dates an invoice carries."""
    return InvoiceDates(
        issuing_date=invoice.issuing_date,
        expected_finalization_date=invoice.expected_finalization_date,
        payment_due_date=invoice.payment_due_date,
        net_payment_term=invoice.net_payment_term,
    )


def rebuild(decision: Decision, draft: Invoice, *, at: datetime) -> Invoice:
    """The draft recomputed for the same subscriptions, windows and reason."""
    given = _redrafted(decision, draft, "subscription_draft")
    return build_invoice(given, decision.usage, now=at)


def _redrafted(decision: Decision, draft: Invoice, kind: InvoiceKind) -> InvoiceInput:
    given = InvoiceInput(
        invoice_id=draft.id,
        kind=kind,
        organization=decision.organization,
        profile=decision.state.profile,
        currency=draft.currency,
        items=[_relinked(decision, link) for link in draft.links],
        dates=dates_of(draft),
        created_at=draft.created_at,
    )
    return _with_history(decision, given)


def _with_history(decision: Decision, given: InvoiceInput) -> InvoiceInput:
    """The input with what earlier invoices and facts of the customer mean for it."""
    given = with_fixed_charges(decision.state, with_billed_fees(decision.state, given))
    return with_credits(decision, given)


def _relinked(decision: Decision, link: InvoiceLink) -> Item:
    subscription = decision.state.subscriptions[link.subscription_id]
    plan = plan_of(subscription, decision.organization)
    return subscription, plan, replace(link, plan_id=plan.id, plan_version=plan.version)


def finalize_draft(decision: Decision, draft: Invoice, *, at: datetime) -> None:
    """Recompute a draft, re-date it (invoices.md §4) and freeze it."""
    given = _redrafted(decision, draft, "subscription")
    rebuilt = build_invoice(given, decision.usage, now=at)
    dates = finalized_dates(
        dates_of(rebuilt),
        local_today(decision, at),
        issuing_settings(decision.state.profile, decision.organization.organization),
        periodic=all(link.recurring for link in rebuilt.links),
    )
    redated = replace(
        rebuilt,
        issuing_date=dates.issuing_date,
        payment_due_date=dates.payment_due_date,
        net_payment_term=dates.net_payment_term,
    )
    finalize(decision, redated, inputs_hash(decision, given), at=at)
    credit_after_finalization(decision, redated, at=at)


def finalize(
    decision: Decision, draft: Invoice, inputs_hash: str, *, at: datetime, collect: bool = True
) -> None:
    """Number and freeze the invoice, or close it when it is a skipped zero one; then use its credits and collect.

    inputs_hash: hex SHA-256 over what the invoice was computed from. collect: ask the payment provider.
    """
    profile, organization = decision.state.profile, decision.organization
    # Somebody asked for a one-off invoice or for credits, also for zero.
    always = draft.invoice_type in ("one_off", "credit")
    skippable = draft.fees_amount_cents == 0 and not always
    if skippable and not finalizes_zero_invoices(profile, organization.organization):
        closed = replace(draft, status="closed", updated_at=at)
        decision.record(e.InvoiceClosed(invoice=closed), at=at)
        return
    sequential_id = decision.state.last_sequential_id + 1
    entity_id: int | None = None
    if organization.organization.document_numbering == "per_organization":
        entity_id = organization.entity_sequence + 1
    number = (
        customer_number(organization, profile, sequential_id)
        if entity_id is None
        else entity_number(organization, entity_id, at)
    )
    invoice = replace(
        draft,
        status="finalized",
        number=number,
        sequential_id=sequential_id,
        entity_sequential_id=entity_id,
        finalized_at=at,
        updated_at=at,
    )
    decision.record(e.InvoiceFinalized(invoice=invoice, inputs_hash=inputs_hash), at=at)
    use_credits(decision, invoice, at=at)
    if collect:
        request_payment(decision, invoice.id, at=at)


def inputs_hash(decision: Decision, given: InvoiceInput) -> str:
    """SHA-256 over what the fees were computed from: subscriptions, plans, links, profile and usage."""
    used: list[tuple[UUID, dict[str, Any]]] = []
    owner = given.organization.organization
    for subscription, plan, link in given.items:
        subject = period_subject(subscription, plan, given.profile, owner)
        charges = billed_usage(plan, subject, link, decision.usage)
        if charges is not None:
            # A charge with one bucket is written as that bucket.
            buckets = {str(k): b[0] if len(b) == 1 else b for k, b in charges.items()}
            used.append((subscription.id, buckets))
    # Written only where there are any, as the invoice's own credits are.
    histories = [*given.billed.items()], hashed(given), given.wallets
    credits = [each for each in (given.coupons, given.credit_notes, *histories) if each]
    return hash_of([given.profile, given.items, given.dates, used, *credits])


def hash_of(inputs: Sequence[Any]) -> str:
    """Hex SHA-256 over the inputs of an invoice."""
    return sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()
