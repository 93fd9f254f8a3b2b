"""Subscriptions come into force and are billed their first period (subscriptions.md §2.3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.billing import bill
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.settings import period_subject
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
    """The subscription in force since `started_at`; periods that began before `now` are not billed."""
    active = replace(subscription, status="active", started_at=started_at, activated_at=started_at)
    owner = decision.organization.organization
    subject = period_subject(active, plan, decision.state.profile, owner)
    first = next_billing_at(subject, max(started_at, now))
    return replace(active, next_billing_on=None if first is None else subject.local_date(first))


def bill_start(decision: Decision, subscription: Subscription, plan: Plan) -> None:
    """A plan paid in advance bills its first period at once."""
    if plan.pay_in_advance:
        assert subscription.started_at is not None
        bill(decision, [subscription], at=subscription.started_at, reason="subscription_starting")
