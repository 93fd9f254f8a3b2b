"""Subscriptions end: on request, at their `ending_at`, or in favour of another plan (subscriptions.md §5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.billing import bill
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.regrouping import regroup_paid_fees
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.unused_days import credit_unused_days
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound

CREDIT_NOTE_OPTIONS = ("credit", "refund", "offset", "skip")
INVOICE_OPTIONS = ("generate", "skip")


def terminate_on_request(decision: Decision, external_id: str, given: Mapping[str, Any]) -> None:
    """`DELETE /subscriptions/{external_id}`: cancel the pending one or end the active one now."""
    check = Checker(given)
    credit_note = check.choice(
        "on_termination_credit_note", CREDIT_NOTE_OPTIONS, unknown="invalid_value"
    )
    invoice = check.choice("on_termination_invoice", INVOICE_OPTIONS, unknown="invalid_value")
    check.raise_failures()
    wanted = "pending" if given.get("status") == "pending" else "active"
    subscription = next(
        (
            s
            for s in decision.state.subscriptions.values()
            if s.external_id == external_id and s.status == wanted
        ),
        None,
    )
    if subscription is None:
        raise NotFound("subscription")
    if wanted == "pending":
        cancel_pending(decision, subscription)
        return
    stored = replace(
        subscription,
        on_termination_credit_note=credit_note or subscription.on_termination_credit_note,
        on_termination_invoice=invoice or subscription.on_termination_invoice,
    )
    terminate(decision, stored, at=decision.now)


def cancel_pending(decision: Decision, pending: Subscription) -> None:
    """Give up a subscription that has not started; a downgrade leaves the current one as it is."""
    if not pending.replaces:
        _record_canceled(decision, pending, at=decision.now)
        return
    current = decision.state.subscriptions[pending.replaces.subscription_id]
    kept = cancel_scheduled_change(decision, current, at=decision.now)
    decision.record(e.SubscriptionUpdated(customer=decision.state.profile, subscription=kept))


def cancel_scheduled_change(
    decision: Decision, current: Subscription, *, at: datetime
) -> Subscription:
    """Cancel the downgrade that waits for `current`, if there is one; `current` without it."""
    if not current.replaced_by:
        return current
    pending = decision.state.subscriptions[current.replaced_by.subscription_id]
    _record_canceled(decision, pending, at=at)
    return replace(current, replaced_by=UNSET)


def _record_canceled(decision: Decision, pending: Subscription, *, at: datetime) -> None:
    canceled = replace(pending, status="canceled", canceled_at=at)
    decision.record(
        e.SubscriptionCanceled(customer=decision.state.profile, subscription=canceled), at=at
    )


def terminate(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """End an active subscription at `at` with its stored options, and bill what it still owes."""
    subscription = cancel_scheduled_change(decision, subscription, at=at)
    terminated = end(decision, subscription, at=at)
    if terminated.on_termination_invoice == "generate":
        bill(decision, [(terminated, "subscription_terminating")], at=at)
    regroup_paid_fees(decision, {terminated.external_id}, at=at, renewal=False)


def end(decision: Decision, subscription: Subscription, *, at: datetime) -> Subscription:
    """Record the end of an active subscription, and give back what was paid for days after it."""
    plan = plan_of(subscription, decision.organization)
    credit_note = subscription.on_termination_credit_note or "credit"
    terminated = replace(
        subscription,
        status="terminated",
        terminated_at=at,
        next_billing_on=None,
        on_termination_credit_note=credit_note if plan.pay_in_advance else None,
    )
    decision.record(
        e.SubscriptionTerminated(customer=decision.state.profile, subscription=terminated), at=at
    )
    credit_unused_days(decision, terminated, at=at)
    return terminated
