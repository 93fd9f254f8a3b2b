"""What a preview is asked about: who, which subscriptions, which coupons (invoices.md §15)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.decide_coupons import create_coupon
from lago_engine.domain.commands import CreateCoupon
from lago_engine.domain.customer.coupons import active_coupons, apply_coupon
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.profiles import upsert_customer
from lago_engine.domain.customer.subscription_input import stripped
from lago_engine.domain.instants import parse_instant
from lago_engine.errors import NotFound, ValidationFailed

CUSTOMER_FIELDS: Final = (
    "name", "currency", "timezone", "address_line1", "address_line2", "city", "zipcode", "state",
    "country", "tax_identification_number", "shipping_address", "integration_customers",
)  # fmt: skip
"""What a preview may say of the customer; for a stored one it counts in the preview only."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Subscriptions that a preview is about; none proposes a new one. plan_code: of the new or the changed one."""

    external_ids: tuple[str, ...]
    plan_code: str
    terminated_at: datetime | None


def read_asked(given: Mapping[str, Any], now: datetime) -> Asked:
    """The subscriptions of a request. Raises ValidationFailed for an end that has passed or cannot be read."""
    about = given.get("subscriptions")
    about = about if isinstance(about, Mapping) else {}
    listed = about.get("external_ids")
    external_ids = tuple(map(str, listed)) if isinstance(listed, list) else ()
    return Asked(
        external_ids=external_ids,
        plan_code=stripped(about if external_ids else given, "plan_code"),
        terminated_at=_read_end(about.get("terminated_at"), now) if external_ids else None,
    )


def _read_end(value: object, now: datetime) -> datetime | None:
    if value is None or value == "":
        return None
    instant = parse_instant(value)
    if instant is None:
        raise ValidationFailed.of("terminated_at", "invalid_timestamp")
    if instant < now:
        raise ValidationFailed.of("terminated_at", "cannot_be_in_past")
    return instant


def customer_key(given: Mapping[str, Any]) -> str:
    """The external id of the stored customer that is meant; "" for somebody new."""
    customer = given.get("customer")
    return stripped(customer, "external_id") if isinstance(customer, Mapping) else ""


def suppose_customer(decision: Decision, given: Mapping[str, Any], asked: Asked) -> None:
    """The customer with what the request says of it; somebody new has no subscriptions yet."""
    customer = given.get("customer")
    customer = customer if isinstance(customer, Mapping) else {}
    key = customer_key(given)
    if key and not decision.exists:
        raise NotFound("customer")
    if not key and asked.external_ids:
        raise ValidationFailed.of("customer", "must_be_persisted")
    entity = given.get("billing_entity_code")
    if entity and entity != decision.organization.organization.billing_entity_code:
        raise NotFound("billing_entity")
    said = {field: customer[field] for field in CUSTOMER_FIELDS if field in customer}
    if said or not decision.exists:
        upsert_customer(decision, key or _unknown(decision), said)


def _unknown(decision: Decision) -> str:
    """The external id of nobody: derived, so that no customer has it."""
    return str(ids.derive(decision.organization.organization.id, "preview"))


def suppose_coupons(decision: Decision, given: Mapping[str, Any]) -> None:
    """The coupons of the request, for a customer who has none."""
    coupons = given.get("coupons")
    if not isinstance(coupons, list) or any(active_coupons(decision)):
        return
    for coupon in coupons:
        if not isinstance(coupon, Mapping):
            raise NotFound("coupon")
        code = stripped(coupon, "code")
        if code not in decision.organization.coupons:
            _suppose_coupon(decision, coupon, code or stripped(coupon, "name"))
        apply_coupon(decision, {"coupon_code": code or stripped(coupon, "name")})


def _suppose_coupon(decision: Decision, given: Mapping[str, Any], code: str) -> None:
    """A coupon that only the request knows."""
    if not given.get("coupon_type"):
        raise NotFound("coupon")
    wanted = {"name": code, "frequency": "once", **given}
    wanted |= {"code": code, "expiration": "no_expiration", "reusable": True}
    organization = decision.organization
    command = CreateCoupon(organization_id=organization.organization.id, input=wanted)
    for event in create_coupon(organization, command, now=decision.now):
        assert isinstance(event, e.CouponCreated)
        decision.record(event)
