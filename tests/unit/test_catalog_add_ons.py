"""Add-ons and pricing units: what is sold by the piece, and what prices may be counted in."""

from __future__ import annotations

from typing import Any

import pytest
from catalog_kit import Catalog

from lago_engine.domain.commands import (
    CreateAddOn,
    CreatePricingUnit,
    CreateTax,
    DeleteAddOn,
    DeleteTax,
    UpdateAddOn,
    UpdatePricingUnit,
)
from lago_engine.domain.events import AddOnUpdated, TaxDeleted
from lago_engine.errors import NotFound

SETUP: dict[str, Any] = {
    "name": "Setup", "code": "setup", "amount_cents": 19900, "amount_currency": "EUR",
}  # fmt: skip
CREDITS: dict[str, Any] = {"code": "credits", "name": "Credits", "short_name": "CR"}


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": ""}, {"name": ["value_is_mandatory"]}),
        ({"code": " "}, {"code": ["value_is_mandatory"]}),
        ({"code": "taken"}, {"code": ["value_already_exist"]}),
        ({"amount_cents": None}, {"amount_cents": ["value_is_mandatory"]}),
        ({"amount_cents": 0}, {"amount_cents": ["value_is_out_of_range"]}),
        ({"amount_cents": "much"}, {"amount_cents": ["is not a number"]}),
        ({"amount_currency": None}, {"amount_currency": ["value_is_mandatory"]}),
        ({"amount_currency": "EURO"}, {"amount_currency": ["value_is_invalid"]}),
    ],
)
def test_a_wrong_add_on_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    catalog = Catalog()
    catalog.do(CreateAddOn, input={**SETUP, "code": "taken"})
    assert catalog.refuses(CreateAddOn, input={**SETUP, **fields}) == details


def test_an_update_touches_what_is_present_and_replaces_taxes() -> None:
    catalog = Catalog()
    vat, gst = (
        catalog.one(CreateTax, input={"name": code, "code": code, "rate": 5}).tax
        for code in ("vat", "gst")
    )
    made = catalog.one(CreateAddOn, input={**SETUP, "tax_codes": ["vat"]}).add_on
    assert made.tax_ids == (vat.id,)
    changed = catalog.one(
        UpdateAddOn, code="setup", input={"code": "install", "tax_codes": ["gst"]}
    )
    assert (changed.previous_code, changed.add_on.tax_ids) == ("setup", (gst.id,))
    assert list(catalog.folded.add_ons) == ["install"]
    renamed = catalog.one(UpdateAddOn, code="install", input={"name": "Installation"}).add_on
    assert (renamed.tax_ids, renamed.amount_cents) == ((gst.id,), 19900)
    assert catalog.one(UpdateAddOn, code="install", input={"tax_codes": []}).add_on.tax_ids == ()
    with pytest.raises(NotFound) as missing:
        catalog.do(UpdateAddOn, code="install", input={"tax_codes": ["none"]})
    assert missing.value.code == "tax_not_found"


def test_the_code_of_a_deleted_add_on_may_be_used_again() -> None:
    catalog = Catalog()
    first = catalog.one(CreateAddOn, input=SETUP).add_on
    assert catalog.one(DeleteAddOn, code="setup").add_on == first
    second = catalog.one(CreateAddOn, input=SETUP).add_on
    assert second.id != first.id
    assert set(catalog.folded.add_ons_by_id) == {first.id, second.id}


def test_deleting_a_tax_takes_it_from_add_ons() -> None:
    catalog = Catalog()
    tax = catalog.one(CreateTax, input={"name": "VAT", "code": "vat", "rate": 5}).tax
    catalog.do(CreateAddOn, input={**SETUP, "tax_codes": ["vat"]})
    catalog.do(CreateAddOn, input={**SETUP, "code": "other"})
    updated, deleted = catalog.do(DeleteTax, code="vat")
    assert isinstance(updated, AddOnUpdated)
    assert (updated.add_on.code, updated.add_on.tax_ids) == ("setup", ())
    assert deleted == TaxDeleted(tax=tax)


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"code": None}, {"code": ["value_is_mandatory"]}),
        ({"code": "taken"}, {"code": ["value_already_exist"]}),
        ({"name": ""}, {"name": ["value_is_mandatory"]}),
        ({"short_name": None}, {"short_name": ["value_is_mandatory"]}),
        ({"short_name": "CRED"}, {"short_name": ["value_is_too_long"]}),
        ({"description": "x" * 601}, {"description": ["value_is_too_long"]}),
    ],
)
def test_a_wrong_pricing_unit_is_refused(
    fields: dict[str, Any], details: dict[str, list[str]]
) -> None:
    catalog = Catalog()
    catalog.do(CreatePricingUnit, input={**CREDITS, "code": "taken"})
    assert catalog.refuses(CreatePricingUnit, input={**CREDITS, **fields}) == details


def test_a_pricing_unit_keeps_its_code() -> None:
    catalog = Catalog()
    made = catalog.one(CreatePricingUnit, input=CREDITS).pricing_unit
    given = {"code": "other", "name": "Points", "short_name": "pts"}
    changed = catalog.one(UpdatePricingUnit, code="credits", input=given).pricing_unit
    assert (changed.id, changed.code, changed.name) == (made.id, "credits", "Points")
    assert catalog.folded.pricing_units == {"credits": changed}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (UpdateAddOn, "add_on_not_found"),
        (DeleteAddOn, "add_on_not_found"),
        (UpdatePricingUnit, "pricing_unit_not_found"),
    ],
)
def test_what_is_unknown_is_not_found(kind: Any, code: str) -> None:
    members: dict[str, Any] = {} if kind is DeleteAddOn else {"input": {}}
    with pytest.raises(NotFound) as missing:
        Catalog().do(kind, code="none", **members)
    assert missing.value.code == code
