"""The fees of a subscription's charges on an invoice: one per charge, charge filter and group (charges.md §6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Charge, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import BucketUsage, UsageReader
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.model import Fee, FeeFilter, FeePricingUnit, InvoiceLink
from lago_engine.domain.invoicing.true_up import charge_floor, with_true_up
from lago_engine.domain.periods import PeriodSubject
from lago_engine.domain.rating.buckets import RatedBucket, rate_buckets
from lago_engine.domain.rating.charge_fees import RatedCharge
from lago_engine.domain.rating.window_usage import days_of, usage_in

BilledUsage = Mapping[UUID, Sequence[BucketUsage]]


def billed_usage(
    plan: Plan, subject: PeriodSubject, link: InvoiceLink, usage: UsageReader
) -> BilledUsage | None:
    """The usage a link bills, by charge; None when it bills none, as on a starting invoice."""
    start, end = link.charges_from_datetime, link.charges_to_datetime
    if link.invoicing_reason == "subscription_starting" or not plan.charges:
        return None
    if start is None or end is None or start >= end:
        return None
    subject = replace(subject, timezone=link.timezone)
    return usage_in(usage, plan, subject, link.subscription_id, (start, end))


def usage_fees(
    invoice_id: UUID,
    subscription: Subscription,
    plan: Plan,
    subject: PeriodSubject,
    link: InvoiceLink,
    used: BilledUsage,
    organization: OrganizationState,
) -> Iterator[tuple[Fee, Charge]]:
    """The fees kept for what a link bills, in plan order, with the true-up of each charge.

    Charges that are paid in advance were billed when their events arrived. What an upgrade carries on, the next
    plan bills for the whole period.
    """
    start, end = link.charges_from_datetime, link.charges_to_datetime
    assert start is not None
    assert end is not None
    days = days_of(replace(subject, timezone=link.timezone), (start, end), link.timestamp)
    for charge in plan.charges:
        if charge.pay_in_advance or _carried_on(charge, link):
            continue
        metric = organization.metrics_by_id[charge.billable_metric_id]
        fees = [
            bucket_fee(
                ids.derive(
                    invoice_id, "fee", "charge", subscription.id, charge.id, *bucket_address(bucket)
                ),
                subscription,
                charge,
                organization,
                bucket,
                (start, end),
            )
            for bucket in rate_buckets(charge, metric, used[charge.id], plan.amount_currency, days)
        ]
        floor = charge_floor(charge.min_amount_cents, subject, link, (start, end))
        for kept in with_true_up(fees, floor, plan.amount_currency):
            yield kept, charge


def _carried_on(charge: Charge, link: InvoiceLink) -> bool:
    """Whether the units go on with the next plan; prorated ones are paid by the day on each."""
    return not charge.prorated and charge.billable_metric_id in (link.carried_on or ())


def bucket_fee(
    fee_id: UUID,
    subscription: Subscription,
    charge: Charge,
    organization: OrganizationState,
    bucket: RatedBucket,
    window: tuple[datetime, datetime],
) -> Fee:
    """The fee of one priced bucket, without taxes; metric and pricing unit are named as they are now."""
    metric = organization.metrics_by_id[charge.billable_metric_id]
    rated, filter_ = bucket.rated, bucket.filter
    aggregated = bucket.total_aggregated_units
    return Fee(
        id=fee_id,
        fee_type="charge",
        subscription_id=subscription.id,
        external_subscription_id=subscription.external_id,
        item_id=metric.id,
        item_type="BillableMetric",
        item_code=metric.code,
        item_name=metric.name,
        item_description=metric.description,
        invoice_display_name=charge.invoice_display_name or metric.name,
        amount_cents=rated.amount_cents,
        precise_amount_cents=rated.precise_amount_cents,
        units=rated.units,
        unit_amount_cents=rated.unit_amount_cents,
        precise_unit_amount=rated.precise_unit_amount,
        amount_details=rated.amount_details,
        pay_in_advance=charge.pay_in_advance,
        from_datetime=window[0],
        to_datetime=window[1],
        charge_id=charge.id,
        events_count=rated.events_count,
        charge_filter=UNSET
        if filter_ is None
        else FeeFilter(
            id=filter_.id, invoice_display_name=filter_.display_name, values=filter_.values
        ),
        grouped_by=bucket.grouped_by or UNSET,
        total_aggregated_units=UNSET if aggregated == rated.units else aggregated,
        presentation_breakdowns=bucket.presented or UNSET,
        pricing_unit=_in_unit(rated, organization),
    )


def _in_unit(rated: RatedCharge, organization: OrganizationState) -> FeePricingUnit | UnsetType:
    if rated.pricing_unit is None:
        return UNSET
    unit = organization.pricing_units[rated.pricing_unit.code]
    return FeePricingUnit(id=unit.id, short_name=unit.short_name, **asdict(rated.pricing_unit))


def bucket_address(bucket: RatedBucket) -> Iterator[str | UUID]:
    """What tells the fee of a bucket from the others of its charge; nothing for a charge that has only one."""
    if bucket.filter is not None:
        yield bucket.filter.id
    # A group never has an empty value: it means the same as none.
    for key, value in bucket.grouped_by.items():
        yield key
        yield value or ""
