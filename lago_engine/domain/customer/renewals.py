"""Recurring charges that are paid in advance, at the beginning of a period (charges.md §9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.in_advance import standalone
from lago_engine.domain.customer.links import make_link
from lago_engine.domain.customer.settings import fee_taxes, plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.renewal_fees import renewal_fees, renews
from lago_engine.domain.invoicing.taxes import tax_fee
from lago_engine.domain.invoicing.usage_fees import billed_usage


def bill_renewals(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """A fee on no invoice for each bucket of a recurring charge that is not invoiceable, also when it is zero."""
    for created in _fees(decision, subscription, at=at):
        decision.record(created, at=at)


def _fees(
    decision: Decision, subscription: Subscription, *, at: datetime
) -> Iterator[e.FeeCreated]:
    organization, profile = decision.organization, decision.state.profile
    plan = plan_of(subscription, organization)
    metrics = organization.metrics_by_id
    if not any(
        renews(charge, metrics[charge.billable_metric_id], invoiceable=False)
        for charge in plan.charges
    ):
        return
    link = make_link(
        subscription, plan, profile, organization, at=at, reason="subscription_periodic"
    )
    subject = subject_of(subscription, profile, organization)
    used = billed_usage(plan, subject, link, decision.usage)
    if used is None:
        return
    owner = ids.derive(subscription.id, "renewal", at.isoformat())
    for fee, charge in renewal_fees(
        owner, subscription, plan, subject, link, used, organization, invoiceable=False
    ):
        taxed = tax_fee(fee, fee_taxes(organization, profile, plan, charge))
        created = standalone(decision, replace(taxed, invoiceable=False), charge, plan, at=at)
        yield e.FeeCreated(fee=created)
