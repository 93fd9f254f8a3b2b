"""The validator of answers refuses what the public API document does not allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
import wire

TAX: dict[str, Any] = {
    "lago_id": "1a901a90-1a90-4a90-8a90-1a901a901a90",
    "name": "VAT",
    "code": "vat",
    "rate": 20.0,
    "description": None,
    "applied_to_organization": True,
    "created_at": "2026-05-01T00:00:00Z",
}


def test_a_good_object_passes() -> None:
    wire.assert_schema("TaxObject", TAX)
    wire.assert_schema("TaxObject", json.dumps(TAX).encode())


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("lago_id", "not-a-uuid"),
        ("lago_id", None),
        ("rate", "20.0"),
        ("created_at", "2026-05-01"),
        ("created_at", "2026-05-01T00:00:00"),
        ("applied_to_organization", 1),
    ],
)
def test_a_wrong_member_fails(member: str, value: object) -> None:
    with pytest.raises(AssertionError, match=f"at {member}"):
        wire.assert_schema("TaxObject", {**TAX, member: value})


def test_a_missing_member_fails() -> None:
    with pytest.raises(AssertionError, match="'code' is a required property"):
        wire.assert_schema("TaxObject", {key: TAX[key] for key in TAX if key != "code"})


def test_an_unknown_schema_fails() -> None:
    with pytest.raises(AssertionError):
        wire.assert_schema("NoSuchObject", {})


def test_answers_are_found_by_method_path_and_status() -> None:
    page = {
        "current_page": 1,
        "next_page": None,
        "prev_page": None,
        "total_pages": 1,
        "total_count": 1,
    }
    wire.assert_valid("GET", "/taxes", 200, {"taxes": [TAX], "meta": page})
    wire.assert_valid("get", "/taxes/:code", 200, json.dumps({"tax": TAX}))
    wire.assert_valid("PATCH", "/taxes/{tax_code}", 200, {"tax": TAX})
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/taxes", 200, {"taxes": [{**TAX, "name": None}], "meta": page})
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/taxes/{code}", 200, {"taxes": [TAX]})


def test_refusals_are_checked_whether_documented_or_not() -> None:
    refusal = {"status": 404, "error": "Not Found", "code": "tax_not_found"}
    wire.assert_valid("GET", "/taxes/{code}", 404, refusal)
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/taxes/{code}", 404, {"status": 404, "error": "Not Found"})
    wire.assert_valid("GET", "/taxes", 429, {"status": 429, "error": "Too Many Requests"})
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/taxes", 429, b"slow down, please")
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/test_clock", 404, {"status": 405, "error": "Not Found"})


def test_unknown_operations_fail() -> None:
    with pytest.raises(AssertionError, match="no get /nothing"):
        wire.assert_valid("GET", "/nothing", 200, {})
    with pytest.raises(AssertionError, match="not documented to answer 201"):
        wire.assert_valid("POST", "/taxes", 201, {"tax": TAX})


def test_answers_that_are_not_json_by_contract() -> None:
    wire.assert_valid("GET", "/webhooks/public_key", 200, b"LS0tLS1CRUdJTg==")
    wire.assert_valid("POST", "/invoices/{lago_id}/retry_payment", 200, b"")
    with pytest.raises(AssertionError, match="no JSON"):
        wire.assert_valid("GET", "/webhooks/json_public_key", 200, b"LS0tLS1CRUdJTg==")


def test_operations_of_our_own_and_undocumented_ones() -> None:
    wire.assert_valid("PUT", "/test_clock", 200, {"test_clock": {"now": None}})
    with pytest.raises(AssertionError):
        wire.assert_valid("GET", "/organizations", 200, {"organization": {}})


def test_every_deviation_names_a_member_that_exists_and_is_needed() -> None:
    schemas = json.loads(wire.SCHEMA_FILE.read_text())["components"]["schemas"]
    for deviation in wire.DEVIATIONS:
        assert deviation.reason
        assert deviation.schema in schemas
        if deviation.member is not None:
            assert deviation.member in schemas[deviation.schema]["properties"]
