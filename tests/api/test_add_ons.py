"""Add-ons and pricing units over HTTP."""

from __future__ import annotations

from typing import Any

from api.client import Api

SETUP: dict[str, Any] = {
    "name": "Setup", "code": "setup", "amount_cents": 19900, "amount_currency": "EUR",
}  # fmt: skip


def test_add_on_life(api: Api) -> None:
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    made = api.create("add_on", "/add_ons", **SETUP, tax_codes=["vat"], description="Once")
    assert [tax["code"] for tax in made["taxes"]] == ["vat"]
    assert api("GET", "/add_ons/{}", "setup")["add_on"] == made
    api("PUT", "/taxes/{}", "vat", body={"tax": {"rate": 21}})
    assert api("GET", "/add_ons/{}", "setup")["add_on"]["taxes"][0]["rate"] == 21
    for method in ("PUT", "PATCH"):
        changed = api(
            method, "/add_ons/{}", "setup", body={"add_on": {"name": method, "tax_codes": []}}
        )["add_on"]
        assert changed == made | {"name": method, "taxes": []}
    renamed = api("PUT", "/add_ons/{}", "setup", body={"add_on": {"code": "s/2"}})["add_on"]
    assert api("GET", "/add_ons")["add_ons"] == [renamed]
    assert api("DELETE", "/add_ons/{}", "s/2")["add_on"] == renamed
    for method in ("GET", "DELETE"):
        assert api(method, "/add_ons/{}", "s/2", status=404)["code"] == "add_on_not_found"
    assert api("GET", "/add_ons")["meta"]["total_count"] == 0


def test_add_on_refusals(api: Api) -> None:
    refused = api("POST", "/add_ons", body={"add_on": {"amount_cents": -1}}, status=422)
    assert refused["error_details"] == {
        "name": ["value_is_mandatory"],
        "code": ["value_is_mandatory"],
        "amount_cents": ["value_is_out_of_range"],
        "amount_currency": ["value_is_mandatory"],
    }
    given = {"add_on": {**SETUP, "tax_codes": ["none"]}}
    assert api("POST", "/add_ons", body=given, status=404)["code"] == "tax_not_found"
    assert api("GET", "/add_ons")["add_ons"] == []


def test_pricing_unit_life(api: Api) -> None:
    made = api.create(
        "pricing_unit", "/pricing_units", code="credits", name="Credits", short_name="CR"
    )
    assert made["description"] is None
    assert api("GET", "/pricing_units/{}", "credits")["pricing_unit"] == made
    given = {"pricing_unit": {"description": "Sold in packs"}}
    changed = api("PUT", "/pricing_units/{}", "credits", body=given)["pricing_unit"]
    assert changed == made | {"description": "Sold in packs"}
    assert api("GET", "/pricing_units")["pricing_units"] == [changed]
    missing = api("GET", "/pricing_units/{}", "none", status=404)
    assert missing["code"] == "pricing_unit_not_found"
