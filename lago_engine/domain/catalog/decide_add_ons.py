"""Decisions about add-ons (invoices.md §17). The code of a deleted add-on may be used again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.decide_fixed_charges import without_add_on
from lago_engine.domain.catalog.entities import AddOn
from lago_engine.domain.catalog.references import NewIds, find_tax_ids
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateAddOn, DeleteAddOn, UpdateAddOn
from lago_engine.domain.events import (
    AddOnCreated,
    AddOnDeleted,
    AddOnUpdated,
    DomainEvent,
    PlanUpdated,
)
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, Checker, Reader
from lago_engine.errors import NotFound

_FIELDS: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "code": Checker.mandatory_text,
    "amount_cents": partial(Checker.integer, missing=MANDATORY, at_least=1),
    "amount_currency": partial(Checker.currency, missing=MANDATORY),
    "invoice_display_name": Checker.text,
    "description": Checker.text,
}


def create_add_on(
    state: OrganizationState, command: CreateAddOn, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(command.input)
    fields = _checked(checker, state, checker.read(_FIELDS), previous_code=None)
    add_on = AddOn(id=NewIds.after(state).take("add_on"), created_at=now, **fields)
    return [AddOnCreated(add_on=add_on)]


def update_add_on(
    state: OrganizationState, command: UpdateAddOn, *, now: datetime
) -> list[DomainEvent]:
    """Scalars present change; `tax_codes`, when present, becomes the exact set."""
    add_on = _live_add_on(state, command.code)
    checker = Checker(command.input)
    changes = _checked(checker, state, checker.read_present(_FIELDS), previous_code=add_on.code)
    updated = msgspec.structs.replace(add_on, **changes)
    return [AddOnUpdated(add_on=updated, previous_code=add_on.code)]


def delete_add_on(
    state: OrganizationState, command: DeleteAddOn, *, now: datetime
) -> list[DomainEvent]:
    """Deletes the add-on and, before it, its fixed charges: each plan that has any gets a new version."""
    add_on = _live_add_on(state, command.code)
    plans = [plan for _, plan in sorted(state.plans.items())]
    after = [(plan, without_add_on(plan, add_on)) for plan in plans]
    return [
        *(PlanUpdated(plan=new, previous_code=old.code) for old, new in after if new is not old),
        AddOnDeleted(add_on=add_on),
    ]


def _live_add_on(state: OrganizationState, code: str) -> AddOn:
    if code not in state.add_ons:
        raise NotFound("add_on")
    return state.add_ons[code]


def _checked(
    checker: Checker,
    state: OrganizationState,
    fields: dict[str, Any],
    *,
    previous_code: str | None,
) -> dict[str, Any]:
    code = fields.get("code")
    if code != previous_code and code in state.add_ons:
        checker.fail("code", ALREADY_EXISTS)
    checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        fields["tax_ids"] = find_tax_ids(state, tax_codes)
    return fields
