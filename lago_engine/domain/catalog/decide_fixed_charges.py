"""The fixed charges of a plan as a request gives them (charges.md §15.1, plans.md §7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, get_args

import msgspec

from lago_engine.domain.catalog.entities import AddOn, FixedCharge, FixedChargeModelName, Plan
from lago_engine.domain.catalog.listed_parts import replace_listed, unique_code
from lago_engine.domain.catalog.references import (
    NewIds,
    find_add_on,
    find_tax_ids,
    free_code,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.validation import INVALID, MANDATORY, Checker
from lago_engine.errors import NotFound, ValidationFailed

INCOMPATIBLE: Final = "invalid_charge_model"
_units = partial(Checker.decimal, at_least=0)


def require_fixed_charge_list(items: Sequence[Any], state: OrganizationState) -> None:
    """Refuses items that are not objects, and add-ons that do not exist, before anything else.

    Raises NotFound `add_ons_not_found`; a fixed charge without any add-on is refused later.
    """
    for item in items:
        if not isinstance(item, Mapping):
            raise ValidationFailed.of("fixed_charges", INVALID)
        if names_add_on(item) and find_add_on(state, item) is None:
            raise NotFound("add_ons")


def names_add_on(item: Mapping[str, Any]) -> bool:
    """Whether the item says which add-on it sells."""
    return item.get("add_on_id") is not None or item.get("add_on_code") is not None


def replace_fixed_charges(
    state: OrganizationState,
    existing: Sequence[FixedCharge],
    items: Sequence[Mapping[str, Any]],
    *,
    attached: bool,
    new_ids: NewIds,
    now: datetime,
) -> tuple[FixedCharge, ...]:
    """The fixed charges of a plan after `items`, in their order.

    An item with the id of an existing one updates it, another one creates one; those that no item names are
    gone. attached: the plan has had a subscription.
    """
    return replace_listed(
        existing,
        items,
        field="fixed_charges",
        create=lambda item, codes: new_fixed_charge(state, item, codes, new_ids=new_ids, now=now),
        change=lambda fixed_charge, item, codes: changed_fixed_charge(
            state, fixed_charge, item, codes, attached=attached
        ),
    )


def new_fixed_charge(
    state: OrganizationState,
    item: Mapping[str, Any],
    codes: Collection[str],
    *,
    new_ids: NewIds,
    now: datetime,
    coded: bool = False,
) -> FixedCharge:
    """A fixed charge as `item` gives it. codes: those that are taken. coded: the item has to give one."""
    checker = Checker(item)
    add_on = find_add_on(state, item)
    if add_on is None:
        checker.fail("add_on_id", MANDATORY)
    code = _new_code(checker, add_on, codes, coded=coded)
    model = _read_model(checker)
    pay_in_advance, prorated = _read_payment_terms(checker, model)
    fields: dict[str, Any] = {
        "properties": _read_properties(checker, model),
        "units": _units(checker, "units") or Decimal(0),
        "invoice_display_name": checker.text("invoice_display_name"),
    }
    checker.raise_failures()
    assert add_on is not None, "a fixed charge without an add-on was refused"
    return FixedCharge(
        id=new_ids.take("fixed_charge"),
        code=code,
        add_on_id=add_on.id,
        add_on_code=add_on.code,
        charge_model=model,
        pay_in_advance=pay_in_advance,
        prorated=prorated,
        created_at=now,
        tax_ids=find_tax_ids(state, checker.array("tax_codes") or []),
        **fields,
    )


def changed_fixed_charge(
    state: OrganizationState,
    fixed_charge: FixedCharge,
    item: Mapping[str, Any],
    codes: Collection[str],
    *,
    attached: bool,
) -> FixedCharge:
    """Only what the item names changes; never the add-on and when it is paid, and the model only unattached."""
    checker = Checker(item)
    changes: dict[str, Any] = {} if attached else _changed_terms(checker, fixed_charge, codes)
    model = changes.get("charge_model", fixed_charge.charge_model)
    named = item.get("properties", ()) is None or isinstance(item.get("properties"), Mapping)
    if named or model != fixed_charge.charge_model:
        changes["properties"] = _read_properties(checker, model)
    changes |= checker.read_present({"units": _units, "invoice_display_name": Checker.text})
    if "units" in changes and changes["units"] is None:
        checker.fail("units", MANDATORY)
    checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    return msgspec.structs.replace(fixed_charge, **changes)


def without_add_on(plan: Plan, add_on: AddOn) -> Plan:
    """The plan at its next version without the add-on's fixed charges; the same plan if it has none."""
    kept = tuple(each for each in plan.fixed_charges if each.add_on_id != add_on.id)
    if len(kept) == len(plan.fixed_charges):
        return plan
    return msgspec.structs.replace(plan, version=plan.version + 1, fixed_charges=kept)


def _changed_terms(
    checker: Checker, fixed_charge: FixedCharge, codes: Collection[str]
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if (code := checker.text("code")) and code.strip():
        changes["code"] = unique_code(checker, code, codes)
    if "charge_model" in checker.values:
        model = changes["charge_model"] = _read_model(checker)
        _check_model_terms(checker, model, fixed_charge.pay_in_advance, fixed_charge.prorated)
    return changes


def _read_model(checker: Checker) -> Any:
    model = checker.choice("charge_model", get_args(FixedChargeModelName), missing=MANDATORY)
    if not checker.scalar("charge_model"):
        checker.fail("charge_model", INVALID)
    return model


def _read_payment_terms(checker: Checker, model: str | None) -> tuple[bool, bool]:
    pay_in_advance = bool(checker.boolean("pay_in_advance"))
    prorated = bool(checker.boolean("prorated"))
    _check_model_terms(checker, model, pay_in_advance, prorated)
    return pay_in_advance, prorated


def _check_model_terms(
    checker: Checker, model: str | None, pay_in_advance: bool, prorated: bool
) -> None:
    if pay_in_advance and model == "volume":
        checker.fail("pay_in_advance", INCOMPATIBLE)
    if pay_in_advance and prorated and model == "graduated":
        checker.fail("prorated", INCOMPATIBLE)


def _read_properties(checker: Checker, model_name: str | None) -> Mapping[str, Any]:
    """What is kept of the properties given, or the model's defaults for nothing."""
    model = CHARGE_MODELS.get(model_name or "")
    given = checker.mapping("properties")
    if model is None:
        return {}
    problems = model.problems(given) if given else []
    for code in problems:
        checker.fail("properties", code)
    return dict(model.defaults) if problems or not given else model.stored(given)


def _new_code(
    checker: Checker, add_on: AddOn | None, codes: Collection[str], *, coded: bool
) -> str:
    """The code given, else the add-on's, numbered when it is taken."""
    code = checker.text("code", missing=MANDATORY if coded else None)
    if code and code.strip():
        return unique_code(checker, code, codes)
    return "" if add_on is None else free_code(add_on.code, codes)
