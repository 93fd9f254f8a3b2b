"""`POST /invoices/preview` (invoices.md §15): decided as if it happened, on a state that nobody keeps.

A preview supposes what the request says – a customer, a subscription, an end, another plan – by the facts that
would make it true, and builds the invoice that would follow with the code that bills. As a draft shows neither
coupons nor credit notes, it is built as one without a grace period, so that its total is what would be collected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.activation import activated
from lago_engine.domain.customer.billing import Billed, joint_input
from lago_engine.domain.customer.decision import Decision, Recorded, UsageReader
from lago_engine.domain.customer.fixed_charges import in_advance, set_starting_units
from lago_engine.domain.customer.plan_changes import (
    downgraded,
    heir_of,
    is_upgrade,
    schedule_downgrade,
    upgraded,
)
from lago_engine.domain.customer.preview_input import (
    Asked,
    read_asked,
    suppose_coupons,
    suppose_customer,
)
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.subscriptions import read_plan, read_subscription
from lago_engine.domain.customer.termination import cancel_scheduled_change, end
from lago_engine.domain.customer.windows import billing_instant
from lago_engine.domain.invoicing.builder import build_invoice
from lago_engine.domain.periods import next_billing_at, period_containing
from lago_engine.domain.timezones import DAY, start_of_day
from lago_engine.errors import NotFound, ValidationFailed

Bill = tuple[Sequence[Billed], datetime]
"""What is billed together, and when."""


class Preview(msgspec.Struct, frozen=True):
    """The invoice's id, and the facts that lead to it; none of them happened."""

    invoice_id: UUID
    recorded: Sequence[Recorded]


def preview_invoice(
    state: CustomerState | None,
    given: Mapping[str, Any],
    *,
    organization: OrganizationState,
    now: datetime,
    usage: UsageReader,
) -> Preview:
    """The next invoice of what the request supposes. state: the customer it names, None for somebody new."""
    decision = Decision(state, organization, now=now, usage=usage)
    asked = read_asked(given, now)
    suppose_customer(decision, given, asked)
    suppose_coupons(decision, given)
    billed, at = _supposed(decision, given, asked)
    invoice_input = joint_input(decision, billed, "subscription", at=at)
    invoice = build_invoice(invoice_input, usage, now=now)
    decision.record(e.InvoiceDrafted(invoice=replace(invoice, number="")))
    return Preview(invoice.id, decision.recorded)


def _supposed(decision: Decision, given: Mapping[str, Any], asked: Asked) -> Bill:
    if not asked.external_ids:
        return _proposed(decision, given, asked)
    subscriptions = [_subscription(decision, external_id) for external_id in asked.external_ids]
    if asked.terminated_at is not None:
        subscription = _only(subscriptions, "only_one_subscription_allowed_for_termination")
        return _ended(decision, _active(subscription), at=asked.terminated_at)
    if asked.plan_code:
        subscription = _only(subscriptions, "only_one_subscription_allowed_for_plan_change")
        return _changed(decision, _active(subscription), asked.plan_code)
    return _next(decision, subscriptions)


def _subscription(decision: Decision, external_id: str) -> Subscription:
    """The active one of this id, else the one that waits for its own start."""
    own = [s for s in decision.state.subscriptions.values() if s.external_id == external_id]
    active = [s for s in own if s.status == "active"]
    waiting = [s for s in own if s.status == "pending" and not s.replaces]
    if not active + waiting:
        raise NotFound("subscription")
    return (active + waiting)[0]


def _active(subscription: Subscription) -> Subscription:
    if subscription.status != "active":
        raise NotFound("subscription")
    return subscription


def _only(subscriptions: Sequence[Subscription], refusal: str) -> Subscription:
    if len(subscriptions) > 1:
        raise ValidationFailed.of("subscriptions", refusal)
    return subscriptions[0]


# --- proposal ----------------------------------------------------------------------------------


def _proposed(decision: Decision, given: Mapping[str, Any], asked: Asked) -> Bill:
    """The first invoice of a subscription that the customer might take."""
    plan = read_plan(decision.organization, asked.plan_code)
    return _first_bill(decision, _requested(decision, given, plan, _new_key(decision)))


def _requested(
    decision: Decision, given: Mapping[str, Any], plan: Plan, external_id: str
) -> Subscription:
    said = {key: given[key] for key in ("billing_time", "subscription_at") if key in given}
    owner = {"external_customer_id": decision.state.profile.external_id, "external_id": external_id}
    return read_subscription(decision, said | owner, plan)


def _new_key(decision: Decision) -> str:
    """The external id of a subscription that there is not: derived, so that no other has it."""
    return str(ids.derive(decision.state.id, "preview"))


def _first_bill(decision: Decision, waiting: Subscription) -> Bill:
    """What a subscription that has not started is billed first; it has no usage yet."""
    plan = replace(plan_of(waiting, decision.organization), charges=())
    started_at = waiting.subscription_at
    waiting = replace(waiting, plan_override=plan)
    active = activated(decision, waiting, plan, started_at=started_at, now=started_at)
    customer = decision.state.profile
    decision.record(e.SubscriptionCreated(customer=customer, subscription=active))
    set_starting_units(decision, active, at=started_at)
    if plan.pay_in_advance or in_advance(plan):
        return [(active, "subscription_starting")], started_at
    at = next_billing_at(subject_of(active, customer, decision.organization), started_at)
    if at is None:
        return _ended(decision, active, at=_last_day(decision, active))
    return [(active, "subscription_periodic")], at


# --- what may become of a subscription ---------------------------------------------------------


def _ended(decision: Decision, subscription: Subscription, *, at: datetime) -> Bill:
    current = cancel_scheduled_change(decision, subscription, at=at)
    return [(end(decision, current, at=at), "subscription_terminating")], at


def _last_day(decision: Decision, subscription: Subscription) -> datetime:
    """When a subscription that is not billed again comes to its end: with the day of its `ending_at`."""
    assert subscription.ending_at is not None, "what has no end is billed again"
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    return start_of_day(subject.local_date(subscription.ending_at), subject.tz)


def _changed(decision: Decision, current: Subscription, plan_code: str) -> Bill:
    """On another plan: an upgrade is billed at once, a downgrade when the paid period ends."""
    plan = read_plan(decision.organization, plan_code)
    if plan.id == current.plan_id:
        raise ValidationFailed.of("base", "new_plan_should_be_different_from_existing_plan")
    requested = _requested(decision, {}, plan, current.external_id)
    if is_upgrade(decision, current, plan):
        heir = heir_of(current, requested, {}, "upgrade")
        return upgraded(decision, current, heir, plan), decision.now
    schedule_downgrade(decision, current, heir_of(current, requested, {}, "downgrade"))
    return _downgraded(decision, decision.state.subscriptions[current.id])


def _downgraded(decision: Decision, current: Subscription) -> Bill:
    subject = subject_of(current, decision.state.profile, decision.organization)
    at = start_of_day(period_containing(subject, decision.now).last + DAY, subject.tz)
    return downgraded(decision, current, effective_at=at, at=at), at


# --- what comes next ---------------------------------------------------------------------------


def _next(decision: Decision, subscriptions: Sequence[Subscription]) -> Bill:
    """The next periodic invoice; subscriptions can share one that are billed in one currency at one time."""
    plans = [plan_of(each, decision.organization) for each in subscriptions]
    if len({plan.amount_currency for plan in plans}) > 1:
        raise ValidationFailed.of("base", "subscription_currencies_does_not_match")
    bills = [_next_of(decision, each) for each in subscriptions]
    if len({at for _, at in bills}) > 1:
        raise ValidationFailed.of("base", "billing_periods_does_not_match")
    return [each for billed, _ in bills for each in billed], bills[0][1]


def _next_of(decision: Decision, subscription: Subscription) -> Bill:
    if subscription.status == "pending":
        return _first_bill(decision, subscription)
    if subscription.replaced_by:
        return _downgraded(decision, subscription)
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    at = billing_instant(subject, subscription)
    if at is None:
        return _ended(decision, subscription, at=_last_day(decision, subscription))
    return [(subscription, "subscription_periodic")], at
