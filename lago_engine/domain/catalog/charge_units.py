"""The pricing unit of a charge as a request gives it (charges.md §10)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from lago_engine.domain.catalog.entities import AppliedPricingUnit
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.validation import INVALID, MANDATORY, OUT_OF_RANGE, Checker

_FIELD: Final = "applied_pricing_unit"


def read_pricing_unit(checker: Checker, state: OrganizationState) -> AppliedPricingUnit | None:
    """The unit of a new charge; nothing, null and `{}` mean the plan's currency."""
    given = _given(checker)
    if given is None:
        return None
    code = given.text("code")
    if code not in state.pricing_units:
        checker.fail("pricing_unit", "relation_must_exist")
    rate = _rate(given, missing=MANDATORY)
    if code is None or rate is None:
        return None
    return AppliedPricingUnit(code=code, conversion_rate=rate)


def changed_pricing_unit(
    checker: Checker, applied: AppliedPricingUnit | None
) -> AppliedPricingUnit | None:
    """The unit of a charge with the rate that a request gives, if it gives one; the unit itself is for ever."""
    given = _given(checker)
    if given is None or applied is None:
        return applied
    rate = _rate(given)
    return applied if rate is None else msgspec.structs.replace(applied, conversion_rate=rate)


def _given(checker: Checker) -> Checker | None:
    if not checker.values.get(_FIELD):
        return None
    if checker.mapping(_FIELD) is None:
        checker.fail(_FIELD, INVALID)
        return None
    return checker.nested(_FIELD)


def _rate(given: Checker, missing: str | None = None) -> Decimal | None:
    """Above 0."""
    rate = given.decimal("conversion_rate", missing=missing)
    if rate is not None and rate <= 0:
        given.fail("conversion_rate", OUT_OF_RANGE)
    return rate
