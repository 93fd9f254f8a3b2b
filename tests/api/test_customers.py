"""`/customers` over HTTP: upsert, filters, search."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api


def test_upsert_creates_then_changes_only_what_is_sent(api: Api) -> None:
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    created = api.customer(
        "acme",
        name="Acme",
        currency="EUR",
        metadata=[{"key": "tier", "value": "gold", "display_in_invoice": True}],
        tax_codes=["vat"],
        billing_configuration={"document_locale": "fr"},
    )
    assert [tax["code"] for tax in created["taxes"]] == ["vat"]
    changed = api.customer("acme", email="a@b.co")
    assert changed == created | {"email": "a@b.co"}
    shown = api("GET", "/customers/{}", "acme")["customer"]
    assert shown == changed
    (listed,) = api("GET", "/customers")["customers"]
    assert set(shown) - set(listed) == {"error_details", "applicable_invoice_custom_sections"}
    assert listed["taxes"] == shown["taxes"]


def test_external_id_may_be_a_number(api: Api) -> None:
    made = api("POST", "/customers", body={"customer": {"external_id": 42}})["customer"]
    assert made["external_id"] == "42"
    assert api("GET", "/customers/{}", "42")["customer"] == made


@pytest.mark.parametrize(
    ("fields", "status", "expected"),
    [
        ({"name": "x"}, 422, {"external_id": ["value_is_mandatory"]}),
        ({"external_id": " "}, 422, {"external_id": ["value_is_mandatory"]}),
        ({"external_id": ["a"]}, 422, {"external_id": ["value_is_mandatory"]}),
        ({"external_id": "a", "country": "ZZ"}, 422, {"country": ["not_a_valid_country_code"]}),
        ({"external_id": "a", "currency": "XXX"}, 422, {"currency": ["value_is_invalid"]}),
        ({"external_id": "a", "metadata": [{}] * 6}, 422, {"metadata": ["invalid_count"]}),
        ({"external_id": "a", "tax_codes": ["vat"]}, 404, "tax_not_found"),
        ({"external_id": "a", "billing_entity_code": "x"}, 404, "billing_entity_not_found"),
    ],
)
def test_refusals(api: Api, fields: dict[str, Any], status: int, expected: Any) -> None:
    body = api("POST", "/customers", body={"customer": fields}, status=status)
    assert (body.get("error_details") or body["code"]) == expected
    assert api("GET", "/customers")["customers"] == []


@pytest.mark.parametrize("path", ["", "/invoices", "/payments", "/subscriptions"])
def test_an_unknown_customer_is_not_found(api: Api, path: str) -> None:
    body = api("GET", "/customers/{}" + path, "nobody", status=404)
    assert body["code"] == "customer_not_found"


# --- lists -------------------------------------------------------------------------------------

CUSTOMERS: dict[str, dict[str, Any]] = {
    "a": {
        "name": "Ada & Söhne", "email": "ada@example.com", "country": "DE", "currency": "EUR",
        "customer_type": "company", "zipcode": "10115", "state": "Berlin",
        "tax_identification_number": "DE1", "metadata": [{"key": "tier", "value": "gold"}],
    },
    "b": {
        "firstname": "Bob", "lastname": "O%Neil", "country": "FR", "currency": "USD",
        "customer_type": "individual", "metadata": [{"key": "tier", "value": "iron"}],
    },
    "c_1": {"legal_name": "Cy_Corp", "country": "DE"},
}  # fmt: skip

EVERYONE = ["c_1", "b", "a"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], EVERYONE),
        ([("external_id", "b")], ["b"]),
        ([("external_id", "b"), ("search_term", "nobody")], ["b"]),
        ([("search_term", "SÖHNE")], ["a"]),
        ([("search_term", "%")], ["b"]),
        ([("search_term", "_")], ["c_1"]),
        ([("search_term", "example.COM")], ["a"]),
        ([("search_term", "bob")], ["b"]),
        ([("search_term", "")], EVERYONE),
        ([("countries[]", "DE")], ["c_1", "a"]),
        ([("countries[]", "DE"), ("countries[]", "FR")], EVERYONE),
        ([("currencies[]", "USD")], ["b"]),
        ([("states[]", "Berlin")], ["a"]),
        ([("zipcodes[]", "10115")], ["a"]),
        ([("customer_type", "company")], ["a"]),
        ([("has_customer_type", "true")], ["b", "a"]),
        ([("has_customer_type", "0")], ["c_1"]),
        ([("has_tax_identification_number", "true")], ["a"]),
        ([("has_tax_identification_number", "false")], ["c_1", "b"]),
        ([("account_type[]", "customer")], EVERYONE),
        ([("account_type[]", "partner")], []),
        ([("metadata[tier]", "gold")], ["a"]),
        ([("metadata[tier]", "")], ["c_1"]),
        ([("metadata[tier]", "gold"), ("metadata[x]", "")], ["a"]),
        ([("billing_entity_codes[]", "acme")], EVERYONE),
        ([("unknown", "x")], EVERYONE),
    ],
)
def test_filters(api: Api, query: list[tuple[str, str]], expected: list[str]) -> None:
    for external_id, fields in CUSTOMERS.items():
        api.customer(external_id, **fields)
    found = api("GET", "/customers", query=query)
    assert [customer["external_id"] for customer in found["customers"]] == expected
    assert found["meta"]["total_count"] == len(expected)


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ([("customer_type", "dog")], 422, {"customer_type": ["value_is_invalid"]}),
        ([("account_type[]", "x")], 422, {"account_type": ["value_is_invalid"]}),
        ([("countries[]", "Germany")], 422, {"countries": ["value_is_invalid"]}),
        ([("currencies[]", "Euro")], 422, {"currencies": ["value_is_invalid"]}),
        (
            [("has_customer_type", "false"), ("customer_type", "company")],
            422,
            {"has_customer_type": ["value_is_invalid"]},
        ),
        ([("billing_entity_codes[]", "x")], 404, "billing_entity_not_found"),
    ],
)
def test_filters_that_are_refused(
    api: Api, query: list[tuple[str, str]], status: int, expected: Any
) -> None:
    body = api("GET", "/customers", query=query, status=status)
    assert (body.get("error_details") or body["code"]) == expected
