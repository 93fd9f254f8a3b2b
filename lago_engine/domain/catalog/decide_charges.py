"""The charges of a plan as a request gives them (charges §2-§4, plans §3.3, §5.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from lago_engine.domain.catalog.charge_filters import filter_items, replace_filters
from lago_engine.domain.catalog.charge_pricing import (
    check_payment_terms,
    check_properties,
    check_prorated,
    read_charge_model,
    read_properties,
)
from lago_engine.domain.catalog.charge_units import changed_pricing_unit, read_pricing_unit
from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan
from lago_engine.domain.catalog.listed_parts import replace_listed, unique_code
from lago_engine.domain.catalog.references import (
    NewIds,
    find_metric,
    find_tax_ids,
    free_code,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.validation import INVALID, MANDATORY, Checker
from lago_engine.errors import NotFound, ValidationFailed


def require_charge_list(items: Sequence[Any], state: OrganizationState) -> None:
    """Refuses items that are not objects, and metrics that do not exist, before anything else.

    Raises NotFound `billable_metrics_not_found`; a charge without any metric is refused later.
    """
    for item in items:
        if not isinstance(item, Mapping):
            raise ValidationFailed.of("charges", INVALID)
        metric_id = item.get("billable_metric_id")
        if metric_id is not None and find_metric(state, metric_id) is None:
            raise NotFound("billable_metrics")


def replace_charges(
    state: OrganizationState,
    existing: Sequence[Charge],
    items: Sequence[Mapping[str, Any]],
    *,
    attached: bool,
    new_ids: NewIds,
    now: datetime,
) -> tuple[Charge, ...]:
    """The charges of a plan after `items`, in their order.

    An item with the id of an existing charge updates it, another one creates a charge; existing
    charges that no item names are gone. attached: the plan has had a subscription.
    """
    return replace_listed(
        existing,
        items,
        field="charges",
        create=lambda item, codes: new_charge(state, item, codes, new_ids=new_ids, now=now),
        change=lambda charge, item, codes: changed_charge(
            state, charge, item, codes, attached=attached, new_ids=new_ids, now=now
        ),
    )


def without_charges_of(plan: Plan, metric: BillableMetric) -> Plan:
    """The plan at its next version without the metric's charges; the same plan if it has none."""
    charges = tuple(charge for charge in plan.charges if charge.billable_metric_id != metric.id)
    if len(charges) == len(plan.charges):
        return plan
    return msgspec.structs.replace(plan, version=plan.version + 1, charges=charges)


def new_charge(
    state: OrganizationState,
    item: Mapping[str, Any],
    codes: Collection[str],
    *,
    new_ids: NewIds,
    now: datetime,
    coded: bool = False,
) -> Charge:
    """A charge as `item` gives it. codes: those that are taken. coded: the item has to give one."""
    checker = Checker(item)
    if coded:
        checker.text("code", missing=MANDATORY)
    metric = _metric(checker, state)
    code = _new_code(checker, metric, codes)
    model = read_charge_model(checker, metric)
    properties = read_properties(checker, model, metric)
    invoice_display_name = checker.text("invoice_display_name")
    terms = _terms(checker, model, metric)
    accepts_target_wallet = bool(checker.boolean("accepts_target_wallet"))
    applied_pricing_unit = read_pricing_unit(checker, state)
    checker.raise_failures()
    assert metric is not None, "a charge without a metric was refused"
    charge_id = new_ids.take("charge")
    filters = checker.array("filters") or []
    return Charge(
        id=charge_id,
        code=code,
        billable_metric_id=metric.id,
        billable_metric_code=metric.code,
        charge_model=model,
        properties=properties,
        created_at=now,
        invoice_display_name=invoice_display_name,
        accepts_target_wallet=accepts_target_wallet,
        applied_pricing_unit=applied_pricing_unit,
        tax_ids=find_tax_ids(state, checker.array("tax_codes") or []),
        filters=replace_filters((), filters, model=model, metric=metric, new_ids=new_ids, now=now),
        **terms,
    )


def changed_charge(
    state: OrganizationState,
    charge: Charge,
    item: Mapping[str, Any],
    codes: Collection[str],
    *,
    attached: bool,
    new_ids: NewIds,
    now: datetime,
) -> Charge:
    """Only what the item names changes; of an attached plan's charge the terms never do."""
    checker = Checker(item)
    changes = {} if attached else _changed_terms(checker, state, charge, codes)
    model = changes.get("charge_model", charge.charge_model)
    metric = state.metrics_by_id[changes.get("billable_metric_id", charge.billable_metric_id)]
    # The properties of another model say nothing, so without new ones it starts from its defaults.
    if _names_properties(item) or model != charge.charge_model:
        changes["properties"] = read_properties(checker, model, metric)
    elif metric.id != charge.billable_metric_id:
        check_properties(checker, CHARGE_MODELS[model], metric, charge.properties)
    changes |= checker.read_present({"invoice_display_name": Checker.text})
    if (accepts := checker.boolean("accepts_target_wallet")) is not None:
        changes["accepts_target_wallet"] = accepts
    changes["applied_pricing_unit"] = changed_pricing_unit(checker, charge.applied_pricing_unit)
    checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    filters = checker.array("filters")
    if filters is None and (model != charge.charge_model or metric.id != charge.billable_metric_id):
        # What stays has to fit the new terms.
        filters = filter_items(charge.filters)
    if filters is not None:
        changes["filters"] = replace_filters(
            charge.filters, filters, model=model, metric=metric, new_ids=new_ids, now=now
        )
    return msgspec.structs.replace(charge, **changes)


def _names_properties(item: Mapping[str, Any]) -> bool:
    return "properties" in item and (
        item["properties"] is None or isinstance(item["properties"], Mapping)
    )


def _changed_terms(
    checker: Checker, state: OrganizationState, charge: Charge, codes: Collection[str]
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    metric: BillableMetric | None = state.metrics_by_id[charge.billable_metric_id]
    if "billable_metric_id" in checker.values:
        metric = _metric(checker, state)
        if metric is not None:
            changes |= {"billable_metric_id": metric.id, "billable_metric_code": metric.code}
    if (code := checker.text("code")) and code.strip():
        changes["code"] = unique_code(checker, code, codes)
    if "charge_model" in checker.values:
        changes["charge_model"] = read_charge_model(checker, metric)
    model = changes.get("charge_model", charge.charge_model)
    return changes | _terms(checker, model, metric, charge)


def _metric(checker: Checker, state: OrganizationState) -> BillableMetric | None:
    metric = find_metric(state, checker.scalar("billable_metric_id"))
    if metric is None:
        checker.fail("billable_metric", "relation_must_exist")
    return metric


def _new_code(checker: Checker, metric: BillableMetric | None, codes: Collection[str]) -> str:
    """The code given, else the metric's, numbered when it is taken (`api_calls_2`)."""
    code = checker.text("code")
    if code and code.strip():
        return unique_code(checker, code, codes)
    return "" if metric is None else free_code(metric.code, codes)


def _terms(
    checker: Checker,
    model: str | None,
    metric: BillableMetric | None,
    charge: Charge | None = None,
) -> dict[str, Any]:
    """The terms that are fixed once the plan is attached (charges §2); what is not given stays as it is."""
    in_advance = _given(checker, "pay_in_advance", Checker.boolean, charge)
    check_payment_terms(checker, model, metric, in_advance=in_advance)
    prorated = _given(checker, "prorated", Checker.boolean, charge)
    if prorated:
        check_prorated(checker, model, metric, in_advance=in_advance)
    invoiceable = _given(checker, "invoiceable", Checker.boolean, charge)
    if not invoiceable and not in_advance:
        checker.fail("invoiceable", "must_be_true_unless_pay_in_advance")
    regroup = _given(
        checker, "regroup_paid_fees", partial(Checker.choice, allowed=("invoice",)), charge
    )
    if regroup and (invoiceable or not in_advance):
        checker.fail("regroup_paid_fees", "only_compatible_with_pay_in_advance_and_non_invoiceable")
    minimum = _given(checker, "min_amount_cents", partial(Checker.integer, at_least=0), charge)
    if minimum and in_advance:
        checker.fail("min_amount_cents", "not_compatible_with_pay_in_advance")
    return {
        "pay_in_advance": in_advance,
        "prorated": prorated,
        "invoiceable": invoiceable,
        "regroup_paid_fees": regroup,
        "min_amount_cents": minimum,
    }


class _Terms(NamedTuple):
    pay_in_advance: bool = False
    prorated: bool = False
    invoiceable: bool = True
    regroup_paid_fees: str | None = None
    min_amount_cents: int = 0


_DEFAULT_TERMS: Final = _Terms()


def _given(
    checker: Checker, field: str, read: Callable[[Checker, str], Any], charge: Charge | None
) -> Any:
    """A term as given, its default where it is null; of a charge that exists what is stored where it is not named."""
    if charge is not None and field not in checker.values:
        return getattr(charge, field)
    value = read(checker, field)
    return getattr(_DEFAULT_TERMS, field) if value is None else value
