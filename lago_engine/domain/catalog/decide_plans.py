"""Decisions about plans (plans §3, §4, §12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, get_args
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.decide_charges import replace_charges, require_charge_list
from lago_engine.domain.catalog.decide_fixed_charges import (
    replace_fixed_charges,
    require_fixed_charge_list,
)
from lago_engine.domain.catalog.entities import FixedCharge, Interval, Plan
from lago_engine.domain.catalog.plan_terms import read_thresholds, replace_commitment
from lago_engine.domain.catalog.references import NewIds, find_tax_ids, live_plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreatePlan, DeletePlan, RemovePlan, UpdatePlan
from lago_engine.domain.events import (
    DomainEvent,
    PlanCreated,
    PlanDeleted,
    PlanDeletionRequested,
    PlanUpdated,
)
from lago_engine.domain.validation import (
    ALREADY_EXISTS,
    DAYS_MAX,
    INVALID,
    MANDATORY,
    NOT_SUPPORTED_YET,
    OUT_OF_RANGE,
    Checker,
    Reader,
)
from lago_engine.errors import ValidationFailed

_MONTHLY_SWITCHES: Final = ("bill_charges_monthly", "bill_fixed_charges_monthly")
_LONG_INTERVALS: Final = frozenset({"yearly", "semiannual"})
UNBILLED: Final = ("usage_thresholds",)
"""Parts of a plan that no invoice has yet: plans may have them, subscriptions may not be on such plans."""


def _trial_period(checker: Checker, field: str) -> Decimal | None:
    """Days, fractions too, within what a calendar can hold."""
    days = checker.decimal(field, at_least=0)
    if days is not None and days > DAYS_MAX:
        checker.fail(field, OUT_OF_RANGE)
        return None
    return days


_ALWAYS_EDITABLE: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "invoice_display_name": Checker.text,
    "description": Checker.text,
    "amount_cents": partial(Checker.integer, missing=MANDATORY, at_least=0),
}
_FIXED_ONCE_ATTACHED: Final[Mapping[str, Reader]] = {
    "code": Checker.mandatory_text,
    "interval": partial(Checker.choice, allowed=get_args(Interval), missing=INVALID),
    "pay_in_advance": partial(Checker.boolean, missing=INVALID),
    "amount_currency": partial(Checker.currency, missing=INVALID),
    "trial_period": _trial_period,
}


def create_plan(
    state: OrganizationState, command: CreatePlan, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(command.input)
    _require_parts(checker, state)
    fields = checker.read({**_ALWAYS_EDITABLE, **_FIXED_ONCE_ATTACHED})
    fields |= _monthly_switches(checker, fields["interval"], stored={})
    _check_code(checker, state, fields["code"], previous_code=None)
    fields |= _read_collections(checker, state)
    new_ids = NewIds.after(state)
    plan = Plan(id=new_ids.take("plan"), version=1, created_at=now, **fields)
    parts = _replace_parts(checker, state, plan, new_ids=new_ids, now=now)
    return [PlanCreated(plan=msgspec.structs.replace(plan, **parts))]


def update_plan(
    state: OrganizationState, command: UpdatePlan, *, now: datetime
) -> list[DomainEvent]:
    """Scalars present change, collections present are replaced; every update is a new version."""
    plan = live_plan(state, command.code)
    checker = Checker(command.input)
    _require_parts(checker, state)
    changes = checker.read_present(_ALWAYS_EDITABLE)
    if plan.id not in state.attached_plans:
        changes |= checker.read_present(_FIXED_ONCE_ATTACHED)
        stored = {field: getattr(plan, field) for field in _MONTHLY_SWITCHES}
        changes |= _monthly_switches(checker, changes.get("interval", plan.interval), stored=stored)
        _check_code(checker, state, changes.get("code", plan.code), previous_code=plan.code)
    changes |= _read_collections(checker, state)
    changes |= _replace_parts(checker, state, plan, new_ids=NewIds.after(state), now=now)
    event = plan_updated(
        plan,
        cascade=bool(checker.boolean("cascade_updates")),
        applied_at_once=_applied_at_once(
            checker.array("fixed_charges") or [], plan, changes.get("fixed_charges", ())
        ),
        **changes,
    )
    return [event]


def delete_plan(
    state: OrganizationState, command: DeletePlan, *, now: datetime
) -> list[DomainEvent]:
    """At once when the plan never had a subscription; else it waits until those it has have ended."""
    plan = live_plan(state, command.code)
    if plan.id not in state.attached_plans:
        return [PlanDeleted(plan=plan)]
    return [PlanDeletionRequested(plan=msgspec.structs.replace(plan, pending_deletion=True))]


def remove_plan(
    state: OrganizationState, command: RemovePlan, *, now: datetime
) -> list[DomainEvent]:
    """The end of a deletion; one that ended already stays as it is."""
    plan = state.plans_by_id[command.plan_id]
    live = state.plans.get(plan.code)
    if live is None or live.id != plan.id or not plan.pending_deletion:
        return []
    return [PlanDeleted(plan=plan)]


def plan_updated(
    plan: Plan,
    *,
    cascade: bool = False,
    applied_at_once: tuple[UUID, ...] = (),
    announced: bool = True,
    **changes: Any,
) -> PlanUpdated:
    """The plan at its next version, with `changes`."""
    updated = msgspec.structs.replace(plan, version=plan.version + 1, **changes)
    return PlanUpdated(
        plan=updated,
        previous_code=plan.code,
        cascade=cascade,
        applied_at_once=applied_at_once,
        announced=announced,
    )


def _check_code(
    checker: Checker, state: OrganizationState, code: str, *, previous_code: str | None
) -> None:
    if code != previous_code and code in state.plans:
        checker.fail("code", ALREADY_EXISTS)


def _monthly_switches(
    checker: Checker, interval: str | None, *, stored: Mapping[str, bool | None]
) -> dict[str, bool | None]:
    """The two "bill monthly" switches: null but for long intervals, there given, stored or false."""
    switches: dict[str, bool | None] = {}
    for field in _MONTHLY_SWITCHES:
        given = checker.boolean(field) if field in checker.values else stored.get(field)
        switches[field] = bool(given) if interval in _LONG_INTERVALS else None
    return switches


def _read_collections(checker: Checker, state: OrganizationState) -> dict[str, Any]:
    """Metadata and taxes when present, in that order, once the plan's own fields are right."""
    checker.boolean("cascade_updates")
    checker.raise_failures()
    changes: dict[str, Any] = {}
    if _is_object_or_null(checker, "metadata"):
        changes["metadata"] = checker.object_metadata("metadata")
        checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    return changes


def _require_parts(checker: Checker, state: OrganizationState) -> None:
    """Everything that charges and fixed charges refer to exists (plans.md §3.1)."""
    require_charge_list(checker.array("charges") or [], state)
    require_fixed_charge_list(checker.array("fixed_charges") or [], state)


def _replace_parts(
    checker: Checker, state: OrganizationState, plan: Plan, *, new_ids: NewIds, now: datetime
) -> dict[str, Any]:
    """Thresholds, charges, fixed charges and commitment, those that are present, in that order."""
    attached = plan.id in state.attached_plans
    parts: dict[str, Any] = {}
    if (thresholds := checker.array("usage_thresholds")) is not None:
        parts["usage_thresholds"] = read_thresholds(thresholds, new_ids=new_ids, now=now)
    if (items := checker.array("charges")) is not None:
        parts["charges"] = replace_charges(
            state, plan.charges, items, attached=attached, new_ids=new_ids, now=now
        )
    if (items := checker.array("fixed_charges")) is not None:
        parts["fixed_charges"] = replace_fixed_charges(
            state, plan.fixed_charges, items, attached=attached, new_ids=new_ids, now=now
        )
    parts["minimum_commitment"] = replace_commitment(
        state,
        plan.minimum_commitment,
        checker.mapping("minimum_commitment"),
        new_ids=new_ids,
        now=now,
    )
    if attached:
        refuse_unbilled_parts(parts)
    return parts


def refuse_unbilled_parts(parts: Mapping[str, Any]) -> None:
    """Nothing bills these yet, so no plan that has subscriptions may get them."""
    for field in UNBILLED:
        if parts.get(field):
            raise ValidationFailed.of(field, NOT_SUPPORTED_YET)


def _applied_at_once(
    items: Sequence[Mapping[str, Any]], before: Plan, after: Sequence[FixedCharge]
) -> tuple[UUID, ...]:
    """The fixed charges whose new units are asked to count from now; `after` stands in the order of `items`."""
    units = {each.id: each.units for each in before.fixed_charges}
    return tuple(
        fixed_charge.id
        for item, fixed_charge in zip(items, after, strict=True)
        if Checker(item).boolean("apply_units_immediately")
        and units.get(fixed_charge.id) != fixed_charge.units
    )


def _is_object_or_null(checker: Checker, field: str) -> bool:
    values = checker.values
    return field in values and (values[field] is None or isinstance(values[field], Mapping))
