"""Prices of one subscription: its child plan is made when first needed, then changed in place (plans.md §11.1, subscriptions.md §8)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.charge_filters import read_filter, read_filter_changes
from lago_engine.domain.catalog.decide_plan_parts import find_charge, find_fixed_charge
from lago_engine.domain.catalog.entities import BillableMetric, Charge, ChargeFilter, Plan
from lago_engine.domain.catalog.fixed_units import (
    UNITS_ONLY,
    asks_for_units_only,
    read_own_units,
)
from lago_engine.domain.catalog.plan_overrides import (
    child_plan,
    copied,
    new_ids_of,
    next_version,
    overridden,
    overridden_charge,
    overridden_fixed_charge,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_charges import units_of, with_own_units
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.customer.unit_changes import follow_units
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound, ValidationFailed


def with_overrides(
    decision: Decision, subscription: Subscription, given: Mapping[str, Any]
) -> Subscription:
    """The subscription after `plan_overrides`: with units of its own if they ask for nothing else, else with a child plan."""
    state = decision.organization
    if subscription.plan_override:
        child = overridden(state, subscription.plan_override, given, now=decision.now)
        return replace(subscription, plan_override=child)
    parent = state.plans_by_id[subscription.plan_id]
    if asks_for_units_only(given):
        own = dict(subscription.units_overrides or ())
        own |= read_own_units(parent, given["fixed_charges"])
        return replace(subscription, units_overrides=tuple(own.items()))
    parent = replace(parent, fixed_charges=with_own_units(subscription, parent))
    child = child_plan(state, parent, given, subscription_id=subscription.id, now=decision.now)
    return replace(subscription, plan_override=child, units_overrides=UNSET)


def override_charge(
    decision: Decision, subscription_id: UUID, code: str, given: Mapping[str, Any]
) -> None:
    """`PUT /subscriptions/…/charges/{code}`: a patch of the child's charge."""
    subscription, child = _own_plan(decision, subscription_id)
    charge = overridden_charge(
        decision.organization,
        find_charge(child, code),
        given,
        new_ids=new_ids_of(child),
        now=decision.now,
    )
    _record_charge(decision, subscription, child, charge)


def create_filter_override(
    decision: Decision, subscription_id: UUID, code: str, given: Mapping[str, Any]
) -> None:
    subscription, child = _own_plan(decision, subscription_id)
    charge = find_charge(child, code)
    fields = read_filter(given, charge.charge_model, _metric(decision, charge))
    if any(filter_.values == fields["values"] for filter_ in charge.filters):
        raise ValidationFailed.of("values", "value_already_exists")
    filter_id = new_ids_of(child).take("charge_filter")
    made = ChargeFilter(id=filter_id, created_at=decision.now, **fields)
    _record_filters(decision, subscription, child, charge, (*charge.filters, made))


def override_filter(
    decision: Decision, subscription_id: UUID, code: str, filter_id: UUID, given: Mapping[str, Any]
) -> None:
    """A patch of the child's filter; one that only the parent has is copied first."""
    subscription, child = _own_plan(decision, subscription_id)
    charge = find_charge(child, code)
    filter_ = find_own_filter(decision.organization, child, charge, filter_id)
    changes = read_filter_changes(given, charge.charge_model, _metric(decision, charge))
    changed = replace(filter_, changed_at=decision.now, **changes)
    filters = {each.id: each for each in charge.filters} | {changed.id: changed}
    _record_filters(decision, subscription, child, charge, tuple(filters.values()))


def delete_filter_override(
    decision: Decision, subscription_id: UUID, code: str, filter_id: UUID
) -> None:
    subscription, child = _own_plan(decision, subscription_id)
    charge = find_charge(child, code)
    filter_ = find_own_filter(decision.organization, child, charge, filter_id)
    left = tuple(each for each in charge.filters if each.id != filter_.id)
    if len(left) == len(charge.filters):
        raise NotFound("charge_filter")
    _record_filters(decision, subscription, child, charge, left)


def override_fixed_charge(
    decision: Decision, subscription_id: UUID, code: str, given: Mapping[str, Any]
) -> None:
    """Units alone are the subscription's own; anything else makes a child plan (subscriptions.md §8)."""
    subscription = _running(decision, subscription_id)
    plan = plan_of(subscription, decision.organization)
    had = units_of(subscription, plan)
    fixed_charge = find_fixed_charge(plan, code)
    if (
        not subscription.plan_override
        and given.get("units") is not None
        and given.keys() <= UNITS_ONLY
    ):
        item = {**given, "id": str(fixed_charge.id)}
        _record_repriced(
            decision, with_overrides(decision, subscription, {"fixed_charges": [item]})
        )
    else:
        subscription, child = _own_plan(decision, subscription_id)
        own = find_fixed_charge(child, code)
        changed = overridden_fixed_charge(decision.organization, own, given)
        fixed_charges = tuple(
            changed if each.id == changed.id else each for each in child.fixed_charges
        )
        _record(decision, subscription, next_version(child, fixed_charges=fixed_charges))
    at_once = Checker(given).boolean("apply_units_immediately") and "units" in given
    follow_own_units(
        decision,
        subscription_id,
        before=had,
        at_once=frozenset([fixed_charge.origin_id] if at_once else []),
    )


def follow_own_units(
    decision: Decision,
    subscription_id: UUID,
    *,
    before: Mapping[UUID, Decimal],
    at_once: frozenset[UUID],
) -> None:
    """The units after the subscription was given prices of its own take effect."""
    now = decision.state.subscriptions[subscription_id]
    after = units_of(now, plan_of(now, decision.organization))
    follow_units(decision, subscription_id, before=before, after=after, at_once=at_once)


def find_own_filter(
    state: OrganizationState, plan: Plan, charge: Charge, filter_id: UUID
) -> ChargeFilter:
    """The charge's filter with this id, or with the values of the parent's filter that has it; else a copy of that.

    Raises NotFound.
    """
    own = next((each for each in charge.filters if each.id == filter_id), None)
    if own is not None:
        return own
    theirs = _filter_of_parent(state, plan, charge, filter_id)
    same = (each for each in charge.filters if each.values == theirs.values)
    return next(same, replace(theirs, id=ids.derive(plan.id, theirs.id)))


def _filter_of_parent(
    state: OrganizationState, plan: Plan, charge: Charge, filter_id: UUID
) -> ChargeFilter:
    parent = state.plans_by_id[plan.parent_id] if plan.parent_id else plan
    sources = (source for source in parent.charges if source.id == charge.parent_id)
    for filter_ in chain.from_iterable(source.filters for source in sources):
        if filter_.id == filter_id:
            return filter_
    raise NotFound("charge_filter")


def _metric(decision: Decision, charge: Charge) -> BillableMetric:
    return decision.organization.metrics_by_id[charge.billable_metric_id]


def _own_plan(decision: Decision, subscription_id: UUID) -> tuple[Subscription, Plan]:
    """A subscription that is active or waits, and its child plan, made if need be. Raises NotFound."""
    subscription = _running(decision, subscription_id)
    if subscription.plan_override:
        return subscription, subscription.plan_override
    parent = decision.organization.plans_by_id[subscription.plan_id]
    parent = replace(parent, fixed_charges=with_own_units(subscription, parent))
    child = copied(parent, subscription_id=subscription.id, now=decision.now)
    return replace(subscription, units_overrides=UNSET), child


def _running(decision: Decision, subscription_id: UUID) -> Subscription:
    """A subscription that is active or waits. Raises NotFound."""
    subscription = decision.state.subscriptions.get(subscription_id)
    if subscription is None or subscription.status not in ("active", "pending"):
        raise NotFound("subscription")
    return subscription


def _record_filters(
    decision: Decision,
    subscription: Subscription,
    child: Plan,
    charge: Charge,
    filters: tuple[ChargeFilter, ...],
) -> None:
    _record_charge(decision, subscription, child, replace(charge, filters=filters))


def _record_charge(
    decision: Decision, subscription: Subscription, child: Plan, changed: Charge
) -> None:
    charges = tuple(changed if each.id == changed.id else each for each in child.charges)
    _record(decision, subscription, next_version(child, charges=charges))


def _record(decision: Decision, subscription: Subscription, child: Plan) -> None:
    _record_repriced(decision, replace(subscription, plan_override=child))


def _record_repriced(decision: Decision, priced: Subscription) -> None:
    profile = decision.state.profile
    decision.record(e.SubscriptionRepriced(customer=profile, subscription=priced))
