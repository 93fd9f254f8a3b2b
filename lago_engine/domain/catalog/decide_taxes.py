"""Decisions about taxes (customers §7.1). The code of a deleted tax may be used again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import (
    AddOn,
    Charge,
    FixedCharge,
    MinimumCommitment,
    Plan,
    Tax,
)
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateTax, DeleteTax, UpdateTax
from lago_engine.domain.events import (
    AddOnUpdated,
    DomainEvent,
    PlanUpdated,
    TaxCreated,
    TaxDeleted,
    TaxUpdated,
)
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, Checker, Reader
from lago_engine.errors import NotFound

T = TypeVar("T", Plan, Charge, FixedCharge, MinimumCommitment, AddOn)

_FIELDS: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "code": Checker.mandatory_text,
    "rate": partial(Checker.decimal, missing=MANDATORY, at_least=0),
    "description": Checker.text,
    "applied_to_organization": Checker.boolean,
}


def create_tax(state: OrganizationState, command: CreateTax, *, now: datetime) -> list[DomainEvent]:
    checker = Checker(command.input)
    fields = _checked(checker, state, checker.read(_FIELDS), previous_code=None)
    return [TaxCreated(tax=Tax(id=NewIds.after(state).take("tax"), created_at=now, **fields))]


def update_tax(state: OrganizationState, command: UpdateTax, *, now: datetime) -> list[DomainEvent]:
    tax = _live_tax(state, command.code)
    checker = Checker(command.input)
    changes = _checked(checker, state, checker.read_present(_FIELDS), previous_code=tax.code)
    return [TaxUpdated(tax=msgspec.structs.replace(tax, **changes), previous_code=tax.code)]


def delete_tax(state: OrganizationState, command: DeleteTax, *, now: datetime) -> list[DomainEvent]:
    """Deletes the tax and, before it, its assignments: each plan that had it gets a new version."""
    tax = _live_tax(state, command.code)
    plans = [plan for _, plan in sorted(state.plans.items()) if tax.id in plan.used_tax_ids]
    add_ons = [each for _, each in sorted(state.add_ons.items()) if tax.id in each.tax_ids]
    return [
        *(PlanUpdated(plan=_without_tax(plan, tax.id), previous_code=plan.code) for plan in plans),
        *(
            AddOnUpdated(add_on=_untaxed(add_on, tax.id), previous_code=add_on.code)
            for add_on in add_ons
        ),
        TaxDeleted(tax=tax),
    ]


def _live_tax(state: OrganizationState, code: str) -> Tax:
    if code not in state.taxes:
        raise NotFound("tax")
    return state.taxes[code]


def _checked(
    checker: Checker,
    state: OrganizationState,
    fields: dict[str, Any],
    *,
    previous_code: str | None,
) -> dict[str, Any]:
    code = fields.get("code")
    if code != previous_code and code in state.taxes:
        checker.fail("code", ALREADY_EXISTS)
    checker.raise_failures()
    if "applied_to_organization" in fields:
        fields["applied_to_organization"] = bool(fields["applied_to_organization"])
    return fields


def _without_tax(plan: Plan, tax_id: UUID) -> Plan:
    commitment = plan.minimum_commitment
    return msgspec.structs.replace(
        _untaxed(plan, tax_id),
        version=plan.version + 1,
        charges=tuple(_untaxed(charge, tax_id) for charge in plan.charges),
        fixed_charges=tuple(_untaxed(each, tax_id) for each in plan.fixed_charges),
        minimum_commitment=commitment and _untaxed(commitment, tax_id),
    )


def _untaxed(item: T, tax_id: UUID) -> T:
    tax_ids = tuple(other for other in item.tax_ids if other != tax_id)
    return msgspec.structs.replace(item, tax_ids=tax_ids)
