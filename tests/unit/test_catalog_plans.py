from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from catalog_kit import NOW, Catalog, attach

from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreatePlan,
    CreateTax,
    DeletePlan,
    RemovePlan,
    UpdatePlan,
)
from lago_engine.domain.events import PlanDeleted, PlanDeletionRequested
from lago_engine.errors import NotFound

GROWTH: dict[str, Any] = {
    "name": "Growth",
    "code": "growth",
    "interval": "monthly",
    "amount_cents": 9900,
    "amount_currency": "USD",
    "pay_in_advance": True,
}


NO_MODEL = {"charge_model": ["value_is_mandatory", "value_is_invalid"]}


def a_metric(catalog: Catalog, code: str = "calls") -> str:
    fields = {"name": code, "code": code, "aggregation_type": "count_agg"}
    return str(catalog.one(CreateBillableMetric, input=fields).metric.id)


def stored(catalog: Catalog, code: str = "growth") -> Plan:
    return catalog.folded.plans[code]


def test_a_plan_starts_at_version_one() -> None:
    catalog = Catalog()
    tax = catalog.one(CreateTax, input={"name": "VAT", "code": "vat", "rate": "20"}).tax
    fields = {
        **GROWTH,
        "trial_period": 0,
        "tax_codes": ["vat", "vat"],
        "metadata": {"tier": "gold", "note": None},
        "charges": [],
        "fixed_charges": None,
        "minimum_commitment": {},
        "usage_thresholds": [],
        "cascade_updates": True,
    }
    plan = catalog.one(CreatePlan, input=fields).plan
    assert plan == stored(catalog) == catalog.folded.plan(plan.id, 1)
    assert (plan.version, plan.created_at, plan.amount_cents) == (1, NOW, 9900)
    assert plan.tax_ids == (tax.id,)
    assert plan.metadata == {"tier": "gold", "note": None}
    assert (plan.bill_charges_monthly, plan.bill_fixed_charges_monthly) == (None, None)
    assert plan.trial_period == Decimal(0)


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": None}, {"name": ["value_is_mandatory"]}),
        ({"code": ""}, {"code": ["value_is_mandatory"]}),
        ({"code": "taken"}, {"code": ["value_already_exist"]}),
        ({"interval": None}, {"interval": ["value_is_invalid"]}),
        ({"interval": "daily"}, {"interval": ["value_is_invalid"]}),
        ({"amount_cents": ""}, {"amount_cents": ["value_is_mandatory"]}),
        ({"amount_cents": "many"}, {"amount_cents": ["is not a number"]}),
        ({"amount_cents": -1}, {"amount_cents": ["value_is_out_of_range"]}),
        ({"amount_cents": Decimal("99.5")}, {"amount_cents": ["value_is_invalid"]}),
        ({"amount_currency": "XXX"}, {"amount_currency": ["value_is_invalid"]}),
        ({"pay_in_advance": None}, {"pay_in_advance": ["value_is_invalid"]}),
        ({"trial_period": -1}, {"trial_period": ["value_is_out_of_range"]}),
        ({"trial_period": 36501}, {"trial_period": ["value_is_out_of_range"]}),
        ({"metadata": {"k": "v" * 256}}, {"value": ["value_too_long"]}),
        (
            {"fixed_charges": [{"units": 1}]},
            {
                "add_on_id": ["value_is_mandatory"],
                "charge_model": ["value_is_mandatory", "value_is_invalid"],
            },
        ),
        ({"fixed_charges": [1]}, {"fixed_charges": ["value_is_invalid"]}),
        ({"minimum_commitment": {"amount_cents": 0}}, {"amount_cents": ["value_is_out_of_range"]}),
        (
            {"minimum_commitment": {"invoice_display_name": "At least"}},
            {"amount_cents": ["value_is_mandatory"]},
        ),
        ({"usage_thresholds": ["x"]}, {"usage_thresholds": ["value_is_invalid"]}),
    ],
)
def test_a_wrong_plan_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    catalog = Catalog()
    catalog.do(CreatePlan, input={**GROWTH, "code": "taken"})
    assert catalog.refuses(CreatePlan, input={**GROWTH, **fields}) == details


def test_checks_run_in_the_order_of_the_wire() -> None:
    """Metrics (404), then the plan, its metadata, its taxes (404), then its charges."""
    catalog = Catalog()
    metric_id = a_metric(catalog)
    wrong_charge = {"billable_metric_id": metric_id, "charge_model": "cubic"}
    unknown = {"billable_metric_id": "not-a-uuid", "charge_model": "cubic"}
    everything = {
        **GROWTH,
        "name": "",
        "metadata": {"k": 1},
        "tax_codes": ["none"],
        "charges": [wrong_charge, unknown],
    }
    with pytest.raises(NotFound) as metrics:
        catalog.do(CreatePlan, input=everything)
    assert metrics.value.code == "billable_metrics_not_found"
    everything["charges"] = [wrong_charge]
    assert catalog.refuses(CreatePlan, input=everything) == {"name": ["value_is_mandatory"]}
    everything["name"] = "Growth"
    assert catalog.refuses(CreatePlan, input=everything) == {"value": ["invalid_type"]}
    everything["metadata"] = {}
    with pytest.raises(NotFound) as taxes:
        catalog.do(CreatePlan, input=everything)
    assert taxes.value.code == "tax_not_found"
    everything["tax_codes"] = []
    assert catalog.refuses(CreatePlan, input=everything) == {"charge_model": ["value_is_invalid"]}
    assert catalog.folded.plans == {}


@pytest.mark.parametrize(
    ("fields", "switches"),
    [
        ({"interval": "yearly"}, (False, False)),
        ({"interval": "semiannual", "bill_charges_monthly": True}, (True, False)),
        ({"interval": "yearly", "bill_fixed_charges_monthly": "true"}, (False, True)),
        ({"interval": "quarterly", "bill_charges_monthly": True}, (None, None)),
    ],
)
def test_monthly_switches_exist_for_long_intervals(
    fields: dict[str, Any], switches: tuple[bool | None, bool | None]
) -> None:
    plan = Catalog().one(CreatePlan, input={**GROWTH, **fields}).plan
    assert (plan.bill_charges_monthly, plan.bill_fixed_charges_monthly) == switches


def test_an_update_without_interval_keeps_the_monthly_switches() -> None:
    catalog = Catalog()
    catalog.do(CreatePlan, input={**GROWTH, "interval": "yearly", "bill_charges_monthly": True})
    catalog.do(UpdatePlan, code="growth", input={"name": "G"})
    assert stored(catalog).bill_charges_monthly is True
    catalog.do(UpdatePlan, code="growth", input={"bill_charges_monthly": None})
    assert stored(catalog).bill_charges_monthly is False
    catalog.do(UpdatePlan, code="growth", input={"interval": "monthly"})
    assert stored(catalog).bill_charges_monthly is None


def test_every_update_is_a_new_version_and_the_old_ones_are_kept() -> None:
    catalog = Catalog()
    first = catalog.one(CreatePlan, input=GROWTH).plan
    catalog.now += timedelta(days=1)
    event = catalog.one(UpdatePlan, code="growth", input={"code": "grow", "amount_cents": "12000"})
    catalog.one(UpdatePlan, code="grow", input={"unknown": 1})
    assert event.previous_code == "growth"
    state = catalog.folded
    assert list(state.plans) == ["grow"]
    assert [state.plan(first.id, n).amount_cents for n in (1, 2, 3)] == [9900, 12000, 12000]
    assert state.plans_by_id[first.id].version == 3
    assert state.plans_by_id[first.id].created_at == NOW


def test_an_attached_plan_keeps_its_terms() -> None:
    catalog = Catalog()
    plan = catalog.one(CreatePlan, input={**GROWTH, "interval": "yearly"}).plan
    attach(catalog, plan)
    fields = {
        "name": "Grown",
        "description": "d",
        "invoice_display_name": "i",
        "amount_cents": 1,
        "code": "",
        "interval": "daily",
        "pay_in_advance": False,
        "amount_currency": "EUR",
        "trial_period": 30,
        "bill_charges_monthly": True,
        "metadata": {"a": "b"},
    }
    catalog.do(UpdatePlan, code="growth", input=fields)
    updated = stored(catalog)
    assert (updated.name, updated.description, updated.invoice_display_name) == ("Grown", "d", "i")
    assert (updated.amount_cents, updated.metadata) == (1, {"a": "b"})
    assert (updated.interval, updated.pay_in_advance, updated.amount_currency) == (
        "yearly",
        True,
        "USD",
    )
    assert (updated.trial_period, updated.bill_charges_monthly) == (None, False)
    assert catalog.refuses(UpdatePlan, code="growth", input={"amount_cents": None}) == {
        "amount_cents": ["value_is_mandatory"]
    }


def test_an_update_is_checked() -> None:
    catalog = Catalog()
    catalog.do(CreatePlan, input=GROWTH)
    catalog.do(CreatePlan, input={**GROWTH, "code": "other"})
    for fields, details in [
        ({"code": "other"}, {"code": ["value_already_exist"]}),
        ({"interval": ""}, {"interval": ["value_is_invalid"]}),
        ({"fixed_charges": [{}]}, {"add_on_id": ["value_is_mandatory"], **NO_MODEL}),
        ({"metadata": {"k": ["v"]}}, {"value": ["nested_structure_not_allowed"]}),
        ({"charges": ["x"]}, {"charges": ["value_is_invalid"]}),
    ]:
        assert catalog.refuses(UpdatePlan, code="growth", input=fields) == details
    with pytest.raises(NotFound) as missing:
        catalog.do(UpdatePlan, code="growth", input={"tax_codes": ["none"]})
    assert missing.value.code == "tax_not_found"


def test_metadata_and_taxes_are_replaced_when_present() -> None:
    catalog = Catalog()
    for code in ("vat", "gst"):
        catalog.do(CreateTax, input={"name": code, "code": code, "rate": "5"})
    catalog.do(CreatePlan, input={**GROWTH, "tax_codes": ["vat"], "metadata": {"a": "1"}})
    catalog.do(UpdatePlan, code="growth", input={"metadata": "not an object", "tax_codes": None})
    assert stored(catalog).metadata == {"a": "1"}
    assert stored(catalog).tax_ids == (catalog.folded.taxes["vat"].id,)
    catalog.do(UpdatePlan, code="growth", input={"metadata": {"b": "2"}, "tax_codes": ["gst"]})
    assert stored(catalog).metadata == {"b": "2"}
    assert stored(catalog).tax_ids == (catalog.folded.taxes["gst"].id,)
    catalog.do(UpdatePlan, code="growth", input={"metadata": None, "tax_codes": []})
    assert (stored(catalog).metadata, stored(catalog).tax_ids) == (None, ())
    catalog.do(UpdatePlan, code="growth", input={"metadata": {}})
    assert stored(catalog).metadata == {}


def test_a_plan_that_had_a_subscription_goes_in_two_steps() -> None:
    catalog = Catalog()
    plan = catalog.one(CreatePlan, input=GROWTH).plan
    attach(catalog, plan)
    assert catalog.do(RemovePlan, plan_id=plan.id) == []
    requested = catalog.one(DeletePlan, code="growth")
    assert isinstance(requested, PlanDeletionRequested)
    assert stored(catalog).pending_deletion
    assert catalog.one(DeletePlan, code="growth") == requested
    assert catalog.one(RemovePlan, plan_id=plan.id) == PlanDeleted(plan=requested.plan)
    assert catalog.folded.plans == {}
    assert catalog.do(RemovePlan, plan_id=plan.id) == []
    catalog.do(CreatePlan, input=GROWTH)
    assert catalog.do(RemovePlan, plan_id=plan.id) == []


def test_a_deleted_plan_frees_its_code_and_keeps_its_versions() -> None:
    catalog = Catalog()
    plan = catalog.one(CreatePlan, input=GROWTH).plan
    assert catalog.do(DeletePlan, code="growth") == [PlanDeleted(plan=plan)]
    with pytest.raises(NotFound) as missing:
        catalog.do(DeletePlan, code="growth")
    assert missing.value.code == "plan_not_found"
    with pytest.raises(NotFound):
        catalog.do(UpdatePlan, code="growth", input={"name": "x"})
    assert catalog.one(CreatePlan, input=GROWTH).plan.id != plan.id
    assert catalog.folded.plan(plan.id, 1) == plan
