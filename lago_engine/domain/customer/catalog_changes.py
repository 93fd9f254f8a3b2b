"""What a customer does after the catalog changed: child plans follow, subscriptions of a deleted plan end (plans.md §4.2, §11.2, §12).

The engine asks every customer concerned, once or more often: what is done already is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.cascade import cascaded
from lago_engine.domain.catalog.decide_charges import without_charges_of
from lago_engine.domain.catalog.decide_fixed_charges import without_add_on
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.metric_filters import with_filters_of
from lago_engine.domain.customer.billing import finalize_draft, rebuild
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import units_of
from lago_engine.domain.customer.plan_changes import change_plan, yearly_amount_cents
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.termination import (
    cancel_pending,
    cancel_scheduled_change,
    terminate,
)
from lago_engine.domain.customer.unit_changes import follow_units
from lago_engine.domain.invoicing.model import Invoice


def follow_plan(
    decision: Decision, plan_id: UUID, version: int, *, cascade: bool, at_once: frozenset[UUID]
) -> None:
    """After the plan came to `version`: units and, if asked, child plans follow, and scheduled downgrades are looked at again."""
    versions, metrics = decision.organization.plan_versions, decision.organization.metrics_by_id
    before, after = versions[plan_id, version - 1], versions[plan_id, version]
    units = {
        each.id: units_of(each, each.plan_override or before)
        for each in _on_plan(decision, plan_id)
    }
    if cascade:
        _reprice(
            decision, plan_id, lambda own: cascaded(own, before, after, metrics, now=decision.now)
        )
    for subscription_id, had in units.items():
        now = decision.state.subscriptions[subscription_id]
        follow_units(
            decision,
            subscription_id,
            before=had,
            after=units_of(now, now.plan_override or after),
            at_once=at_once,
            version=version,
        )
    if before.amount_cents != after.amount_cents:
        for pending in [s for s in _on_plan(decision, None) if s.replaces]:
            _review_downgrade(decision, pending, plan_id)


def follow_metric(decision: Decision, metric_id: UUID) -> None:
    """A deleted metric takes its charges from child plans, a changed one what it no longer declares."""
    organization = decision.organization
    metric = organization.metrics_by_id[metric_id]
    is_live = organization.metrics.get(metric.code) == metric
    change = with_filters_of if is_live else without_charges_of
    _reprice(decision, None, lambda own: change(own, metric))


def follow_add_on(decision: Decision, add_on_id: UUID) -> None:
    """A deleted add-on takes its fixed charges from child plans."""
    add_on = decision.organization.add_ons_by_id[add_on_id]
    _reprice(decision, None, lambda own: without_add_on(own, add_on))


def refresh_drafts(decision: Decision, plan_id: UUID) -> None:
    """Drafts of the plan's subscriptions show its prices of now."""
    for draft in _drafts_of(decision, plan_id):
        rebuilt = rebuild(decision, draft, at=decision.now)
        if replace(rebuilt, updated_at=draft.updated_at) != draft:
            decision.record(e.InvoiceRefreshed(invoice=rebuilt))


def leave_plan(decision: Decision, plan_id: UUID) -> None:
    """The plan is to be deleted: active subscriptions end, waiting ones are canceled, drafts become final."""
    for subscription in list(_on_plan(decision, plan_id)):
        now = decision.state.subscriptions[subscription.id]
        if now.status == "pending":
            cancel_pending(decision, now)
        elif now.status == "active":
            terminate(decision, now, at=decision.now)
    for draft in _drafts_of(decision, plan_id):
        finalize_draft(decision, draft, at=decision.now)


def _on_plan(decision: Decision, plan_id: UUID | None) -> Iterator[Subscription]:
    """Subscriptions that are active or wait, on the plan or a child of it; on any when None is given."""
    for subscription in decision.state.subscriptions.values():
        if subscription.status in ("active", "pending") and plan_id in (None, subscription.plan_id):
            yield subscription


def _drafts_of(decision: Decision, plan_id: UUID) -> list[Invoice]:
    subscriptions = decision.state.subscriptions
    return [
        draft
        for draft in decision.state.drafts.values()
        if any(subscriptions[link.subscription_id].plan_id == plan_id for link in draft.links)
    ]


def _reprice(decision: Decision, plan_id: UUID | None, change: Callable[[Plan], Plan]) -> None:
    for subscription in list(_on_plan(decision, plan_id)):
        own = subscription.plan_override
        if own and (changed := change(own)) is not own:
            priced = replace(subscription, plan_override=changed)
            profile = decision.state.profile
            decision.record(e.SubscriptionRepriced(customer=profile, subscription=priced))


def _review_downgrade(decision: Decision, pending: Subscription, plan_id: UUID) -> None:
    """A scheduled downgrade to what is no cheaper plan any more: an upgrade at once, or no change at all."""
    assert pending.replaces
    current = decision.state.subscriptions[pending.replaces.subscription_id]
    if current.status != "active" or plan_id not in (pending.plan_id, current.plan_id):
        return
    wanted = plan_of(pending, decision.organization)
    had = plan_of(current, decision.organization)
    if yearly_amount_cents(wanted) < yearly_amount_cents(had):
        return
    if plan_id == current.plan_id:
        kept = cancel_scheduled_change(decision, current, at=decision.now)
        decision.record(e.SubscriptionUpdated(customer=decision.state.profile, subscription=kept))
        return
    serial = decision.state.items_count + 1
    requested = replace(
        pending,
        id=ids.derive(decision.state.id, "subscription", serial),
        created_at=decision.now,
    )
    change_plan(decision, current, requested, wanted, {})
