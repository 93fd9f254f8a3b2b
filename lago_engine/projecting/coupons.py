"""How coupons look at an instant: limits by the codes of now, and whether they are over.

A coupon ends by its date, and one that was deleted ends with all who have it, without an event for each. Source:
coupons_wallets_credit_notes.md §1, §2.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lago_engine.domain.catalog.entities import Coupon
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.decimals import to_wire
from lago_engine.projecting.wire import Members, instant, instant_or_none, read_string


def coupon_object(coupon: Coupon, organization: OrganizationState, now: datetime) -> Members:
    """A coupon as clients see it at `now`."""
    plans, metrics = organization.plans_by_id, organization.metrics_by_id
    rate = coupon.percentage_rate
    return {
        "lago_id": coupon.id,
        "name": coupon.name,
        "code": coupon.code,
        "description": coupon.description,
        "coupon_type": coupon.coupon_type,
        "amount_cents": coupon.amount_cents,
        "amount_currency": coupon.amount_currency,
        "percentage_rate": None if rate is None else to_wire(rate),
        "frequency": coupon.frequency,
        "frequency_duration": coupon.frequency_duration,
        "reusable": coupon.reusable,
        "limited_plans": bool(coupon.plan_ids),
        "limited_billable_metrics": bool(coupon.billable_metric_ids),
        "plan_codes": [plans[plan_id].code for plan_id in coupon.plan_ids],
        "billable_metric_codes": [metrics[each].code for each in coupon.billable_metric_ids],
        "created_at": instant(coupon.created_at),
        "expiration": coupon.expiration,
        "expiration_at": instant_or_none(coupon.expiration_at),
        "terminated_at": instant_or_none(coupon.terminated_at(now)),
    }


def present_coupon(document: Members, organization: OrganizationState, now: datetime) -> Members:
    """A stored coupon as of `now`."""
    return coupon_object(coupon_of(document["lago_id"], organization), organization, now)


def present_applied_coupon(
    document: Members, organization: OrganizationState, now: datetime
) -> Members:
    """A stored applied coupon with what its coupon says now."""
    coupon = coupon_of(document["lago_coupon_id"], organization)
    is_over = coupon.deleted_at is not None or coupon.terminated_at(now) is not None
    document |= {
        "coupon_code": coupon.code,
        "coupon_name": coupon.name,
        "coupon_description": coupon.description,
        "coupon_status": "terminated" if is_over else "active",
        "coupon_deleted_at": instant_or_none(coupon.deleted_at),
        "expiration_at": instant_or_none(coupon.expiration_at),
    }
    if coupon.deleted_at is not None and read_string(document["status"]) == "active":
        document |= {"status": "terminated", "terminated_at": instant(coupon.deleted_at)}
    return document


def coupon_of(coupon_id: object, organization: OrganizationState) -> Coupon:
    """The coupon with the id in a document."""
    return organization.coupons_by_id[UUID(read_string(coupon_id))]
