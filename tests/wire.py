"""Is an answer what the public API document promises? Validates against a copy of its schema.

The copy is unaltered; where the functional contract asks for something else, `DEVIATIONS` says what
and why. Paths of our own, which the document does not know, are listed in `OWN_PATHS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SCHEMA_FILE = Path(__file__).parent / "fixtures" / "wire_schema.json"
URI = "urn:lago:wire"

NULL = {"type": "null"}
ANY_STRING = {"type": "string", "minLength": 1}


class Deviation(NamedTuple):
    """A member (None: the whole schema) that may also look like `allow`."""

    schema: str
    member: str | None
    allow: Mapping[str, Any]
    reason: str


DEVIATIONS = (
    *(
        Deviation(schema, None, ANY_STRING, "api_conventions.md §2.2: any IANA zone is accepted")
        for schema in ("Timezone", "TimezoneOrNull")
    ),
    *(
        Deviation(
            schema,
            None,
            {"enum": ["BHD", "IRR", "JOD", "KWD"]},
            "api_conventions.md §2.2: 142 currencies are accepted",
        )
        for schema in ("Currency", "CurrencyOrNull")
    ),
    *(
        Deviation(
            "WalletObject",
            member,
            {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]+$"},
            "coupons_wallets_credit_notes.md §4: it may be negative",
        )
        for member in ("credits_ongoing_balance", "credits_ongoing_usage_balance")
    ),
    *(
        Deviation("WalletRecurringTransactionRule", member, NULL, "§7: only of the other trigger")
        for member in ("interval", "threshold_credits")
    ),
    Deviation("WalletMetadataResponse", "metadata", NULL, "api_conventions.md §5: object or null"),
    Deviation("BillableMetricObject", "expression", NULL, "metrics.md §1.2: null by default"),
    Deviation("PlanObject", "invoice_display_name", NULL, "plans.md §2: string or null"),
    Deviation("PlanObject", "description", NULL, "plans.md §2: string or null"),
    Deviation("PlanObject", "trial_period", NULL, "plans.md §2: number or null"),
    Deviation("FixedChargeObject", "units", ANY_STRING, "plans.md §7.1: a decimal as text"),
    Deviation("FixedChargeObject", "invoice_display_name", NULL, "charges.md §15.1: or null"),
    Deviation("MinimumCommitmentObject", "invoice_display_name", NULL, "plans.md §8: a default"),
    Deviation("PlanMetadataResponse", "metadata", NULL, "plans.md §10: an object or null"),
    *(
        Deviation("CustomerBillingConfiguration", member, NULL, "customers.md §2: nullable")
        for member in (
            "invoice_grace_period",
            "payment_provider",
            "payment_provider_code",
            "provider_customer_id",
            "document_locale",
        )
    ),
    Deviation(
        "CustomerBillingConfiguration",
        "payment_provider",
        ANY_STRING,
        "providers are plugins, found by name",
    ),
    *(
        Deviation("SubscriptionObject", member, NULL, "null is its type but not in its enum")
        for member in ("on_termination_credit_note", "cancellation_reason")
    ),
    Deviation("PaymentMethodReference", "payment_method_id", NULL, "null: the default method"),
    Deviation(
        "ApiErrorUnprocessableEntity",
        "error_details",
        {"type": ["object", "string"]},
        "events.md §3: a failed expression is told as text",
    ),
    Deviation(
        "InvoiceBaseObject",
        "invoice_type",
        {"const": "advance_charges"},
        "charges.md §9.1: an invoice over paid fees has a type of its own",
    ),
    Deviation("InvoiceBaseObject", "sequential_id", NULL, "invoices.md §3: null until finalized"),
    Deviation("InvoiceBaseObject", "payment_dispute_lost_at", NULL, "null without a dispute"),
    *(
        Deviation("BillingPeriodObject", member, NULL, "billing_periods.md §4: windows may lack")
        for member in ("charges_from_datetime", "charges_to_datetime")
    ),
    Deviation("EventObject", "properties", {"type": "object"}, "an integer is a number, too"),
    *(
        Deviation("FeeEstimateObject", member, ANY_STRING, "events.md §11: decimals are text")
        for member in ("precise_amount", "precise_total_amount", "precise_unit_amount")
    ),
    Deviation("FeeEstimateObject", "event_transaction_id", NULL, "null where none was sent"),
    Deviation(
        "FeeEstimateObject",
        "item",
        {
            "type": "object",
            "required": ["type", "code", "name", "lago_item_id", "item_type"],
            "properties": {
                "description": {"type": ["string", "null"]},
                "filters": {"type": ["object", "null"]},
                "filter_invoice_display_name": {"type": ["string", "null"]},
            },
        },
        "events.md §11: null without a description and without a filter",
    ),
    Deviation("BaseAppliedTax", "lago_id", NULL, "events.md §10: estimates are not stored"),
    Deviation("FeeAppliedTaxObject", "lago_fee_id", NULL, "events.md §10: as above"),
    Deviation("FeeObject", "pricing_unit_details", NULL, "charges.md §10: or null"),
    *(
        Deviation("PaymentObject", member, NULL, "payments.md §2: null where it does not apply")
        for member in (
            "payment_provider_code",
            "payment_provider_type",
            "provider_customer_id",
        )
    ),
    Deviation(
        "PaymentObject",
        "payment_provider_type",
        ANY_STRING,
        "providers are plugins, found by name",
    ),
    Deviation(
        "InvoicePaymentFailureObject",
        "payment_provider",
        {"type": ["string", "null"]},
        "providers are plugins; a customer may have none",
    ),
    Deviation(
        "CustomerProjectedChargeUsageObject",
        None,
        {
            "type": "object",
            "required": [
                *("units", "projected_units", "events_count", "amount_cents"),
                *("projected_amount_cents", "amount_currency", "charge", "billable_metric"),
                *("filters", "grouped_usage"),
            ],
            "properties": {
                "units": {"type": "string"},
                "projected_units": {"type": "string"},
                "amount_cents": {"type": "integer"},
                "projected_amount_cents": {"type": "integer"},
                "charge": {"type": "object", "required": ["lago_id", "charge_model"]},
            },
            "not": {"required": ["groups"]},
        },
        "metrics.md §11.3: the document requires a member `groups` that it describes nowhere",
    ),
    *(
        Deviation("InvoicePaymentFailureObject", member, NULL, "null where it does not apply")
        for member in ("provider_customer_id", "payment_provider_code")
    ),
)

OWN_PATHS = ("/test_clock", "/pricing_units", "/payment_providers", "/health", "/ready", "/metrics")

OWN_ACTIONS = ("/explain",)

OPERATIONS = {
    ("get", "/organizations"): "Organization",
    ("post", "/invoices/{}/download_pdf"): "Invoice",
    ("post", "/credit_notes/{}/download_pdf"): "CreditNote",
    ("get", "/payments/{}"): "Payment",
    ("put", "/plans/{}/metadata"): "PlanMetadataResponse",
}
"""(method, path) whose 200 answer the document lacks, or shows without its wrapper → named schema."""

ERROR = {
    "type": "object",
    "required": ["status", "error"],
    "properties": {
        "status": {"type": "integer"},
        "error": {"type": "string"},
        "code": {"type": "string"},
        "error_details": {"type": ["object", "string"]},
    },
}
"""What any refusal looks like, for statuses that the document does not list."""


def assert_valid(method: str, path_template: str, status: int, body: Any) -> None:
    """Fail unless `body` is what `method path_template` answers with `status`.

    path_template: below `/api/v1`; names of parameters do not matter. body: JSON as bytes or text,
    decoded JSON, or empty. Raises AssertionError, also for a path nobody knows.
    """
    what = f"{method} {path_template} {status}"
    if status >= 400:
        refusal = _decoded(body, what)
        _assert(ERROR, refusal, what)
        assert refusal["status"] == status, what
    if path_template.endswith(OWN_ACTIONS) or path_template.startswith(OWN_PATHS):
        return
    schema = _response_schema(method.lower(), path_template, status)
    if schema is not None:
        _assert(schema, _decoded(body, what), what)


def assert_schema(name: str, obj: Any) -> None:
    """Fail unless `obj` (decoded JSON, or JSON as bytes) is a valid `components.schemas[name]`."""
    assert name in _document()["components"]["schemas"], f"no schema {name}"
    _assert({"$ref": f"{URI}#/components/schemas/{name}"}, _decoded(obj, name), name)


def _decoded(body: Any, what: str) -> Any:
    if not isinstance(body, bytes | str):
        return body
    try:
        return json.loads(body)
    except ValueError as error:
        raise AssertionError(f"{what}: no JSON: {body[:200]!r}") from error


def _response_schema(method: str, path_template: str, status: int) -> dict[str, Any] | None:
    """The schema of an answer, None where the document lists none for the status."""
    path = _anonymous(path_template)
    method = "put" if method == "patch" and ("patch", path) not in _operations() else method
    name = OPERATIONS.get((method, path))
    if name is not None:
        return {"$ref": f"{URI}#/components/schemas/{name}"} if status == 200 else None
    operation = _operations().get((method, path))
    assert operation is not None, f"the API document has no {method} {path_template}"
    response = operation["responses"].get(str(status))
    if response is None:
        assert status >= 400, f"{method} {path_template} is not documented to answer {status}"
        return None
    if "$ref" in response:
        response = _document()["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    content = response.get("content", {}).get("application/json")
    return None if content is None else _absolute(content["schema"])


def _assert(schema: dict[str, Any], value: Any, what: str) -> None:
    validator = Draft202012Validator(schema, registry=_registry(), format_checker=FORMATS)
    error = best_match(validator.iter_errors(value))
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path) or "(whole)"
        raise AssertionError(f"{what}: at {place}: {error.message[:500]}")


@cache
def _document() -> dict[str, Any]:
    """The API document with the deviations worked in and references made absolute."""
    document = json.loads(SCHEMA_FILE.read_text())
    schemas = document["components"]["schemas"]
    for deviation in DEVIATIONS:
        whole = deviation.member is None
        holder = schemas if whole else schemas[deviation.schema]["properties"]
        name = deviation.schema if whole else deviation.member
        holder[name] = {"anyOf": [holder[name], dict(deviation.allow)]}
    absolute = _absolute(document)
    assert isinstance(absolute, dict)
    return absolute


def _absolute(node: Any) -> Any:
    """`node` with references that hold wherever they are read from."""
    if isinstance(node, dict):
        return {
            key: f"{URI}{value}"
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(item) for item in node] if isinstance(node, list) else node


@cache
def _registry() -> Registry[Any]:
    resource = Resource(contents=_document(), specification=DRAFT202012)
    return Registry().with_resource(URI, resource)


@cache
def _operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, _anonymous(path)): operation
        for path, operations in _document()["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }


def _anonymous(path_template: str) -> str:
    """Names of path parameters differ between documents; their places do not."""
    return re.sub(r"\{[^/]*\}|:[a-z_]+", "{}", path_template)


# --- formats -----------------------------------------------------------------------------------

FORMATS = FormatChecker(formats=())

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@FORMATS.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    if not isinstance(value, str):
        return True
    datetime.fromisoformat(value)
    return _INSTANT.fullmatch(value) is not None


@FORMATS.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return True
    date.fromisoformat(value)
    return len(value) == 10


@FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or str(UUID(value)) == value


@FORMATS.checks("email")
def _is_email(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[^@\s]+@[^@\s]+", value) is not None


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.match(r"[a-z][a-z0-9+.-]*:", value) is not None
