"""Creating subscriptions (subscriptions.md §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.decide_plans import UNBILLED
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.fixed_units import asks_for_units_only, read_own_units
from lago_engine.domain.catalog.plan_overrides import child_plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.activation import activated, bill_start
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import set_starting_units
from lago_engine.domain.customer.plan_changes import change_plan
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.profiles import new_profile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.subscription_input import (
    check_payment_method,
    read_ending_at,
    read_instant,
    read_purchase_order_number,
    stripped,
    timezone_now,
)
from lago_engine.domain.timezones import local_date, zone
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound, ValidationFailed

NOT_SUPPORTED_YET = (
    "usage_thresholds", "activation_rules", "invoice_custom_section",
)  # fmt: skip


def create_subscription(
    decision: Decision, given: Mapping[str, Any], *, taken_elsewhere: bool
) -> None:
    """Start, schedule or find a subscription. `taken_elsewhere`: another customer has the id active."""
    plan = read_plan(decision.organization, stripped(given, "plan_code"))
    draft = read_subscription(decision, given, plan)
    draft, plan = _with_own_plan(decision, draft, plan, given)
    if not decision.exists:
        profile = new_profile(
            decision.organization, stripped(given, "external_customer_id"), decision.now
        )
        decision.record(e.CustomerCreated(customer=profile))
    profile = decision.state.profile
    if profile.currency is None:
        profile = replace(profile, currency=plan.amount_currency, updated_at=decision.now)
    current = _current(decision, draft.external_id)
    if current is None and taken_elsewhere:
        raise ValidationFailed.of("external_id", "value_already_exist")
    if current is not None:
        if not _is_same_plan(current, draft):
            change_plan(decision, current, draft, plan, given)
        return
    _start_new(decision, draft, plan, profile)


def read_plan(organization: OrganizationState, code: str) -> Plan:
    """The live plan of this code, which can be subscribed to."""
    plan = organization.plans.get(code)
    if plan is None:
        raise NotFound("plan")
    if any(getattr(plan, part) for part in UNBILLED):
        raise ValidationFailed.of("plan_code", "not_supported_yet")
    return plan


def _with_own_plan(
    decision: Decision, draft: Subscription, plan: Plan, given: Mapping[str, Any]
) -> tuple[Subscription, Plan]:
    """The subscription and the plan that prices it: the child plan, where the request overrides any of it."""
    check = Checker(given)
    overrides = check.mapping("plan_overrides")
    if not overrides:
        return draft, plan
    if asks_for_units_only(overrides):
        own_units = read_own_units(plan, overrides["fixed_charges"])
        return replace(draft, units_overrides=tuple(own_units.items())), plan
    child = child_plan(
        decision.organization, plan, overrides, subscription_id=draft.id, now=decision.now
    )
    return replace(draft, plan_override=child), child


def _is_same_plan(current: Subscription, requested: Subscription) -> bool:
    """A repeated request changes nothing; one without overrides leads from a child plan back to the list price."""
    if current.plan_id != requested.plan_id:
        return False
    return not current.plan_override or bool(requested.plan_override)


def _current(decision: Decision, external_id: str) -> Subscription | None:
    """The subscription that a creation under its id means: active, or waiting for its own start."""
    for subscription in decision.state.subscriptions.values():
        waits = subscription.status == "pending" and not subscription.replaces
        if subscription.external_id == external_id and (subscription.status == "active" or waits):
            return subscription
    return None


def read_subscription(decision: Decision, given: Mapping[str, Any], plan: Plan) -> Subscription:
    """The request as a subscription that has not started; all field errors together."""
    check = Checker(given)
    external_customer_id = stripped(given, "external_customer_id")
    external_id = stripped(given, "external_id")
    if not external_customer_id:
        check.fail("external_customer_id", "value_is_mandatory")
    if not external_id:
        check.fail("external_id", "value_is_mandatory")
    billing_time = check.choice("billing_time", ("calendar", "anniversary"))
    subscription_at = read_instant(check, "subscription_at") or decision.now
    ending_at = read_ending_at(decision, check, subscription_at)
    purchase_order_number = read_purchase_order_number(check)
    check_payment_method(check)
    check.refuse_unbuilt(*NOT_SUPPORTED_YET)
    check.raise_failures()
    owner = decision.organization.customer_id(external_customer_id)
    serial = decision.state.items_count + 1 if decision.exists else 1
    return Subscription(
        id=ids.derive(owner, "subscription", serial),
        external_id=external_id,
        plan_id=plan.id,
        plan_code=plan.code,
        status="pending",
        billing_time="anniversary" if billing_time == "anniversary" else "calendar",
        subscription_at=subscription_at,
        created_at=decision.now,
        name=stripped(given, "name"),
        ending_at=ending_at,
        consolidate_invoice=given.get("consolidate_invoice") is not False,
        purchase_order_number=purchase_order_number,
        progressive_billing_disabled=given.get("progressive_billing_disabled") is True or UNSET,
    )


def _start_new(
    decision: Decision, draft: Subscription, plan: Plan, profile: CustomerProfile
) -> None:
    """Pending when it starts on a later local day, else active (subscriptions.md §2.3)."""
    tz = zone(timezone_now(decision))
    today, start_day = local_date(decision.now, tz), local_date(draft.subscription_at, tz)
    if start_day > today:
        decision.record(e.SubscriptionCreated(customer=profile, subscription=draft))
        return
    active = activated(decision, draft, plan, started_at=draft.subscription_at, now=decision.now)
    decision.record(e.SubscriptionCreated(customer=profile, subscription=active))
    set_starting_units(decision, active, at=decision.now)
    if start_day == today:
        bill_start(decision, active, plan)
