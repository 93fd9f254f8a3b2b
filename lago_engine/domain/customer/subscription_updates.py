"""Updating a subscription (subscriptions.md §6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.fixed_units import applied_at_once
from lago_engine.domain.customer.activation import activated, bill_start
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import set_starting_units, units_of
from lago_engine.domain.customer.price_overrides import follow_own_units, with_overrides
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.subscription_input import (
    check_payment_method,
    read_ending_at,
    read_instant,
    read_purchase_order_number,
    stripped,
    timezone_now,
)
from lago_engine.domain.customer.termination import CREDIT_NOTE_OPTIONS, INVOICE_OPTIONS
from lago_engine.domain.customer.windows import billing_instant
from lago_engine.domain.periods import next_billing_at
from lago_engine.domain.timezones import MICROSECOND, local_date, zone
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotAllowed, NotFound

NOT_SUPPORTED_YET: Final = ("usage_thresholds", "invoice_custom_section")


def update_subscription(
    decision: Decision, subscription_id: UUID, given: Mapping[str, Any]
) -> None:
    """Change the present fields; a pending subscription that is moved to today or earlier starts."""
    subscription = decision.state.subscriptions.get(subscription_id)
    if subscription is None:
        raise NotFound("subscription")
    plan = plan_of(subscription, decision.organization)
    check = Checker(given)
    updated = replace(subscription, **_changes(decision, check, subscription, plan))
    check.raise_failures()
    if overrides := check.mapping("plan_overrides"):
        updated = with_overrides(decision, updated, overrides)
        plan = plan_of(updated, decision.organization)
    _check_order_number(subscription, updated)
    if updated.status == "active":
        updated = _with_cursor(decision, updated)
    if _starts_now(decision, subscription, updated):
        _start(decision, updated, plan)
        return
    had = units_of(subscription, plan_of(subscription, decision.organization))
    _record_updated(decision, updated)
    if overrides:
        at_once = applied_at_once(plan, overrides)
        follow_own_units(decision, subscription_id, before=had, at_once=at_once)


def _changes(
    decision: Decision, check: Checker, subscription: Subscription, plan: Plan
) -> dict[str, Any]:
    """The present fields as they will be; refusals are left in `check`."""
    given, changes = check.values, dict[str, Any]()
    check_payment_method(check)
    check.refuse_unbuilt(*NOT_SUPPORTED_YET)
    _check_activation_rules(check, subscription)
    if "name" in given:
        changes["name"] = stripped(given, "name")
    if given.get("subscription_at") and _waits_for_its_start(subscription):
        changes["subscription_at"] = (
            read_instant(check, "subscription_at") or subscription.subscription_at
        )
    if "ending_at" in given:
        start = changes.get("subscription_at", subscription.subscription_at)
        changes["ending_at"] = read_ending_at(decision, check, start)
    if "purchase_order_number" in given:
        changes["purchase_order_number"] = read_purchase_order_number(check)
    for field in ("consolidate_invoice", "progressive_billing_disabled"):
        if (value := check.boolean(field)) is not None:
            changes[field] = value
    return changes | _termination_options(check, plan)


def _termination_options(check: Checker, plan: Plan) -> dict[str, Any]:
    """What a later end does; there is nothing to give back of a plan in arrears."""
    changes: dict[str, Any] = {}
    if "on_termination_credit_note" in check.values:
        option = check.choice(
            "on_termination_credit_note", CREDIT_NOTE_OPTIONS, unknown="invalid_value"
        )
        if plan.pay_in_advance:
            changes["on_termination_credit_note"] = option
    option = check.choice("on_termination_invoice", INVOICE_OPTIONS, unknown="invalid_value")
    return changes | ({"on_termination_invoice": option} if option else {})


def _check_activation_rules(check: Checker, subscription: Subscription) -> None:
    if check.values.get("activation_rules") and subscription.status != "pending":
        check.fail("activation_rules", "subscription_not_pending")
    else:
        check.refuse_unbuilt("activation_rules")


def _waits_for_its_start(subscription: Subscription) -> bool:
    """Pending, and not as a scheduled downgrade."""
    return subscription.status == "pending" and not subscription.replaces


def _check_order_number(before: Subscription, after: Subscription) -> None:
    changed = before.purchase_order_number != after.purchase_order_number
    if changed and before.status not in ("pending", "active"):
        raise NotAllowed("purchase_order_number_not_editable")


def _with_cursor(decision: Decision, subscription: Subscription) -> Subscription:
    """The next billing day with the new `ending_at`; a day that waits to be billed is kept."""
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    waiting = billing_instant(subject, subscription)
    after = decision.now if waiting is None else waiting - MICROSECOND
    following = next_billing_at(subject, after)
    return replace(
        subscription,
        next_billing_on=None if following is None else subject.local_date(following),
    )


def _starts_now(decision: Decision, before: Subscription, after: Subscription) -> bool:
    if before.subscription_at == after.subscription_at:
        return False
    tz = zone(timezone_now(decision))
    return local_date(after.subscription_at, tz) <= local_date(decision.now, tz)


def _start(decision: Decision, pending: Subscription, plan: Plan) -> None:
    """Active since its `subscription_at`; billed its start when that is today."""
    at = pending.subscription_at
    active = activated(decision, pending, plan, started_at=at, now=decision.now)
    decision.record(e.SubscriptionStarted(customer=decision.state.profile, subscription=active))
    set_starting_units(decision, active, at=decision.now)
    _record_updated(decision, active)
    tz = zone(timezone_now(decision))
    if local_date(at, tz) == local_date(decision.now, tz):
        bill_start(decision, active, plan)


def _record_updated(decision: Decision, subscription: Subscription) -> None:
    profile = decision.state.profile
    decision.record(e.SubscriptionUpdated(customer=profile, subscription=subscription))
