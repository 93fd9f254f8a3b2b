"""Decisions about one charge, filter or fixed charge of a plan (plans.md §5-§7, charges.md §1.2).

Each makes a new version of the whole plan, and none of them is announced by a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from lago_engine.domain import commands as c
from lago_engine.domain.catalog.charge_filters import read_filter, read_filter_changes
from lago_engine.domain.catalog.decide_charges import changed_charge, new_charge
from lago_engine.domain.catalog.decide_fixed_charges import (
    changed_fixed_charge,
    names_add_on,
    new_fixed_charge,
)
from lago_engine.domain.catalog.decide_plans import plan_updated
from lago_engine.domain.catalog.entities import Charge, ChargeFilter, FixedCharge, Plan
from lago_engine.domain.catalog.references import NewIds, find_add_on, find_metric, live_plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound

P = TypeVar("P", Charge, FixedCharge, ChargeFilter)


# --- charges -----------------------------------------------------------------------------------


def create_charge(
    state: OrganizationState, command: c.CreateCharge, *, now: datetime
) -> list[DomainEvent]:
    plan, given = live_plan(state, command.plan_code), command.input
    metric_id = given.get("billable_metric_id")
    if metric_id is not None and find_metric(state, metric_id) is None:
        raise NotFound("billable_metric")
    codes = [charge.code for charge in plan.charges]
    new_ids = NewIds.after(state)
    charge = new_charge(state, given, codes, new_ids=new_ids, now=now, coded=True)
    return _updated(plan, given, charges=(*plan.charges, charge))


def update_charge(
    state: OrganizationState, command: c.UpdateCharge, *, now: datetime
) -> list[DomainEvent]:
    plan, given = live_plan(state, command.plan_code), command.input
    charge = find_charge(plan, command.code)
    changed = changed_charge(
        state,
        charge,
        given,
        [other.code for other in plan.charges if other.id != charge.id],
        attached=plan.id in state.attached_plans,
        new_ids=NewIds.after(state),
        now=now,
    )
    return _updated(plan, given, charges=_replaced(plan.charges, changed))


def delete_charge(
    state: OrganizationState, command: c.DeleteCharge, *, now: datetime
) -> list[DomainEvent]:
    """Usage of the running period is no longer billed."""
    plan = live_plan(state, command.plan_code)
    charge = find_charge(plan, command.code)
    return _updated(plan, command.input, charges=_without(plan.charges, charge))


# --- filters -----------------------------------------------------------------------------------


def create_filter(
    state: OrganizationState, command: c.CreateChargeFilter, *, now: datetime
) -> list[DomainEvent]:
    plan = live_plan(state, command.plan_code)
    charge = find_charge(plan, command.charge_code)
    metric = state.metrics_by_id[charge.billable_metric_id]
    given = read_filter(command.input, charge.charge_model, metric)
    filter_id = NewIds.after(state).take("charge_filter")
    filter_ = ChargeFilter(id=filter_id, created_at=now, **given)
    return _filters_updated(plan, charge, command.input, (*charge.filters, filter_))


def update_filter(
    state: OrganizationState, command: c.UpdateChargeFilter, *, now: datetime
) -> list[DomainEvent]:
    """The display name and the properties, each when it is present; `values` never change."""
    plan = live_plan(state, command.plan_code)
    charge = find_charge(plan, command.charge_code)
    filter_ = find_filter(charge, command.filter_id)
    metric = state.metrics_by_id[charge.billable_metric_id]
    changes = read_filter_changes(command.input, charge.charge_model, metric)
    changed = msgspec.structs.replace(filter_, changed_at=now, **changes)
    return _filters_updated(plan, charge, command.input, _replaced(charge.filters, changed))


def delete_filter(
    state: OrganizationState, command: c.DeleteChargeFilter, *, now: datetime
) -> list[DomainEvent]:
    plan = live_plan(state, command.plan_code)
    charge = find_charge(plan, command.charge_code)
    filter_ = find_filter(charge, command.filter_id)
    return _filters_updated(plan, charge, command.input, _without(charge.filters, filter_))


def _filters_updated(
    plan: Plan, charge: Charge, given: Mapping[str, Any], filters: tuple[ChargeFilter, ...]
) -> list[DomainEvent]:
    changed = msgspec.structs.replace(charge, filters=filters)
    return _updated(plan, given, charges=_replaced(plan.charges, changed))


# --- fixed charges -----------------------------------------------------------------------------


def create_fixed_charge(
    state: OrganizationState, command: c.CreateFixedCharge, *, now: datetime
) -> list[DomainEvent]:
    plan, given = live_plan(state, command.plan_code), command.input
    if names_add_on(given) and find_add_on(state, given) is None:
        raise NotFound("add_on")
    codes = [fixed_charge.code for fixed_charge in plan.fixed_charges]
    new_ids = NewIds.after(state)
    made = new_fixed_charge(state, given, codes, new_ids=new_ids, now=now, coded=True)
    return _fixed_charges_updated(plan, given, (*plan.fixed_charges, made), units_of=made)


def update_fixed_charge(
    state: OrganizationState, command: c.UpdateFixedCharge, *, now: datetime
) -> list[DomainEvent]:
    plan = live_plan(state, command.plan_code)
    before = find_fixed_charge(plan, command.code)
    after = changed_fixed_charge(
        state,
        before,
        command.input,
        [other.code for other in plan.fixed_charges if other.id != before.id],
        attached=plan.id in state.attached_plans,
    )
    return _fixed_charges_updated(
        plan,
        command.input,
        _replaced(plan.fixed_charges, after),
        units_of=after if after.units != before.units else None,
    )


def delete_fixed_charge(
    state: OrganizationState, command: c.DeleteFixedCharge, *, now: datetime
) -> list[DomainEvent]:
    """Nothing is refunded; the next invoice has it no more."""
    plan = live_plan(state, command.plan_code)
    fixed_charge = find_fixed_charge(plan, command.code)
    return _updated(plan, command.input, fixed_charges=_without(plan.fixed_charges, fixed_charge))


def _fixed_charges_updated(
    plan: Plan,
    given: Mapping[str, Any],
    fixed_charges: tuple[FixedCharge, ...],
    *,
    units_of: FixedCharge | None,
) -> list[DomainEvent]:
    """units_of: the one whose units changed."""
    at_once = units_of is not None and Checker(given).boolean("apply_units_immediately")
    applied = (units_of.id,) if units_of is not None and at_once else ()
    return _updated(plan, given, applied_at_once=applied, fixed_charges=fixed_charges)


# --- all of them -------------------------------------------------------------------------------


def find_charge(plan: Plan, code: str) -> Charge:
    """Raises NotFound."""
    return _by_code(plan.charges, code, "charge")


def find_fixed_charge(plan: Plan, code: str) -> FixedCharge:
    """Raises NotFound."""
    return _by_code(plan.fixed_charges, code, "fixed_charge")


def find_filter(charge: Charge, filter_id: UUID) -> ChargeFilter:
    """Raises NotFound."""
    found = next((each for each in charge.filters if each.id == filter_id), None)
    if found is None:
        raise NotFound("charge_filter")
    return found


C = TypeVar("C", Charge, FixedCharge)


def _by_code(parts: Sequence[C], code: str, resource: str) -> C:
    found = next((part for part in parts if part.code == code), None)
    if found is None:
        raise NotFound(resource)
    return found


def _replaced(parts: Sequence[P], changed: P) -> tuple[P, ...]:
    return tuple(changed if part.id == changed.id else part for part in parts)


def _without(parts: Sequence[P], removed: P) -> tuple[P, ...]:
    return tuple(part for part in parts if part.id != removed.id)


def _updated(
    plan: Plan,
    given: Mapping[str, Any],
    *,
    applied_at_once: tuple[UUID, ...] = (),
    **changes: Any,
) -> list[DomainEvent]:
    checker = Checker(given)
    cascade = bool(checker.boolean("cascade_updates"))
    checker.raise_failures()
    event = plan_updated(
        plan, cascade=cascade, applied_at_once=applied_at_once, announced=False, **changes
    )
    return [event]
