"""What a change of a plan does to a child plan when it is asked to cascade (plans.md §11.2).

The two versions of the parent say what changed. A child follows where it still had what the parent had; what was
negotiated stays. Names, taxes, minimums, trial, commitment and thresholds never cascade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import (
    BillableMetric,
    Charge,
    ChargeFilter,
    FixedCharge,
    Plan,
)
from lago_engine.domain.catalog.metric_filters import declared
from lago_engine.domain.catalog.plan_overrides import copied_charge, copied_filter, next_version
from lago_engine.domain.decimals import parse_decimal
from lago_engine.errors import ValidationFailed

_GROUP_KEYS: Final = ("pricing_group_keys", "presentation_group_keys")


def cascaded(
    child: Plan,
    before: Plan,
    after: Plan,
    metrics: Mapping[UUID, BillableMetric],
    *,
    now: datetime,
) -> Plan:
    """The child after its parent went from `before` to `after`; the same child when nothing concerns it.

    metrics: by id, as they are now. They may have lost values of filters since `after`, which nobody gets any more.
    """
    own, before, after = (declared(plan, metrics) for plan in (child, before, after))
    changes: dict[str, Any] = {
        "charges": _charges(own, before, after, now),
        "fixed_charges": _fixed_charges(child, before, after),
    }
    if child.amount_cents == before.amount_cents:
        changes["amount_cents"] = after.amount_cents
    if all(getattr(child, field) == value for field, value in changes.items()):
        return child
    return next_version(child, **changes)


def _charges(child: Plan, before: Plan, after: Plan, now: datetime) -> tuple[Charge, ...]:
    old = {charge.id: charge for charge in before.charges}
    new = {charge.id: charge for charge in after.charges}
    kept = [
        _charge(charge, old[charge.parent_id], new[charge.parent_id], child, now)
        if charge.parent_id in old and charge.parent_id in new
        else charge
        for charge in child.charges
        if charge.parent_id not in old or charge.parent_id in new
    ]
    copies = {charge.parent_id for charge in child.charges}
    made = [
        copied_charge(charge, child.id, now)
        for key, charge in new.items()
        if key not in old and key not in copies
    ]
    return (*kept, *made)


def _charge(charge: Charge, old: Charge, new: Charge, child: Plan, now: datetime) -> Charge:
    """One that has another model than its parent's is left alone altogether."""
    if new == old or charge.charge_model != new.charge_model:
        return charge
    return replace(
        charge,
        code=new.code,
        properties=_properties(charge.properties, old.properties, new.properties),
        applied_pricing_unit=new.applied_pricing_unit
        if charge.applied_pricing_unit == old.applied_pricing_unit
        else charge.applied_pricing_unit,
        filters=_filters(charge, old, new, child, now),
    )


def _filters(
    charge: Charge, old: Charge, new: Charge, child: Plan, now: datetime
) -> tuple[ChargeFilter, ...]:
    """Filters of parent and child are the same ones when their values are."""
    kept = []
    for filter_ in charge.filters:
        theirs, theirs_now = _with_values(old.filters, filter_), _with_values(new.filters, filter_)
        if theirs is not None and theirs_now is None:
            continue
        if theirs is not None and theirs_now is not None and theirs != theirs_now:
            filter_ = _filter(filter_, theirs, theirs_now, now)
        kept.append(filter_)
    made = [
        copied_filter(filter_, child.id)
        for filter_ in new.filters
        if _with_values(old.filters, filter_) is None
        and _with_values(charge.filters, filter_) is None
    ]
    return (*kept, *made)


def _with_values(filters: Sequence[ChargeFilter], like: ChargeFilter) -> ChargeFilter | None:
    return next((each for each in filters if each.values == like.values), None)


def _filter(
    filter_: ChargeFilter, old: ChargeFilter, new: ChargeFilter, now: datetime
) -> ChargeFilter:
    properties = _properties(filter_.properties, old.properties, new.properties)
    changed = replace(filter_, properties=properties, changed_at=now)
    if _same(filter_.properties, old.properties):
        changed = replace(changed, invoice_display_name=new.invoice_display_name)
    return changed


def _properties(
    own: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The parent's, where the child had the parent's; else its own with the parent's group keys."""
    if _same(own, old):
        return new
    kept = {key: value for key, value in own.items() if key not in _GROUP_KEYS}
    return kept | {key: new[key] for key in _GROUP_KEYS if key in new}


def _same(one: Any, other: Any) -> bool:
    """Whether properties say the same; amounts are compared as numbers: `2` is `2.0`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one == other or _number(one) == _number(other) is not None
    return bool(one == other)


def _number(text: str) -> Any:
    try:
        return parse_decimal(text)
    except ValidationFailed:
        return None


def _fixed_charges(child: Plan, before: Plan, after: Plan) -> tuple[FixedCharge, ...]:
    old = {each.id: each for each in before.fixed_charges}
    new = {each.id: each for each in after.fixed_charges}
    kept = [
        _fixed_charge(each, old[each.parent_id], new[each.parent_id])
        if each.parent_id in old and each.parent_id in new
        else each
        for each in child.fixed_charges
        if each.parent_id not in old or each.parent_id in new
    ]
    copies = {each.parent_id for each in child.fixed_charges}
    made = [
        replace(each, id=ids.derive(child.id, key), parent_id=key, tax_ids=())
        for key, each in new.items()
        if key not in old and key not in copies
    ]
    return (*kept, *made)


def _fixed_charge(own: FixedCharge, old: FixedCharge, new: FixedCharge) -> FixedCharge:
    """Units and properties follow together, where the child had all of the parent's."""
    if new == old or own.charge_model != new.charge_model:
        return own
    own = replace(own, code=new.code)
    followed = (own.charge_model, own.units) == (old.charge_model, old.units)
    if not followed or not _same(own.properties, old.properties):
        return own
    return replace(own, units=new.units, properties=new.properties)
