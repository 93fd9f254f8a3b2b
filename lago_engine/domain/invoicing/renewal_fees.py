"""Recurring charges that are paid in advance, billed for the period that begins (charges.md §9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.model import Fee, InvoiceLink
from lago_engine.domain.invoicing.usage_fees import BilledUsage, bucket_address, bucket_fee
from lago_engine.domain.periods import PeriodSubject, ended, link_windows
from lago_engine.domain.rating.buckets import rate_buckets
from lago_engine.domain.rating.window_usage import days_of


def renews(charge: Charge, metric: BillableMetric, *, invoiceable: bool) -> bool:
    """Whether a period begins with a fee for what the charge carries over."""
    return charge.pay_in_advance and metric.recurring and charge.invoiceable == invoiceable


def renewal_fees(
    owner_id: UUID,
    subscription: Subscription,
    plan: Plan,
    subject: PeriodSubject,
    link: InvoiceLink,
    used: BilledUsage,
    organization: OrganizationState,
    *,
    invoiceable: bool,
) -> Iterator[tuple[Fee, Charge]]:
    """The units at the end of the finished period, in full, for the period that contains the billing.

    Nothing once the subscription has ended, but for a downgrade. A bucket without units has no fee on an invoice, not even a flat amount,
    which its first event will pay; a fee that stands alone is made also for 0. owner_id: what the fees' ids derive from.
    """
    subject = replace(subject, timezone=link.timezone)
    if ended(subject, link.timestamp):
        if subject.successor != "downgrade":
            return
        # The next plan begins with what this one carries over, and bills only what comes to it.
        subject = replace(subject, status="active", terminated_at=None)
    running = link_windows(subject, link.timestamp, mode="current_usage")
    start, end = running.charges_from, running.charges_to
    if start is None or end is None:
        return
    for charge in plan.charges:
        metric = organization.metrics_by_id[charge.billable_metric_id]
        if not renews(charge, metric, invoiceable=invoiceable):
            continue
        days = days_of(subject, (start, end), link.timestamp)
        whole = [replace(bucket, changes=None) for bucket in used[charge.id]]
        for bucket in rate_buckets(charge, metric, whole, plan.amount_currency, days):
            if bucket.rated.units or not invoiceable:
                address = subscription.id, charge.id, *bucket_address(bucket)
                fee_id = ids.derive(owner_id, "fee", "renewal", *address)
                rated = bucket.rated if bucket.rated.units else bucket.rated.free()
                priced = replace(bucket, rated=rated)
                yield (
                    bucket_fee(fee_id, subscription, charge, organization, priced, (start, end)),
                    charge,
                )
