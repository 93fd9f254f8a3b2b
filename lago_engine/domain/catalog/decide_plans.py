"""Decisions about plans (plans §3, §4, §12)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, get_args

import msgspec

from lago_engine.domain.catalog.decide_charges import replace_charges, require_charge_list
from lago_engine.domain.catalog.entities import Interval, Plan
from lago_engine.domain.catalog.references import NewIds, find_tax_ids
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreatePlan, DeletePlan, UpdatePlan
from lago_engine.domain.events import DomainEvent, PlanCreated, PlanDeleted, PlanUpdated
from lago_engine.domain.validation import (
    ALREADY_EXISTS,
    DAYS_MAX,
    INVALID,
    MANDATORY,
    OUT_OF_RANGE,
    Checker,
    Reader,
)
from lago_engine.errors import NotFound, ValidationFailed

_MONTHLY_SWITCHES: Final = ("bill_charges_monthly", "bill_fixed_charges_monthly")
_LONG_INTERVALS: Final = frozenset({"yearly", "semiannual"})
_UNBUILT: Final = ("fixed_charges", "minimum_commitment", "usage_thresholds")


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
    items = checker.array("charges") or []
    require_charge_list(items, state)
    fields = checker.read({**_ALWAYS_EDITABLE, **_FIXED_ONCE_ATTACHED})
    fields |= _monthly_switches(checker, fields["interval"], stored={})
    _check_code(checker, state, fields["code"], previous_code=None)
    fields |= _read_collections(checker, state)
    new_ids = NewIds.after(state)
    plan_id = new_ids.take("plan")
    fields["charges"] = replace_charges(state, (), items, attached=False, new_ids=new_ids, now=now)
    return [PlanCreated(plan=Plan(id=plan_id, version=1, created_at=now, **fields))]


def update_plan(
    state: OrganizationState, command: UpdatePlan, *, now: datetime
) -> list[DomainEvent]:
    """Scalars present change, collections present are replaced; every update is a new version."""
    plan = _live_plan(state, command.code)
    attached = plan.id in state.attached_plans
    checker = Checker(command.input)
    items = checker.array("charges")
    require_charge_list(items or [], state)
    changes = checker.read_present(_ALWAYS_EDITABLE)
    if not attached:
        changes |= checker.read_present(_FIXED_ONCE_ATTACHED)
        stored = {field: getattr(plan, field) for field in _MONTHLY_SWITCHES}
        changes |= _monthly_switches(checker, changes.get("interval", plan.interval), stored=stored)
        _check_code(checker, state, changes.get("code", plan.code), previous_code=plan.code)
    changes |= _read_collections(checker, state)
    if items is not None:
        changes["charges"] = replace_charges(
            state,
            plan.charges,
            items,
            attached=attached,
            new_ids=NewIds.after(state),
            now=now,
        )
    updated = msgspec.structs.replace(plan, version=plan.version + 1, **changes)
    return [PlanUpdated(plan=updated, previous_code=plan.code)]


def delete_plan(
    state: OrganizationState, command: DeletePlan, *, now: datetime
) -> list[DomainEvent]:
    """Deletes a plan that never had a subscription; another one is refused with `plan_in_use`."""
    plan = _live_plan(state, command.code)
    if plan.id in state.attached_plans:
        raise ValidationFailed.of("base", "plan_in_use")
    return [PlanDeleted(plan=plan)]


def _live_plan(state: OrganizationState, code: str) -> Plan:
    if code not in state.plans:
        raise NotFound("plan")
    return state.plans[code]


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
    checker.refuse_unbuilt(*_UNBUILT)
    checker.raise_failures()
    changes: dict[str, Any] = {}
    if _is_object_or_null(checker, "metadata"):
        changes["metadata"] = checker.object_metadata("metadata")
        checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    return changes


def _is_object_or_null(checker: Checker, field: str) -> bool:
    values = checker.values
    return field in values and (values[field] is None or isinstance(values[field], Mapping))
