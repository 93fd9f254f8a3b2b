"""Subscriptions come into force, are billed their first period, and leave their trial (subscriptions.md §2.3, §4)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.billing import Billed, bill
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import in_advance, invoice_units
from lago_engine.domain.customer.settings import (
    period_subject,
    plan_of,
    subject_of,
    trial_end_of,
)
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.periods import next_billing_at


def activated(
    decision: Decision,
    subscription: Subscription,
    plan: Plan,
    *,
    started_at: datetime,
    now: datetime,
) -> Subscription:
    """The subscription in force since `started_at`; periods that began before `now` are not billed.

    It starts after the end of a billed one with the same external id: that window is not opened again. A trial that was over before it began is not announced when it ends.
    """
    namesakes = [
        other
        for other in decision.state.subscriptions.values()
        if other.external_id == subscription.external_id and other.started_at is not None
    ]
    started_at = max([started_at, *filter(None, map(_billed_end, namesakes))])
    active = replace(
        subscription,
        status="active",
        started_at=started_at,
        activated_at=started_at,
        initial_started_at=min([started_at, *filter(None, (s.started_at for s in namesakes))]),
    )
    owner = decision.organization.organization
    subject = period_subject(active, plan, decision.state.profile, owner)
    first = next_billing_at(subject, max(started_at, now))
    active = replace(active, next_billing_on=None if first is None else subject.local_date(first))
    free_until = trial_end_of(active, plan)
    if free_until is None or free_until > max(started_at, now):
        return active
    return replace(active, trial_ended_at=free_until)


def _billed_end(subscription: Subscription) -> datetime | None:
    billed = subscription.on_termination_invoice == "generate"
    return subscription.terminated_at if billed else None


def in_trial(subscription: Subscription, plan: Plan, at: datetime) -> bool:
    """Whether the base fee is free at `at`."""
    free_until = trial_end_of(subscription, plan)
    return free_until is not None and at < free_until


def billed_at_start(subscription: Subscription, plan: Plan) -> list[Billed]:
    """How a subscription that begins with a change of plan is billed: its first base fee and fixed charges in advance."""
    if _pays_base_fee(subscription, plan) or in_advance(plan):
        return [(subscription, "subscription_starting")]
    return []


def _pays_base_fee(subscription: Subscription, plan: Plan) -> bool:
    assert subscription.started_at is not None
    return plan.pay_in_advance and not in_trial(subscription, plan, subscription.started_at)


def bill_start(decision: Decision, subscription: Subscription, plan: Plan) -> None:
    """Bill what is due at the start of a subscription (subscriptions.md §2.3)."""
    assert subscription.started_at is not None
    if _pays_base_fee(subscription, plan):
        bill(decision, [(subscription, "subscription_starting")], at=subscription.started_at)
    elif fixed_charge_ids := in_advance(plan):
        invoice_units(decision, subscription, fixed_charge_ids, at=subscription.started_at)


def trial_ends_at(subscription: Subscription, plan: Plan) -> datetime | None:
    """When the running trial of an active subscription is to end; None without one."""
    return None if subscription.trial_ended_at else trial_end_of(subscription, plan)


def end_trial(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """The base fee is not free any more: a plan paid in advance bills the rest of the period."""
    plan = plan_of(subscription, decision.organization)
    ended = replace(subscription, trial_ended_at=trial_end_of(subscription, plan))
    decision.record(
        e.SubscriptionTrialEnded(customer=decision.state.profile, subscription=ended), at=at
    )
    if plan.pay_in_advance and not ended.base_fees and not _was_billed_today(decision, ended, at):
        bill(decision, [(ended, "subscription_starting")], at=at)


def _was_billed_today(decision: Decision, subscription: Subscription, at: datetime) -> bool:
    """On the last day of a trial the periodic invoice has the base fee already."""
    last = subscription.last_link
    if last is None or not last.recurring:
        return False
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    return subject.local_date(last.timestamp) == subject.local_date(at)
