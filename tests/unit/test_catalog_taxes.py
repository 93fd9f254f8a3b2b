from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from catalog_kit import Catalog

from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreatePlan,
    CreateTax,
    DeleteTax,
    UpdateTax,
)
from lago_engine.domain.events import PlanUpdated, TaxDeleted
from lago_engine.errors import NotFound

VAT: dict[str, Any] = {"name": "VAT", "code": "vat", "rate": "20.0"}


@pytest.mark.parametrize("rate", ["20.0", 20, Decimal("20.00")])
def test_a_rate_is_a_string_or_a_number(rate: object) -> None:
    catalog = Catalog()
    tax = catalog.one(CreateTax, input={**VAT, "rate": rate}).tax
    assert tax == catalog.folded.taxes["vat"]
    assert tax.rate == 20
    assert not tax.applied_to_organization


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": ""}, {"name": ["value_is_mandatory"]}),
        ({"code": ""}, {"code": ["value_is_mandatory"]}),
        ({"code": "taken"}, {"code": ["value_already_exist"]}),
        ({"rate": None}, {"rate": ["value_is_mandatory"]}),
        ({"rate": "twenty"}, {"rate": ["is not a number"]}),
        ({"rate": "-1"}, {"rate": ["value_is_out_of_range"]}),
        ({"applied_to_organization": "maybe"}, {"applied_to_organization": ["value_is_invalid"]}),
    ],
)
def test_a_wrong_tax_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    catalog = Catalog()
    catalog.do(CreateTax, input={**VAT, "code": "taken"})
    assert catalog.refuses(CreateTax, input={**VAT, **fields}) == details


def test_an_update_touches_only_what_is_present() -> None:
    catalog = Catalog()
    catalog.do(CreateTax, input={**VAT, "applied_to_organization": True, "description": "d"})
    catalog.do(CreateTax, input={**VAT, "code": "gst"})
    assert [tax.code for tax in catalog.folded.organization_taxes()] == ["vat"]
    event = catalog.one(
        UpdateTax,
        code="vat",
        input={"code": "ust", "rate": "19", "applied_to_organization": None, "description": None},
    )
    assert event.previous_code == "vat"
    tax = catalog.folded.taxes["ust"]
    assert (tax.name, tax.rate, tax.description) == ("VAT", Decimal(19), None)
    assert sorted(catalog.folded.taxes) == ["gst", "ust"]
    assert catalog.folded.organization_taxes() == ()
    assert catalog.refuses(UpdateTax, code="ust", input={"code": "gst"}) == {
        "code": ["value_already_exist"]
    }
    assert catalog.refuses(UpdateTax, code="ust", input={"rate": None}) == {
        "rate": ["value_is_mandatory"]
    }


def test_deleting_a_tax_takes_it_from_plans_and_charges_and_frees_its_code() -> None:
    catalog = Catalog()
    vat = catalog.one(CreateTax, input=VAT).tax
    gst = catalog.one(CreateTax, input={**VAT, "code": "gst"}).tax
    metric = catalog.one(
        CreateBillableMetric,
        input={"name": "Calls", "code": "calls", "aggregation_type": "count_agg"},
    ).metric
    base = {
        "name": "P",
        "interval": "monthly",
        "amount_cents": 1,
        "amount_currency": "EUR",
        "pay_in_advance": False,
    }
    charge = {"billable_metric_id": str(metric.id), "charge_model": "standard"}
    catalog.do(CreatePlan, input={**base, "code": "none", "charges": [charge]})
    catalog.do(CreatePlan, input={**base, "code": "own", "tax_codes": ["gst", "vat"]})
    charges = [{**charge, "tax_codes": ["vat", "gst"]}, charge]
    catalog.do(CreatePlan, input={**base, "code": "charged", "charges": charges})
    charged, own, deleted = catalog.do(DeleteTax, code="vat")
    assert isinstance(charged, PlanUpdated)
    assert isinstance(own, PlanUpdated)
    assert [part.tax_ids for part in charged.plan.charges] == [(gst.id,), ()]
    assert (own.plan.tax_ids, own.plan.version) == ((gst.id,), 2)
    assert deleted == TaxDeleted(tax=vat)
    assert catalog.folded.plan(own.plan.id, 1).tax_ids == (gst.id, vat.id)
    assert catalog.folded.plans["none"].version == 1
    assert catalog.folded.taxes_by_id[vat.id] == vat
    assert catalog.one(CreateTax, input=VAT).tax.id != vat.id


@pytest.mark.parametrize("kind", [UpdateTax, DeleteTax])
def test_an_unknown_tax_is_not_found(kind: Any) -> None:
    members: dict[str, Any] = {"input": {}} if kind is UpdateTax else {}
    with pytest.raises(NotFound) as missing:
        Catalog().do(kind, code="none", **members)
    assert missing.value.code == "tax_not_found"
