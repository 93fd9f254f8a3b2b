"""Links of subscriptions to an invoice: the windows it bills and how lines are ordered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.settings import period_subject, plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.windows import after_zone_change, period_windows, windows_of_link
from lago_engine.domain.invoicing.model import InvoiceLink, InvoicingReason
from lago_engine.domain.periods import (
    PeriodSubject,
    Windows,
    link_windows,
    next_billing_at,
    termination_windows,
)


def make_link(
    subscription: Subscription,
    plan: Plan,
    profile: CustomerProfile,
    organization: OrganizationState,
    *,
    at: datetime,
    reason: InvoicingReason,
) -> InvoiceLink:
    """The link of a billing at `at`; a periodic one moves the subscription's cursor."""
    owner = organization.organization
    subject = period_subject(subscription, plan, profile, owner)
    if reason == "subscription_terminating":
        last = subscription.last_link
        recurring = [windows_of_link(last)] if last is not None and last.recurring else []
        windows = termination_windows(subject, at, recurring=recurring)
    else:
        windows = link_windows(subject, at)
    windows = after_zone_change(windows, subscription, subject, at)
    following = next_billing_at(subject, at) if reason == "subscription_periodic" else None
    link = _link(subscription, plan, subject, windows, at=at, reason=reason, following=following)
    if reason == "subscription_terminating" and subject.successor == "upgrade":
        return replace(link, carried_on=_carried_on(subscription, plan, organization) or UNSET)
    return link


def _carried_on(
    subscription: Subscription, plan: Plan, organization: OrganizationState
) -> tuple[UUID, ...]:
    """The recurring metrics that the plan of an upgrade goes on to charge for (charges.md §13).

    Not weighted sums: their units are those of the time until the change, which no other plan bills.
    """
    assert subscription.replaced_by
    # A child plan has charges on the same metrics as its parent.
    heir = organization.plans_by_id[subscription.replaced_by.plan_id]
    charged = {charge.billable_metric_id for charge in heir.charges}
    ids = dict.fromkeys(charge.billable_metric_id for charge in plan.charges)
    metrics = (organization.metrics_by_id[each] for each in ids if each in charged)
    return tuple(
        each.id
        for each in metrics
        if each.recurring and each.aggregation_type != "weighted_sum_agg"
    )


def _link(
    subscription: Subscription,
    plan: Plan,
    subject: PeriodSubject,
    windows: Windows,
    *,
    at: datetime,
    reason: InvoicingReason,
    following: datetime | None = None,
) -> InvoiceLink:
    return InvoiceLink(
        subscription_id=subscription.id,
        external_subscription_id=subscription.external_id,
        plan_id=plan.id,
        plan_version=plan.version,
        timestamp=at,
        recurring=reason == "subscription_periodic",
        invoicing_reason=reason,
        timezone=subject.timezone,
        from_datetime=windows.subscription_from,
        to_datetime=windows.subscription_to,
        charges_from_datetime=windows.charges_from,
        charges_to_datetime=windows.charges_to,
        fixed_charges_from_datetime=windows.fixed_charges_from,
        fixed_charges_to_datetime=windows.fixed_charges_to,
        order_name=subscription.name or plan.invoice_display_name or plan.name,
        earlier_base_fee=subscription.base_fees > 0,
        next_billing_on=None if following is None else subject.local_date(following),
    )


def link_of_period(
    subscription: Subscription,
    profile: CustomerProfile,
    organization: OrganizationState,
    *,
    at: datetime,
    reason: InvoicingReason,
) -> InvoiceLink:
    """The link of an invoice about the running period of `at`; it moves no cursor."""
    plan = plan_of(subscription, organization)
    subject = subject_of(subscription, profile, organization)
    windows = period_windows(subject, subscription, at)
    return _link(subscription, plan, subject, windows, at=at, reason=reason)


def in_line_order(
    items: Iterable[tuple[Subscription, Plan, InvoiceLink]],
) -> Sequence[tuple[Subscription, Plan, InvoiceLink]]:
    """Sorted by subscription name, else plan display name, else plan name (invoices.md §2)."""
    return sorted(items, key=lambda item: (item[2].order_name, item[0].created_at, item[0].id.hex))
