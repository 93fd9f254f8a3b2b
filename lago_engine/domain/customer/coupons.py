"""Giving coupons to a customer and taking them away (coupons_wallets_credit_notes.md §2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args
from uuid import UUID

from msgspec.structs import asdict, replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.decide_coupons import coupon_duration, coupon_value
from lago_engine.domain.catalog.entities import Coupon, CouponFrequency
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon, terminated
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotAllowed, NotFound, ValidationFailed

OVERRIDES = (
    "frequency", "frequency_duration", "amount_cents", "amount_currency", "percentage_rate",
)  # fmt: skip
"""What a request may set differently for one customer."""


def apply_coupon(decision: Decision, given: Mapping[str, Any]) -> None:
    """Give a customer a coupon, with the request's own values where it has some."""
    coupon = decision.organization.coupons.get(str(given.get("coupon_code")))
    if coupon is None or coupon.terminated_at(decision.now) is not None:
        raise NotFound("coupon")
    if coupon.is_limited and any(
        _overlap(coupon, other, decision) for other in active_coupons(decision)
    ):
        raise NotAllowed("plan_overlapping")
    applied_before = decision.state.applied_coupons.values()
    if not coupon.reusable and any(each.coupon_id == coupon.id for each in applied_before):
        raise ValidationFailed.of("coupon", "coupon_is_not_reusable")
    applied = _applied(decision, coupon, given)
    profile = decision.state.profile
    if profile.currency is None and applied.amount_currency is not None:
        profile = replace(profile, currency=applied.amount_currency, updated_at=decision.now)
    decision.record(e.CouponApplied(customer=profile, applied_coupon=applied))


def _applied(decision: Decision, coupon: Coupon, given: Mapping[str, Any]) -> AppliedCoupon:
    own = {key: given[key] for key in OVERRIDES if given.get(key) not in (None, "")}
    check = Checker({**asdict(coupon), **own})
    frequency: Any = check.choice("frequency", get_args(CouponFrequency))
    duration = coupon_duration(check, frequency)
    value = coupon_value(check, coupon.coupon_type)
    check.raise_failures()
    return AppliedCoupon(
        id=ids.derive(decision.state.id, "applied_coupon", decision.state.items_count + 1),
        coupon_id=coupon.id,
        coupon_code=coupon.code,
        created_at=decision.now,
        frequency=frequency,
        frequency_duration=duration,
        frequency_duration_remaining=duration,
        **value,
    )


def active_coupons(decision: Decision) -> Iterator[Coupon]:
    """The coupons that the customer can use."""
    for applied in decision.state.applied_coupons.values():
        coupon = decision.organization.coupons_by_id[applied.coupon_id]
        if applied.status == "active" and coupon.deleted_at is None:
            yield coupon


def _overlap(new: Coupon, other: Coupon, decision: Decision) -> bool:
    """Whether both are limited and could discount one fee (§2)."""
    plans, metrics = set(new.plan_ids), set(new.billable_metric_ids)
    return bool(
        plans.intersection(other.plan_ids)
        or metrics.intersection(other.billable_metric_ids)
        or metrics.intersection(_metrics_of(other.plan_ids, decision))
        or set(other.billable_metric_ids).intersection(_metrics_of(new.plan_ids, decision))
    )


def _metrics_of(plan_ids: tuple[UUID, ...], decision: Decision) -> Iterator[UUID]:
    for plan_id in plan_ids:
        for charge in decision.organization.plans_by_id[plan_id].charges:
            yield charge.billable_metric_id


def terminate_applied_coupon(decision: Decision, applied_coupon_id: UUID) -> None:
    """Take a coupon away; one that is over already stays as it is."""
    applied = decision.state.applied_coupons.get(applied_coupon_id)
    if applied is None:
        raise NotFound("applied_coupon")
    if applied.status == "active":
        ended = terminated(applied, at=decision.now)
        decision.record(e.AppliedCouponTerminated(applied_coupon=ended))
