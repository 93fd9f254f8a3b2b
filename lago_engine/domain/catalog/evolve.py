"""An organization's state folded from its events; every fact is accepted as it happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import singledispatch
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from lago_engine.domain import events as facts
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent

_HOUR = timedelta(hours=1)

K = TypeVar("K")
V = TypeVar("V")


def evolve_organization(state: OrganizationState | None, event: DomainEvent) -> OrganizationState:
    """The state after `event`; events that do not concern it leave it as it is.

    state: None only before `OrganizationCreated`.
    """
    if isinstance(event, facts.OrganizationCreated):
        assert state is None, "an organization is created once"
        return OrganizationState(organization=event.organization)
    assert state is not None, "an organization begins with its creation"
    return _evolve(event, state)


def evolve_all(state: OrganizationState | None, events: Iterable[DomainEvent]) -> OrganizationState:
    """The state after `events`, in order."""
    for event in events:
        state = evolve_organization(state, event)
    assert state is not None, "there is at least the creation"
    return state


@singledispatch
def _evolve(event: DomainEvent, state: OrganizationState) -> OrganizationState:
    """Facts about one customer that say nothing about its organization."""
    return state


# --- organization ------------------------------------------------------------------------------


@_evolve.register
def _(event: facts.OrganizationUpdated, state: OrganizationState) -> OrganizationState:
    return _changed(state, organization=event.organization)


@_evolve.register
def _(event: facts.ApiKeyCreated, state: OrganizationState) -> OrganizationState:
    keys = _with(state.api_keys, event.api_key.id, event.api_key)
    return _changed(state, api_keys=keys, items_count=state.items_count + 1)


@_evolve.register
def _(event: facts.ClockSet, state: OrganizationState) -> OrganizationState:
    reported = state.usage_errors_hour
    if event.now is not None and reported is not None and event.now < reported + _HOUR:
        reported = None  # A clock that goes back lives its hours again.
    return _changed(state, clock=event.now, usage_errors_hour=reported)


@_evolve.register
def _(event: facts.UsageErrorsFound, state: OrganizationState) -> OrganizationState:
    return _changed(state, usage_errors_hour=event.hour)


@_evolve.register
def _(event: facts.WebhookEndpointCreated, state: OrganizationState) -> OrganizationState:
    endpoints = _with(state.webhook_endpoints, event.endpoint.id, event.endpoint)
    return _changed(state, webhook_endpoints=endpoints, items_count=state.items_count + 1)


@_evolve.register
def _(event: facts.WebhookEndpointUpdated, state: OrganizationState) -> OrganizationState:
    endpoints = _with(state.webhook_endpoints, event.endpoint.id, event.endpoint)
    return _changed(state, webhook_endpoints=endpoints)


@_evolve.register
def _(event: facts.WebhookEndpointDeleted, state: OrganizationState) -> OrganizationState:
    return _changed(state, webhook_endpoints=_without(state.webhook_endpoints, event.endpoint.id))


@_evolve.register
def _(event: facts.PaymentConnectionSet, state: OrganizationState) -> OrganizationState:
    connection = event.connection
    is_new = connection.code not in state.connections
    return _changed(
        state,
        connections=_with(state.connections, connection.code, connection),
        items_count=state.items_count + is_new,
    )


# --- catalog -----------------------------------------------------------------------------------


@_evolve.register
def _(event: facts.BillableMetricCreated, state: OrganizationState) -> OrganizationState:
    metric = event.metric
    return _changed(
        state,
        metrics=_with(state.metrics, metric.code, metric),
        metrics_by_id=_with(state.metrics_by_id, metric.id, metric),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: facts.BillableMetricUpdated, state: OrganizationState) -> OrganizationState:
    metric = event.metric
    return _changed(
        state,
        metrics=_renamed(state.metrics, event.previous_code, metric.code, metric),
        metrics_by_id=_with(state.metrics_by_id, metric.id, metric),
    )


@_evolve.register
def _(event: facts.BillableMetricDeleted, state: OrganizationState) -> OrganizationState:
    return _changed(state, metrics=_without(state.metrics, event.metric.code))


@_evolve.register
def _(event: facts.TaxCreated, state: OrganizationState) -> OrganizationState:
    tax = event.tax
    return _changed(
        state,
        taxes=_with(state.taxes, tax.code, tax),
        taxes_by_id=_with(state.taxes_by_id, tax.id, tax),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: facts.TaxUpdated, state: OrganizationState) -> OrganizationState:
    tax = event.tax
    return _changed(
        state,
        taxes=_renamed(state.taxes, event.previous_code, tax.code, tax),
        taxes_by_id=_with(state.taxes_by_id, tax.id, tax),
    )


@_evolve.register
def _(event: facts.TaxDeleted, state: OrganizationState) -> OrganizationState:
    return _changed(state, taxes=_without(state.taxes, event.tax.code))


@_evolve.register
def _(event: facts.AddOnCreated, state: OrganizationState) -> OrganizationState:
    add_on = event.add_on
    return _changed(
        state,
        add_ons=_with(state.add_ons, add_on.code, add_on),
        add_ons_by_id=_with(state.add_ons_by_id, add_on.id, add_on),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: facts.AddOnUpdated, state: OrganizationState) -> OrganizationState:
    add_on = event.add_on
    return _changed(
        state,
        add_ons=_renamed(state.add_ons, event.previous_code, add_on.code, add_on),
        add_ons_by_id=_with(state.add_ons_by_id, add_on.id, add_on),
    )


@_evolve.register
def _(event: facts.AddOnDeleted, state: OrganizationState) -> OrganizationState:
    return _changed(state, add_ons=_without(state.add_ons, event.add_on.code))


@_evolve.register
def _(event: facts.PricingUnitCreated, state: OrganizationState) -> OrganizationState:
    unit = event.pricing_unit
    return _changed(
        state,
        pricing_units=_with(state.pricing_units, unit.code, unit),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: facts.PricingUnitUpdated, state: OrganizationState) -> OrganizationState:
    unit = event.pricing_unit
    return _changed(state, pricing_units=_with(state.pricing_units, unit.code, unit))


@_evolve.register
def _(event: facts.PlanCreated, state: OrganizationState) -> OrganizationState:
    plan = event.plan
    plans = _with(state.plans, plan.code, plan)
    return _with_plan_version(state, plan, plans, created=1 + len(_item_ids(plan)))


@_evolve.register
def _(event: facts.PlanUpdated, state: OrganizationState) -> OrganizationState:
    plan = event.plan
    created = len(_item_ids(plan) - _item_ids(state.plans_by_id[plan.id]))
    plans = _renamed(state.plans, event.previous_code, plan.code, plan)
    return _with_plan_version(state, plan, plans, created=created)


@_evolve.register
def _(event: facts.PlanDeletionRequested, state: OrganizationState) -> OrganizationState:
    plan = event.plan
    return _changed(
        state,
        plans=_with(state.plans, plan.code, plan),
        plans_by_id=_with(state.plans_by_id, plan.id, plan),
        plan_versions=_with(state.plan_versions, (plan.id, plan.version), plan),
    )


@_evolve.register
def _(event: facts.PlanDeleted, state: OrganizationState) -> OrganizationState:
    return _changed(state, plans=_without(state.plans, event.plan.code))


@_evolve.register
def _(event: facts.CouponCreated, state: OrganizationState) -> OrganizationState:
    coupon = event.coupon
    return _changed(
        state,
        coupons=_with(state.coupons, coupon.code, coupon),
        coupons_by_id=_with(state.coupons_by_id, coupon.id, coupon),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: facts.CouponUpdated, state: OrganizationState) -> OrganizationState:
    coupon = event.coupon
    return _changed(
        state,
        coupons=_renamed(state.coupons, event.previous_code, coupon.code, coupon),
        coupons_by_id=_with(state.coupons_by_id, coupon.id, coupon),
    )


@_evolve.register
def _(event: facts.CouponDeleted, state: OrganizationState) -> OrganizationState:
    coupon = event.coupon
    return _changed(
        state,
        coupons=_without(state.coupons, coupon.code),
        coupons_by_id=_with(state.coupons_by_id, coupon.id, coupon),
    )


# --- what customers do to it -------------------------------------------------------------------


@_evolve.register
def _(event: facts.CustomerCreated, state: OrganizationState) -> OrganizationState:
    return _changed(state, customers_count=state.customers_count + 1)


@_evolve.register
def _(event: facts.CustomerDeleted, state: OrganizationState) -> OrganizationState:
    external_id = event.customer.external_id
    count = state.deleted_customers.get(external_id, 0) + 1
    return _changed(state, deleted_customers=_with(state.deleted_customers, external_id, count))


@_evolve.register(facts.SubscriptionCreated)
@_evolve.register(facts.SubscriptionUpdated)
def _(
    event: facts.SubscriptionCreated | facts.SubscriptionUpdated, state: OrganizationState
) -> OrganizationState:
    plan_id = event.subscription.plan_id
    if plan_id in state.attached_plans:
        return state
    return _changed(state, attached_plans=state.attached_plans | {plan_id})


@_evolve.register
def _(event: facts.CouponApplied, state: OrganizationState) -> OrganizationState:
    coupon_id = event.applied_coupon.coupon_id
    if coupon_id in state.applied_coupons:
        return state
    return _changed(state, applied_coupons=state.applied_coupons | {coupon_id})


@_evolve.register
def _(event: facts.InvoiceFinalized, state: OrganizationState) -> OrganizationState:
    number = event.invoice.entity_sequential_id
    return state if number is None else _changed(state, entity_sequence=number)


# --- copies ------------------------------------------------------------------------------------


def _changed(state: OrganizationState, **changes: Any) -> OrganizationState:
    return msgspec.structs.replace(state, **changes)


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return {**mapping, key: value}


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {other: value for other, value in mapping.items() if other != key}


def _renamed(mapping: Mapping[str, V], old: str, new: str, value: V) -> Mapping[str, V]:
    kept = mapping if old == new else _without(mapping, old)
    return _with(kept, new, value)


def _item_ids(plan: Plan) -> set[UUID]:
    """Ids of everything on it that has one."""
    ids = {filter_.id for charge in plan.charges for filter_ in charge.filters}
    ids.update(charge.id for charge in plan.charges)
    ids.update(fixed_charge.id for fixed_charge in plan.fixed_charges)
    ids.update(threshold.id for threshold in plan.usage_thresholds)
    if plan.minimum_commitment is not None:
        ids.add(plan.minimum_commitment.id)
    return ids


def _with_plan_version(
    state: OrganizationState, plan: Plan, plans: Mapping[str, Plan], *, created: int
) -> OrganizationState:
    versions: Mapping[tuple[UUID, int], Plan] = state.plan_versions
    return _changed(
        state,
        plans=plans,
        plans_by_id=_with(state.plans_by_id, plan.id, plan),
        plan_versions=_with(versions, (plan.id, plan.version), plan),
        items_count=state.items_count + created,
    )
