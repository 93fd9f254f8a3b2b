"""Billing of usage when it arrives: fees and invoices of charges that are paid in advance (charges.md §9, events.md §5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import BillableMetric, Charge, ChargeFilter, Plan
from lago_engine.domain.customer.billing import finalize, hash_of, local_today, next_invoice_id
from lago_engine.domain.customer.credits import with_credits
from lago_engine.domain.customer.decision import Decision, PendingUsage, UsageChange
from lago_engine.domain.customer.links import link_of_period
from lago_engine.domain.customer.settings import (
    fee_taxes,
    issuing_settings,
    plan_of,
    subject_of,
)
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.model import BilledEvent, Fee, InvoiceLink, StandaloneFee
from lago_engine.domain.invoicing.taxes import tax_fee
from lago_engine.domain.invoicing.usage_fees import bucket_fee
from lago_engine.domain.invoicing.work import InvoiceInput, Line, plan_ids
from lago_engine.domain.periods import charges_days
from lago_engine.domain.proration import days_between
from lago_engine.domain.rating.buckets import RatedBucket, bucket_id, grouped_by, properties_of
from lago_engine.domain.rating.denomination import Denomination
from lago_engine.domain.rating.grouping import spelled_out
from lago_engine.domain.rating.in_advance.counter import NOTHING_BILLED
from lago_engine.domain.rating.in_advance.rate import EventUsage, Pricing, Share, rate_event

RECORDS_PER_DECISION: Final = 16
"""So many events are billed in one go: a decision must not keep the commit waiting for long."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A usage event with everything its price is made of."""

    usage: PendingUsage
    change: UsageChange
    subscription: Subscription
    plan: Plan
    charge: Charge
    metric: BillableMetric
    filter: ChargeFilter | None
    link: InvoiceLink


def bill_in_advance(decision: Decision, subscription_ids: Sequence[UUID]) -> None:
    """Bill what waits for these subscriptions, in log order; what is left is billed by the next command."""
    left = RECORDS_PER_DECISION
    for subscription_id in subscription_ids:
        for usage in waiting(decision, subscription_id, limit=left):
            bill_event(decision, usage, at=decision.now)
            left -= 1


def waiting(decision: Decision, subscription_id: UUID, *, limit: int) -> Sequence[PendingUsage]:
    """The next events of a subscription that are not billed yet."""
    billed = decision.state.billed_usage.get(subscription_id)
    after = None if billed is None else billed.place
    return decision.in_advance.pending(subscription_id, after=after, limit=limit)


def bill_event(decision: Decision, usage: PendingUsage, *, at: datetime) -> None:
    """One event on one charge: a fee of its own, or an invoice with that fee. A charge that is gone bills nothing."""
    priced = price_event(decision, usage)
    if priced is None:
        event = e.UsagePassedOver(subscription_id=usage.subscription_id, place=usage.place)
        decision.record(event, at=at)
        return
    if priced.charge.invoiceable:
        _invoice(decision, priced, at=at)
        return
    taxes = fee_taxes(decision.organization, decision.state.profile, priced.plan, priced.charge)
    fee = tax_fee(event_fee(decision, priced), taxes)
    fee = msgspec.structs.replace(fee, invoiceable=False)
    created = standalone(decision, fee, priced.charge, priced.plan, at=at)
    decision.record(e.FeeCreated(fee=created), at=at)


def standalone(
    decision: Decision, fee: Fee, charge: Charge, plan: Plan, *, at: datetime
) -> StandaloneFee:
    """A taxed fee on no invoice."""
    profile = decision.state.profile
    return StandaloneFee(
        fee=fee,
        customer_id=profile.id,
        external_customer_id=profile.external_id,
        currency=plan.amount_currency,
        created_at=at,
        self_billed=profile.account_type == "partner",
        regroup=charge.regroup_paid_fees == "invoice",
    )


def price_event(decision: Decision, usage: PendingUsage) -> Priced | None:
    """What the price of an event is made of; None when its charge, filter or grouping is gone."""
    state, organization = decision.state, decision.organization
    subscription = state.subscriptions[usage.subscription_id]
    plan = plan_of(subscription, organization)
    charge = next((each for each in plan.charges if each.id == usage.charge_id), None)
    if charge is None or not charge.pay_in_advance:
        return None
    charge = spelled_out(charge)
    filter_ = next((each for each in charge.filters if each.id == usage.filter_id), None)
    keys = properties_of(charge, filter_).get("pricing_group_keys", ())
    if (filter_ is None) != (usage.filter_id is None) or len(keys) != len(usage.group):
        return None
    link = link_of_period(
        subscription, state.profile, organization, at=usage.timestamp, reason="in_advance_charge"
    )
    start, end = window_of(link)
    change = decision.in_advance.change(usage, start, end)
    return Priced(
        usage=usage,
        change=change,
        subscription=subscription,
        plan=plan,
        charge=charge,
        metric=organization.metrics_by_id[charge.billable_metric_id],
        filter=filter_,
        link=link,
    )


def window_of(link: InvoiceLink) -> tuple[datetime, datetime]:
    """The usage window of a link about a running period, which always has one."""
    assert link.charges_from_datetime is not None
    assert link.charges_to_datetime is not None
    return link.charges_from_datetime, link.charges_to_datetime


def event_fee(decision: Decision, priced: Priced) -> Fee:
    """The fee of the event, without taxes; there is at most one per subscription, transaction, charge and filter."""
    usage, charge, change = priced.usage, priced.charge, priced.change
    window = window_of(priced.link)
    bucket = bucket_id(charge.id, usage.filter_id, usage.group, window[0])
    billed = decision.state.billed_usage.get(priced.subscription.id)
    counter = billed.counters.get(bucket, NOTHING_BILLED) if billed else NOTHING_BILLED
    pricing = Pricing(
        charge_model=charge.charge_model,
        properties=properties_of(charge, priced.filter),
        metric=priced.metric,
        prices=Denomination.of(charge, priced.plan.amount_currency),
    )
    rated, counter = rate_event(
        pricing,
        EventUsage(
            delta=change.delta,
            units=change.units,
            events_count=change.events_count,
            precise_total_amount_cents=usage.precise_total_amount_cents,
            share=_share(decision, priced) if charge.prorated else None,
        ),
        counter,
    )
    fee = bucket_fee(
        ids.derive(
            priced.subscription.id,
            "fee",
            "in_advance",
            usage.transaction_id,
            charge.id,
            usage.filter_id or "",
        ),
        priced.subscription,
        charge,
        decision.organization,
        RatedBucket(
            filter=priced.filter,
            grouped_by=grouped_by(pricing.properties, usage.group),
            rated=rated,
            total_aggregated_units=rated.units,
            presented=(),
        ),
        window,
    )
    event = BilledEvent(
        place=usage.place,
        transaction_id=usage.transaction_id,
        timestamp=usage.timestamp,
        bucket=bucket,
        counter=counter,
    )
    return msgspec.structs.replace(fee, billed_event=event)


def _share(decision: Decision, priced: Priced) -> Share:
    """The days from the event to the end of the period, out of all of the period's (metrics.md §9.4)."""
    subject = subject_of(priced.subscription, decision.state.profile, decision.organization)
    _, end = window_of(priced.link)
    days = days_between(priced.usage.timestamp, end, subject.tz)
    return Share(days, charges_days(subject, end))


def _invoice(decision: Decision, priced: Priced, *, at: datetime) -> None:
    """A finalized invoice with the one fee; coupons and credits join as on any invoice of its kind."""
    profile, organization = decision.state.profile, decision.organization
    term = issuing_settings(profile, organization.organization).net_payment_term
    given = with_credits(
        decision,
        InvoiceInput(
            invoice_id=next_invoice_id(decision),
            kind="in_advance_charge",
            organization=organization,
            profile=profile,
            currency=priced.plan.amount_currency,
            items=[(priced.subscription, priced.plan, priced.link)],
            dates=immediate_dates(local_today(decision, at), term),
            created_at=at,
        ),
    )
    taxes = fee_taxes(organization, profile, priced.plan, priced.charge)
    line = Line(event_fee(decision, priced), taxes, plan_ids(priced.plan))
    invoice = assemble(given, [line], now=at)
    event = msgspec.structs.replace(priced.usage, window=None, change=priced.change)
    inputs = [profile, given.items, given.dates, event]
    credits = [each for each in (given.coupons, given.credit_notes) if each]
    finalize(decision, invoice, hash_of([*inputs, *credits]), at=at)
