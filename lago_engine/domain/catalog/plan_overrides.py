"""Child plans: private copies of a plan with other prices, each for one subscription (plans.md §11.1).

A child belongs to its subscription's customer. Its charges remember which charge they are copies of, and a request
may name them by either id. What a request leaves out stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.decide_charges import changed_charge
from lago_engine.domain.catalog.decide_fixed_charges import changed_fixed_charge
from lago_engine.domain.catalog.entities import Charge, ChargeFilter, FixedCharge, Plan
from lago_engine.domain.catalog.plan_terms import replace_commitment
from lago_engine.domain.catalog.references import NewIds, find_tax_ids, uuid_or_none
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.validation import INVALID, MANDATORY, Checker, Reader
from lago_engine.errors import Forbidden, NotFound, ValidationFailed

_SCALARS: Final[Mapping[str, Reader]] = {
    "amount_cents": partial(Checker.integer, missing=MANDATORY, at_least=0),
    "description": Checker.text,
    "invoice_display_name": Checker.text,
    "name": Checker.mandatory_text,
}
_UNTIL_ATTACHED: Final[Mapping[str, Reader]] = {
    "amount_currency": partial(Checker.currency, missing=INVALID),
    "trial_period": partial(Checker.decimal, at_least=0),
}
_LISTS: Final = ("charges", "fixed_charges", "usage_thresholds", "tax_codes")

P = TypeVar("P", Charge, FixedCharge)


def child_plan(
    state: OrganizationState,
    parent: Plan,
    given: Mapping[str, Any],
    *,
    subscription_id: UUID,
    now: datetime,
) -> Plan:
    """A copy of `parent` for one subscription, with the overrides of a request.

    Taxes, metadata and the minimum commitment stay with the parent. Raises ValidationFailed, NotFound, Forbidden.
    """
    child = copied(parent, subscription_id=subscription_id, now=now)
    scalars = Checker(given).read_present(_UNTIL_ATTACHED)
    return overridden(state, child, given, now=now, **scalars)


def copied(parent: Plan, *, subscription_id: UUID, now: datetime) -> Plan:
    """The plan as a child that nothing is overridden of yet, at version 0."""
    child_id = ids.derive(subscription_id, "plan_override", parent.id)
    return msgspec.structs.replace(
        parent,
        id=child_id,
        version=0,
        parent_id=parent.id,
        created_at=now,
        tax_ids=(),
        metadata=None,
        minimum_commitment=None,
        usage_thresholds=(),
        charges=tuple(copied_charge(charge, child_id, now) for charge in parent.charges),
        fixed_charges=tuple(
            msgspec.structs.replace(
                each, id=ids.derive(child_id, each.id), parent_id=each.id, tax_ids=()
            )
            for each in parent.fixed_charges
        ),
    )


def copied_charge(charge: Charge, child_id: UUID, now: datetime) -> Charge:
    """A charge of the parent as the child has it before anything is overridden."""
    return msgspec.structs.replace(
        charge,
        id=ids.derive(child_id, charge.id),
        parent_id=charge.id,
        tax_ids=(),
        filters=tuple(copied_filter(filter_, child_id) for filter_ in charge.filters),
    )


def copied_filter(filter_: ChargeFilter, child_id: UUID) -> ChargeFilter:
    return msgspec.structs.replace(filter_, id=ids.derive(child_id, filter_.id))


def overridden(
    state: OrganizationState,
    child: Plan,
    given: Mapping[str, Any],
    *,
    now: datetime,
    **scalars: Any,
) -> Plan:
    """The child at its next version, after the overrides of a request."""
    checker = Checker(given)
    changes = checker.read_present(_SCALARS) | scalars
    for field in _LISTS:
        if not isinstance(given.get(field), list | None):
            checker.fail(field, INVALID)
    checker.refuse_unbuilt("usage_thresholds")
    checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    new_ids = new_ids_of(child)
    changes["charges"] = _charges(state, child, checker.array("charges") or [], new_ids, now)
    changes["fixed_charges"] = _fixed_charges(state, child, checker.array("fixed_charges") or [])
    changes["minimum_commitment"] = replace_commitment(
        state,
        child.minimum_commitment,
        checker.mapping("minimum_commitment"),
        new_ids=new_ids,
        now=now,
    )
    return next_version(child, **changes)


def new_ids_of(child: Plan) -> NewIds:
    """Ids of what the child's next version has for the first time."""
    return NewIds(ids.derive(child.id, child.version + 1), 0)


def next_version(child: Plan, **changes: Any) -> Plan:
    return msgspec.structs.replace(child, version=child.version + 1, **changes)


def overridden_charge(
    state: OrganizationState,
    charge: Charge,
    given: Mapping[str, Any],
    *,
    new_ids: NewIds,
    now: datetime,
) -> Charge:
    """The child's charge after an override; its model, code and payment terms never change."""
    checker = Checker(given)
    minimum = checker.read_present(
        {"min_amount_cents": partial(Checker.integer, missing=MANDATORY, at_least=0)}
    )
    if charge.pay_in_advance and minimum.get("min_amount_cents"):
        checker.fail("min_amount_cents", "not_compatible_with_pay_in_advance")
    checker.raise_failures()
    changed = changed_charge(state, charge, given, (), attached=True, new_ids=new_ids, now=now)
    return msgspec.structs.replace(changed, **minimum)


def overridden_fixed_charge(
    state: OrganizationState, fixed_charge: FixedCharge, given: Mapping[str, Any]
) -> FixedCharge:
    """Raises Forbidden `cannot_override_charge_model`."""
    model = given.get("charge_model")
    if model is not None and model != fixed_charge.charge_model:
        raise Forbidden("cannot_override_charge_model")
    return changed_fixed_charge(state, fixed_charge, given, (), attached=True)


def _charges(
    state: OrganizationState, child: Plan, items: Sequence[Any], new_ids: NewIds, now: datetime
) -> tuple[Charge, ...]:
    """Items are matched by the id of a charge or of its parent; one without a match is ignored."""
    charges = {charge.id: charge for charge in child.charges}
    for item in items:
        charge = _named(tuple(charges.values()), item, "charges")
        if charge is not None:
            charges[charge.id] = overridden_charge(state, charge, item, new_ids=new_ids, now=now)
    return tuple(charges.values())


def _fixed_charges(
    state: OrganizationState, child: Plan, items: Sequence[Any]
) -> tuple[FixedCharge, ...]:
    fixed_charges = {each.id: each for each in child.fixed_charges}
    for item in items:
        fixed_charge = _named(tuple(fixed_charges.values()), item, "fixed_charges")
        if fixed_charge is None:
            raise NotFound("fixed_charge")
        fixed_charges[fixed_charge.id] = overridden_fixed_charge(state, fixed_charge, item)
    return tuple(fixed_charges.values())


def _named(parts: Sequence[P], item: Any, field: str) -> P | None:
    if not isinstance(item, Mapping):
        raise ValidationFailed.of(field, INVALID)
    named = uuid_or_none(item.get("id"))
    return next((part for part in parts if named and named in (part.id, part.parent_id)), None)
