"""Changes of plan: upgrades at once, downgrades at the end of the paid period (subscriptions.md §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import Interval, Plan
from lago_engine.domain.customer.activation import activated, billed_at_start
from lago_engine.domain.customer.billing import Billed, bill_change
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import set_starting_units
from lago_engine.domain.customer.regrouping import regroup_paid_fees
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import PlanChange, Subscription
from lago_engine.domain.customer.termination import cancel_scheduled_change, end
from lago_engine.domain.periods import PeriodSubject, Succession, period_containing
from lago_engine.domain.timezones import DAY
from lago_engine.errors import ValidationFailed

PERIODS_PER_YEAR: Final[Mapping[Interval, int]] = {
    "weekly": 52, "monthly": 12, "quarterly": 4, "semiannual": 2, "yearly": 1,
}  # fmt: skip


def yearly_amount_cents(plan: Plan) -> int:
    """What plans are compared by (plans.md §13)."""
    return plan.amount_cents * PERIODS_PER_YEAR[plan.interval]


def change_plan(
    decision: Decision,
    current: Subscription,
    requested: Subscription,
    plan: Plan,
    given: Mapping[str, Any],
) -> None:
    """Put `current` on another plan; `requested` has what the request says of the subscription."""
    if current.status == "pending":
        _replace_plan(decision, current, requested)
    elif is_upgrade(decision, current, plan):
        _upgrade(decision, current, heir_of(current, requested, given, "upgrade"), plan)
    else:
        heir = heir_of(current, requested, given, "downgrade")
        schedule_downgrade(decision, current, heir)


def is_upgrade(decision: Decision, current: Subscription, plan: Plan) -> bool:
    """Whether the plan costs no less than the subscription's own, by yearly amounts."""
    own = plan_of(current, decision.organization)
    return yearly_amount_cents(plan) >= yearly_amount_cents(own)


def _replace_plan(decision: Decision, pending: Subscription, requested: Subscription) -> None:
    """A subscription that has not started just starts on the other plan."""
    changed = replace(
        pending,
        plan_id=requested.plan_id,
        plan_code=requested.plan_code,
        plan_override=UNSET,
        units_overrides=UNSET,
        name=requested.name or pending.name,
    )
    decision.record(e.SubscriptionUpdated(customer=decision.state.profile, subscription=changed))


def heir_of(
    current: Subscription,
    requested: Subscription,
    given: Mapping[str, Any],
    succession: Succession,
) -> Subscription:
    """The next subscription of the chain, pending: same id and billing grid, and what it inherits."""
    inherited = {
        field: getattr(current, field)
        for field in ("ending_at", "consolidate_invoice", "purchase_order_number")
        if given.get(field) is None
    }
    return replace(
        requested,
        subscription_at=current.subscription_at,
        billing_time=current.billing_time,
        replaces=PlanChange(
            subscription_id=current.id, plan_id=current.plan_id, succession=succession
        ),
        **inherited,
    )


def schedule_downgrade(decision: Decision, current: Subscription, heir: Subscription) -> None:
    """The downgrade waits, in the place of one that waited before."""
    subject = subject_of(current, decision.state.profile, decision.organization)
    paid_until = period_containing(subject, decision.now).last
    if heir.ending_at != current.ending_at and _ends_by(subject, heir, paid_until + DAY):
        raise ValidationFailed.of("ending_at", "invalid_date")
    current = cancel_scheduled_change(decision, current, at=decision.now)
    profile = decision.state.profile
    decision.record(e.SubscriptionCreated(customer=profile, subscription=heir))
    change = PlanChange(subscription_id=heir.id, plan_id=heir.plan_id, succession="downgrade")
    scheduled = replace(current, replaced_by=change)
    decision.record(e.SubscriptionUpdated(customer=profile, subscription=scheduled))


def _upgrade(decision: Decision, current: Subscription, heir: Subscription, plan: Plan) -> None:
    """The old subscription ends now, the new one starts now, one invoice settles both."""
    bill_change(decision, upgraded(decision, current, heir, plan), at=decision.now)
    regroup_paid_fees(decision, {heir.external_id}, at=decision.now, renewal=False)


def upgraded(
    decision: Decision, current: Subscription, heir: Subscription, plan: Plan
) -> Sequence[Billed]:
    """Put `heir` in the place of `current` now; what is to be billed for it."""
    now = decision.now
    current = cancel_scheduled_change(decision, current, at=now)
    billed = _hand_over(decision, current, heir, at=now)
    new = activated(decision, heir, plan, started_at=now, now=now)
    decision.record(e.SubscriptionCreated(customer=decision.state.profile, subscription=new))
    set_starting_units(decision, new, at=now)
    return billed, *billed_at_start(new, plan)


def execute_downgrade(
    decision: Decision, current: Subscription, *, effective_at: datetime, at: datetime
) -> None:
    """The scheduled change of `current` takes effect with the first instant of a period, billed at `at`."""
    billed = downgraded(decision, current, effective_at=effective_at, at=at)
    bill_change(decision, billed, at=at)
    regroup_paid_fees(decision, {current.external_id}, at=at, renewal=False)


def downgraded(
    decision: Decision, current: Subscription, *, effective_at: datetime, at: datetime
) -> Sequence[Billed]:
    """Put the subscription that waits for it in the place of `current`; what is to be billed for it."""
    assert current.replaced_by
    pending = decision.state.subscriptions[current.replaced_by.subscription_id]
    plan = plan_of(pending, decision.organization)
    subject = subject_of(current, decision.state.profile, decision.organization)
    if _ends_by(subject, pending, subject.local_date(effective_at)):
        # An end that was set before its start says nothing.
        pending = replace(pending, ending_at=None)
    billed = _hand_over(decision, current, pending, at=effective_at)
    new = activated(decision, pending, plan, started_at=effective_at, now=at)
    decision.record(e.SubscriptionStarted(customer=decision.state.profile, subscription=new), at=at)
    set_starting_units(decision, new, at=at)
    return billed, *billed_at_start(new, plan)


def _ends_by(subject: PeriodSubject, subscription: Subscription, day: date) -> bool:
    return subscription.ending_at is not None and subject.local_date(subscription.ending_at) <= day


def _hand_over(
    decision: Decision, current: Subscription, heir: Subscription, *, at: datetime
) -> Billed:
    """End `current` in favour of `heir`; how it is billed."""
    assert heir.replaces
    change = PlanChange(
        subscription_id=heir.id,
        plan_id=heir.plan_id,
        succession=heir.replaces.succession,
        took_effect_at=at,
    )
    return end(decision, replace(current, replaced_by=change), at=at), "subscription_terminating"
