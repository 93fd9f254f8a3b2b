"""Units of fixed charges: how requests give one subscription its own (subscriptions.md §7), and which a plan changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from lago_engine.domain.catalog.entities import FixedCharge, Plan
from lago_engine.domain.catalog.references import uuid_or_none
from lago_engine.domain.validation import MANDATORY, Checker
from lago_engine.errors import NotFound

UNITS_ONLY: Final = frozenset({"id", "units", "apply_units_immediately"})


def asks_for_units_only(overrides: Mapping[str, Any]) -> bool:
    """Whether `plan_overrides` have fixed charges with units and nothing else."""
    items = overrides.get("fixed_charges")
    if overrides.keys() != {"fixed_charges"} or not isinstance(items, list) or not items:
        return False
    return all(
        isinstance(item, Mapping) and {"id", "units"} <= item.keys() <= UNITS_ONLY for item in items
    )


def read_own_units(plan: Plan, items: Sequence[Mapping[str, Any]]) -> dict[UUID, Decimal]:
    """The units that `items` give, by fixed charge of the plan. Raises NotFound and ValidationFailed."""
    known = {each.id for each in plan.fixed_charges}
    own: dict[UUID, Decimal] = {}
    for item in items:
        key = uuid_or_none(item.get("id"))
        if key not in known:
            raise NotFound("fixed_charge")
        checker = Checker(item)
        units = checker.decimal("units", missing=MANDATORY, at_least=0)
        checker.boolean("apply_units_immediately")
        checker.raise_failures()
        assert units is not None, "missing units were refused"
        own[key] = units
    return own


def applied_at_once(plan: Plan, overrides: Mapping[str, Any]) -> frozenset[UUID]:
    """The fixed charges whose units are asked to count from now, by their ids on the plan that is subscribed to."""
    items = overrides.get("fixed_charges") or []
    asked = {
        uuid_or_none(item.get("id"))
        for item in items
        if "units" in item and Checker(item).boolean("apply_units_immediately")
    }
    return frozenset(
        each.origin_id for each in plan.fixed_charges if asked & {each.id, each.parent_id}
    )


def changed_units(
    before: Collection[FixedCharge], after: Collection[FixedCharge]
) -> frozenset[UUID]:
    """The fixed charges that are new or have other units."""
    known = {each.id: each.units for each in before}
    return frozenset(each.id for each in after if known.get(each.id) != each.units)
