"""Subscriptions end: on request or at their `ending_at` (subscriptions.md §5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.billing import bill
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.periods import link_windows
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound, ValidationFailed


def terminate_on_request(decision: Decision, external_id: str, given: Mapping[str, Any]) -> None:
    """`DELETE /subscriptions/{external_id}`: cancel the pending one or end the active one now."""
    check = Checker(given)
    credit_note = check.choice(
        "on_termination_credit_note",
        ("credit", "refund", "offset", "skip"),
        unknown="invalid_value",
    )
    invoice = check.choice("on_termination_invoice", ("generate", "skip"), unknown="invalid_value")
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
        canceled = replace(subscription, status="canceled", canceled_at=decision.now)
        decision.record(
            e.SubscriptionCanceled(customer=decision.state.profile, subscription=canceled)
        )
        return
    stored = replace(
        subscription,
        on_termination_credit_note=credit_note or subscription.on_termination_credit_note,
        on_termination_invoice=invoice or subscription.on_termination_invoice,
    )
    terminate(decision, stored, at=decision.now)


def terminate(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """End an active subscription at `at` with its stored options, and bill what it still owes."""
    plan = plan_of(subscription, decision.organization)
    credit_note = subscription.on_termination_credit_note or "credit"
    if (
        plan.pay_in_advance
        and credit_note != "skip"
        and _unused_prepaid(decision, subscription, at)
    ):
        raise ValidationFailed.of("on_termination_credit_note", "not_supported_yet")
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
    if terminated.on_termination_invoice == "generate":
        bill(decision, [terminated], at=at, reason="subscription_terminating")


def _unused_prepaid(decision: Decision, subscription: Subscription, at: datetime) -> bool:
    """Whether days of a billed, paid-in-advance period are left, which a credit note would give back."""
    if not subscription.base_fees or plan_of(subscription, decision.organization).amount_cents == 0:
        return False
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    running = link_windows(subject, at, mode="current_usage")
    return subject.local_date(at) < subject.local_date(running.subscription_to)
