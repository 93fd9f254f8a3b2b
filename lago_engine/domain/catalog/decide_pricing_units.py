"""Decisions about pricing units (charges.md §10). Their codes are for ever, and so are they."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from lago_engine.domain.catalog.entities import PricingUnit
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreatePricingUnit, UpdatePricingUnit
from lago_engine.domain.events import DomainEvent, PricingUnitCreated, PricingUnitUpdated
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, Checker, Reader
from lago_engine.errors import NotFound

SHORT_NAME_LENGTH_MAX: Final = 3
DESCRIPTION_LENGTH_MAX: Final = 600

_EDITABLE: Final[Mapping[str, Reader]] = {
    "name": Checker.mandatory_text,
    "short_name": partial(Checker.text, missing=MANDATORY, max_length=SHORT_NAME_LENGTH_MAX),
    "description": partial(Checker.text, max_length=DESCRIPTION_LENGTH_MAX),
}


def create_pricing_unit(
    state: OrganizationState, command: CreatePricingUnit, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(command.input)
    fields = checker.read({"code": Checker.mandatory_text, **_EDITABLE})
    if fields["code"] in state.pricing_units:
        checker.fail("code", ALREADY_EXISTS)
    checker.raise_failures()
    unit_id = NewIds.after(state).take("pricing_unit")
    unit = PricingUnit(id=unit_id, created_at=now, **fields)
    return [PricingUnitCreated(pricing_unit=unit)]


def update_pricing_unit(
    state: OrganizationState, command: UpdatePricingUnit, *, now: datetime
) -> list[DomainEvent]:
    """The fields present change; a `code` is ignored: charges and fees name their unit by it."""
    unit = state.pricing_units.get(command.code)
    if unit is None:
        raise NotFound("pricing_unit")
    checker = Checker(command.input)
    changes = checker.read_present(_EDITABLE)
    checker.raise_failures()
    return [PricingUnitUpdated(pricing_unit=msgspec.structs.replace(unit, **changes))]
