"""Decisions about coupons (coupons_wallets_credit_notes.md §1). The code of a deleted one may be used again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, get_args
from uuid import UUID

from msgspec.structs import asdict, replace

from lago_engine.domain.catalog.entities import (
    Coupon,
    CouponExpiration,
    CouponFrequency,
    CouponType,
)
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateCoupon, DeleteCoupon, UpdateCoupon
from lago_engine.domain.events import CouponCreated, CouponDeleted, CouponUpdated, DomainEvent
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, Checker, Reader
from lago_engine.errors import NotAllowed, NotFound

_ALWAYS: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "description": Checker.text,
    "expiration": partial(Checker.choice, allowed=get_args(CouponExpiration), missing=MANDATORY),
}
"""What may change after a customer got the coupon, with `expiration_at`."""

_FIELDS: Final[Mapping[str, Reader]] = {
    **_ALWAYS,
    "code": Checker.mandatory_text,
    "coupon_type": partial(Checker.choice, allowed=get_args(CouponType), missing=MANDATORY),
    "frequency": partial(Checker.choice, allowed=get_args(CouponFrequency), missing=MANDATORY),
}


def create_coupon(
    state: OrganizationState, command: CreateCoupon, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker({"reusable": True, **command.input})
    limits = _limits(state, checker)
    fields = _checked(checker, state, previous_code=None)
    fields["expiration_at"] = expiration_at(checker, now)
    checker.raise_failures()
    coupon = Coupon(
        id=NewIds.after(state).take("coupon"), created_at=now, **fields, **(limits or {})
    )
    return [CouponCreated(coupon=coupon)]


def update_coupon(
    state: OrganizationState, command: UpdateCoupon, *, now: datetime
) -> list[DomainEvent]:
    """The keys present change; once a customer got the coupon the others are ignored (§1)."""
    coupon = _live(state, command.code)
    checker = Checker(command.input)
    changes: dict[str, Any]
    if coupon.id in state.applied_coupons:
        changes = checker.read_present(_ALWAYS)
    else:
        checker = Checker({**asdict(coupon), **command.input})
        changes = _limits(state, checker) or {}
        changes |= _checked(checker, state, previous_code=coupon.code)
    if "expiration_at" in command.input:
        changes["expiration_at"] = expiration_at(checker, now)
    checker.raise_failures()
    return [CouponUpdated(coupon=replace(coupon, **changes), previous_code=coupon.code)]


def delete_coupon(
    state: OrganizationState, command: DeleteCoupon, *, now: datetime
) -> list[DomainEvent]:
    """Customers who have it can use it no longer."""
    return [CouponDeleted(coupon=replace(_live(state, command.code), deleted_at=now))]


def _live(state: OrganizationState, code: str) -> Coupon:
    if code not in state.coupons:
        raise NotFound("coupon")
    return state.coupons[code]


def _checked(
    checker: Checker, state: OrganizationState, *, previous_code: str | None
) -> dict[str, Any]:
    fields = checker.read(_FIELDS)
    fields |= coupon_value(checker, fields["coupon_type"])
    fields["frequency_duration"] = coupon_duration(checker, fields["frequency"])
    fields["reusable"] = checker.boolean("reusable", missing=MANDATORY)
    code = fields["code"]
    if code != previous_code and code in state.coupons:
        checker.fail("code", ALREADY_EXISTS)
    return fields


def coupon_value(checker: Checker, coupon_type: CouponType | None) -> dict[str, Any]:
    """What the coupon takes off: an amount in a currency, or a percentage; the other members are dropped."""
    value: dict[str, Any] = {"amount_cents": None, "amount_currency": None, "percentage_rate": None}
    if coupon_type == "fixed_amount":
        value["amount_cents"] = checker.integer("amount_cents", missing=MANDATORY, at_least=1)
        value["amount_currency"] = checker.currency("amount_currency", missing=MANDATORY)
    elif coupon_type == "percentage":
        value["percentage_rate"] = checker.decimal("percentage_rate", missing=MANDATORY, at_least=0)
    return value


def coupon_duration(checker: Checker, frequency: CouponFrequency | None) -> int | None:
    """For how many invoices a recurring coupon applies."""
    if frequency != "recurring":
        return None
    return checker.integer("frequency_duration", missing=MANDATORY, at_least=1)


def expiration_at(checker: Checker, now: datetime) -> datetime | None:
    """A future instant; None when none is given."""
    value = checker.values.get("expiration_at")
    if value is None or value == "":
        return None
    instant = value if isinstance(value, datetime) else parse_instant(value)
    if instant is None or instant <= now:
        checker.fail("expiration_at", "invalid_date")
    return instant


def _limits(state: OrganizationState, checker: Checker) -> dict[str, Any] | None:
    """The exact set of what it is limited to; None when the request does not say.

    Raises NotAllowed when it names plans and metrics, NotFound for an unknown code.
    """
    limits = checker.mapping("applies_to")
    if limits is None:
        return None
    plan_codes = limits.get("plan_codes") or ()
    metric_codes = limits.get("billable_metric_codes") or ()
    if plan_codes and metric_codes:
        raise NotAllowed("only_one_limitation_type_per_coupon_allowed")
    return {
        "plan_ids": _ids(plan_codes, state.plans.get, "plans"),
        "billable_metric_ids": _ids(metric_codes, state.metrics.get, "billable_metrics"),
    }


def _ids(codes: Any, find: Callable[[Any], Any], resource: str) -> tuple[UUID, ...]:
    found: dict[UUID, None] = {}
    for code in codes if isinstance(codes, list) else ():
        item = find(code) if isinstance(code, str) else None
        if item is None:
            raise NotFound(resource)
        found[item.id] = None
    return tuple(found)
