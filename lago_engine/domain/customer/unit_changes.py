"""Units of fixed charges change under a running subscription: by its plan, or by prices of its own (plans.md §7.4, subscriptions.md §7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.due import advance, due_items
from lago_engine.domain.customer.fixed_charges import (
    in_advance,
    invoice_units,
    plan_version,
    set_units,
)
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.periods import next_fixed_charges_at
from lago_engine.domain.rating.unit_steps import UnitStep
from lago_engine.domain.timezones import MICROSECOND


def follow_units(
    decision: Decision,
    subscription_id: UUID,
    *,
    before: Mapping[UUID, Decimal],
    after: Mapping[UUID, Decimal],
    at_once: frozenset[UUID],
    version: int | None = None,
) -> None:
    """Set the units that a running subscription has `after` a change and not `before`; invoice those that count at once.

    before, after: as `units_of` gives them. at_once: the fixed charges that count from now on, by their ids on the plan
    that is subscribed to; others do from the next period. version: of the plan that changed; one that was followed
    already changes nothing.
    """
    subscription = decision.state.subscriptions[subscription_id]
    if subscription.status != "active":
        return
    changed = {
        key: each
        for key, each in after.items()
        if before.get(key) != each and not _is_followed(decision, subscription, key, version)
    }
    if not changed:
        return
    at_once &= changed.keys()
    if at_once:
        subscription = _up_to_date(decision, subscription)
        if subscription.status != "active":
            return
    now = _from_now(decision, subscription)
    for key, each in changed.items():
        later = now if key in at_once else _next_period(decision, subscription, now)
        step = UnitStep(
            units=each,
            timestamp=later,
            created_at=now,
            plan_version=version or plan_version(decision, subscription),
        )
        set_units(decision, subscription, key, step, at=decision.now)
    plan = plan_of(subscription, decision.organization)
    if due := in_advance(plan) & at_once:
        invoice_units(decision, subscription, due, at=now)


def _is_followed(
    decision: Decision, subscription: Subscription, fixed_charge_id: UUID, version: int | None
) -> bool:
    steps = decision.state.unit_steps.get(subscription.id, {}).get(fixed_charge_id, ())
    return version is not None and any(step.plan_version >= version for step in steps)


def _up_to_date(decision: Decision, subscription: Subscription) -> Subscription:
    """The subscription once everything that is due is done: a period must be billed before more of it is."""
    items = due_items(decision.state, decision.organization)
    if any(each.task == "billing" and each.at <= decision.now for each in items):
        advance(decision, decision.now)
    return decision.state.subscriptions[subscription.id]


def _from_now(decision: Decision, subscription: Subscription) -> datetime:
    """Now, but after the start and after the latest invoice, which billed what was known until then."""
    assert subscription.started_at is not None
    instants = [decision.now, subscription.started_at]
    if subscription.last_link is not None:
        instants.append(subscription.last_link.timestamp + MICROSECOND)
    return max(instants)


def _next_period(decision: Decision, subscription: Subscription, at: datetime) -> datetime:
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    return next_fixed_charges_at(subject, at)
