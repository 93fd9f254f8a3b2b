"""What falls due for a customer, and doing it in order, each thing at its own instant (architecture §8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import starmap
from typing import Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer import wallet_schedule as wallets
from lago_engine.domain.customer.activation import (
    activated,
    bill_start,
    end_trial,
    trial_ends_at,
)
from lago_engine.domain.customer.billing import bill, finalize_draft
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.deletion import DRAFTS_FINAL_AFTER
from lago_engine.domain.customer.fixed_charges import set_starting_units
from lago_engine.domain.customer.plan_changes import execute_downgrade
from lago_engine.domain.customer.regrouping import regroup_paid_fees
from lago_engine.domain.customer.renewals import bill_renewals
from lago_engine.domain.customer.settings import plan_of, subject_of, timezone_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.termination import terminate
from lago_engine.domain.customer.windows import billing_instant
from lago_engine.domain.periods import is_billing_day
from lago_engine.domain.timezones import local_date, start_of_day, zone

Task = Literal[
    "activations", "terminations", "wallet_expirations", "billing", "free_trials", "finalization",
    "wallet_rules", "payment_overdue",
]  # fmt: skip

ORDER: tuple[Task, ...] = (
    "activations", "terminations", "wallet_expirations", "billing", "free_trials", "finalization",
    "wallet_rules", "payment_overdue",
)  # fmt: skip
"""Of things due at one instant: who is there is settled before who is billed (api_conventions.md §11)."""


class Due(msgspec.Struct, frozen=True):
    """One thing that falls due; `subject` is the subscription or invoice it is about."""

    at: datetime
    task: Task
    subject: UUID


def due_items(state: CustomerState, organization: OrganizationState) -> Iterator[Due]:
    """Everything that will fall due if nothing else happens; each thing once."""
    tz = zone(timezone_of(state.profile, organization.organization))
    for subscription in state.subscriptions.values():
        if subscription.status == "pending" and not subscription.replaces:
            day = local_date(subscription.subscription_at, tz)
            yield Due(start_of_day(day, tz), "activations", subscription.id)
        elif subscription.status == "active":
            if subscription.ending_at is not None:
                day = local_date(subscription.ending_at, tz)
                yield Due(start_of_day(day, tz), "terminations", subscription.id)
            subject = subject_of(subscription, state.profile, organization)
            at = billing_instant(subject, subscription)
            if at is not None:
                yield Due(at, "billing", subscription.id)
            free_until = trial_ends_at(subscription, plan_of(subscription, organization))
            if free_until is not None:
                yield Due(free_until, "free_trials", subscription.id)
    yield from starmap(Due, wallets.due_items(state, tz))
    for draft in state.drafts.values():
        final_at = start_of_day(draft.expected_finalization_date, tz)
        yield Due(_no_later(final_at, state), "finalization", draft.id)
    for record in state.invoices.values():
        owing = record.payment_status != "succeeded" and record.status == "finalized"
        if owing and not record.payment_overdue:
            after = record.payment_due_date + timedelta(days=1)
            yield Due(start_of_day(after, tz), "payment_overdue", record.id)


def _no_later(final_at: datetime, state: CustomerState) -> datetime:
    """When a draft is finalized: soon after its customer was deleted."""
    deleted_at = state.profile.deleted_at
    return final_at if deleted_at is None else min(final_at, deleted_at + DRAFTS_FINAL_AFTER)


def next_due(state: CustomerState, organization: OrganizationState) -> datetime | None:
    """The earliest instant at which something falls due."""
    return min((due.at for due in due_items(state, organization)), default=None)


def advance(decision: Decision, until: datetime) -> None:
    """Do everything due up to and including `until`, in order, each thing at its own instant.

    Ends early when a subscription starts, in a change of plan too: metering counts its usage from the commit that says so, and only
    then it can be billed. What is due after that stays due.
    """
    while True:
        due = [d for d in due_items(decision.state, decision.organization) if d.at <= until]
        if not due:
            return
        first = min(due, key=lambda d: (d.at, ORDER.index(d.task)))
        together = [d.subject for d in due if d.at == first.at and d.task == first.task]
        _do(decision, first.task, together, at=first.at)
        if any(isinstance(r.event, e.SubscriptionStarted) for r in decision.recorded):
            return


def run_tasks(decision: Decision, tasks: tuple[str, ...], now: datetime) -> None:
    """Do what is due at `now`, only the named tasks in the given order (test_clocks.md §3).

    Billing then needs `now` to lie on a billing day, as the hourly clock of the reference does.
    """
    for task in tasks:
        if task == "wallets":
            wallets.refresh_wallets(decision, at=now)
        due = [
            d
            for d in due_items(decision.state, decision.organization)
            if d.task == task and d.at <= now
        ]
        if task == "billing":
            due = [d for d in due if _bills_today(decision, d.subject, now)]
        if task == "wallet_rules":
            due = [d for d in due if wallets.fires_today(decision, d.subject, now)]
        if due:
            _do(decision, due[0].task, [d.subject for d in due], at=now)


def _bills_today(decision: Decision, subscription_id: UUID, now: datetime) -> bool:
    subscription = decision.state.subscriptions[subscription_id]
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    return is_billing_day(subject, now)


def _do(decision: Decision, task: Task, subjects: list[UUID], *, at: datetime) -> None:
    if task == "billing":
        _bill_periods(decision, subjects, at=at)
        return
    for subject in subjects:
        if task == "activations":
            _activate(decision, subject, at=at)
        elif task == "terminations":
            terminate(decision, decision.state.subscriptions[subject], at=at)
        elif task == "free_trials":
            end_trial(decision, decision.state.subscriptions[subject], at=at)
        elif task == "wallet_expirations":
            wallets.expire(decision, subject, at=at)
        elif task == "wallet_rules":
            wallets.apply_interval_rule(decision, subject, at=at)
        elif task == "finalization":
            finalize_draft(decision, decision.state.drafts[subject], at=at)
        else:
            decision.record(e.InvoicePaymentOverdue(invoice_id=subject), at=at)


def _bill_periods(decision: Decision, subjects: list[UUID], *, at: datetime) -> None:
    """Bill who goes on, then change the plan of those who do not."""
    subscriptions = [decision.state.subscriptions[subject] for subject in subjects]
    changing = [s for s in subscriptions if _changes_plan(decision, s, at)]
    staying = [s for s in subscriptions if s not in changing]
    bill(decision, [(s, "subscription_periodic") for s in staying], at=at)
    for subscription in staying:
        bill_renewals(decision, subscription, at=at)
    regroup_paid_fees(decision, {each.external_id for each in staying}, at=at, renewal=True)
    for subscription in changing:
        subject = subject_of(subscription, decision.state.profile, decision.organization)
        midnight = start_of_day(subject.local_date(at), subject.tz)
        execute_downgrade(decision, subscription, effective_at=midnight, at=at)


def _changes_plan(decision: Decision, subscription: Subscription, at: datetime) -> bool:
    """Whether a downgrade takes effect: at the end of what the base fee paid for, not of a month in it."""
    if not subscription.replaced_by:
        return False
    subject = subject_of(subscription, decision.state.profile, decision.organization)
    day = subject.local_date(at)
    return subject.main_grid.start(day) == day


def _activate(decision: Decision, subscription_id: UUID, *, at: datetime) -> None:
    """Start a pending subscription at its `subscription_at` (billing_periods.md §17 item 11)."""
    pending = decision.state.subscriptions[subscription_id]
    plan = plan_of(pending, decision.organization)
    active = activated(decision, pending, plan, started_at=pending.subscription_at, now=at)
    profile = decision.state.profile
    if profile.currency is None:
        profile = replace(profile, currency=plan.amount_currency, updated_at=at)
    decision.record(e.SubscriptionStarted(customer=profile, subscription=active), at=at)
    set_starting_units(decision, active, at=at)
    bill_start(decision, active, plan)
