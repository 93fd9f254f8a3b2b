"""Reading an organization's settings, also those of a test organization (api_conventions §7, §8)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, get_args

from lago_engine.domain.catalog.entities import (
    IssuingDateAdjustment,
    IssuingDateAnchor,
)
from lago_engine.domain.validation import (
    DAYS_MAX,
    INVALID,
    MANDATORY,
    NOT_SUPPORTED_YET,
    TOO_LONG,
    Checker,
    Reader,
)
from lago_engine.errors import ValidationFailed

PREFIX_LENGTH_MAX: Final = 10
FOOTER_LENGTH_MAX: Final = 600

_EMAIL_SETTINGS: Final = ("invoice.finalized", "credit_note.created", "payment_receipt.created")
_UNBUILT: Final = ("slug", "eu_tax_management")
_UNBUILT_OF_ENTITY: Final = (
    "eu_tax_management",
    "einvoicing",
    "logo",
    "phone",
    "tax_codes",
    "invoice_custom_section_codes",
)


def _prefix(checker: Checker, field: str) -> str | None:
    prefix = (checker.text(field, missing=MANDATORY) or "").upper()
    if len(prefix) > PREFIX_LENGTH_MAX:
        checker.fail(field, TOO_LONG)
    return prefix


_days: Final = partial(Checker.integer, missing=MANDATORY, at_least=0, at_most=DAYS_MAX)

_SETTINGS: Final[Mapping[str, Reader]] = {
    "default_currency": partial(Checker.currency, missing=INVALID),
    "timezone": partial(Checker.timezone, missing="invalid_timezone"),
    "country": Checker.country,
    "address_line1": Checker.text,
    "address_line2": Checker.text,
    "state": Checker.text,
    "zipcode": Checker.text,
    "city": Checker.text,
    "email": Checker.email,
    "legal_name": Checker.text,
    "legal_number": Checker.text,
    "tax_identification_number": Checker.text,
    "net_payment_term": _days,
    "document_number_prefix": _prefix,
    "finalize_zero_amount_invoice": partial(Checker.boolean, missing=MANDATORY),
}
_BILLING_CONFIGURATION: Final[Mapping[str, Reader]] = {
    "invoice_footer": partial(Checker.text, max_length=FOOTER_LENGTH_MAX),
    "invoice_grace_period": _days,
    "document_locale": partial(Checker.locale, missing="not_a_valid_language_code"),
}
_ISSUING_DATES: Final[Mapping[str, Reader]] = {
    "subscription_invoice_issuing_date_anchor": partial(
        Checker.choice, allowed=get_args(IssuingDateAnchor), missing=INVALID
    ),
    "subscription_invoice_issuing_date_adjustment": partial(
        Checker.choice, allowed=get_args(IssuingDateAdjustment), missing=INVALID
    ),
}


def read_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings present in `PUT /organizations`, as fields of `Organization`."""
    checker = Checker(values)
    changes = _read_common(checker, own_numbering="per_organization")
    changes |= checker.nested("billing_configuration").read_present(_BILLING_CONFIGURATION)
    checker.refuse_unbuilt(*_UNBUILT)
    checker.raise_failures()
    return changes


def read_new_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a new organization, those of its default billing entity included.

    Null means the default here. The billing entity's own values count before the organization's.
    """
    given = _without_nulls(values)
    changes = read_settings(given) | read_test_settings(given)
    checker = Checker(given)
    changes |= checker.read_present(_BILLING_CONFIGURATION)
    checker.raise_failures()
    entities = given.get("billing_entities", [])
    if not isinstance(entities, list) or not all(isinstance(item, Mapping) for item in entities):
        raise ValidationFailed.of("billing_entities", INVALID)
    if len(entities) > 1:
        raise ValidationFailed.of("billing_entities", NOT_SUPPORTED_YET)
    for entity in entities:
        changes |= _read_entity(_without_nulls(entity), organization_name=given.get("name"))
    return changes


def read_test_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What only a test organization is told about itself (test_clocks §1)."""
    checker = Checker(values)
    changes = checker.read_present({"premium": partial(Checker.boolean, missing=MANDATORY)})
    integrations = values.get("premium_integrations")
    if integrations is not None:
        names = [integrations] if integrations == "all" else checker.array("premium_integrations")
        if names is None or not all(isinstance(name, str) for name in names):
            checker.fail("premium_integrations", INVALID)
        changes["premium_integrations"] = tuple(names or ())
    checker.raise_failures()
    return changes


def _read_entity(values: Mapping[str, Any], *, organization_name: Any) -> dict[str, Any]:
    """The fields of `POST /billing_entities` that the organization's own record holds."""
    checker = Checker(values)
    changes = _read_common(checker, own_numbering="per_billing_entity")
    changes["billing_entity_code"] = checker.mandatory_text("code")
    # An organization and its default entity share one record, hence one name.
    if checker.mandatory_text("name") not in ("", organization_name):
        checker.fail("billing_entities:name", NOT_SUPPORTED_YET)
    configuration = checker.nested("billing_configuration")
    changes |= configuration.read_present({**_BILLING_CONFIGURATION, **_ISSUING_DATES})
    checker.refuse_unbuilt(*_UNBUILT_OF_ENTITY)
    checker.raise_failures()
    return changes


def _read_common(checker: Checker, *, own_numbering: str) -> dict[str, Any]:
    """What organizations and billing entities share; `own_numbering` is their word for one sequence."""
    numbering = partial(_numbering, own_word=own_numbering)
    changes = checker.read_present({**_SETTINGS, "document_numbering": numbering})
    if (emails := checker.array("email_settings")) is not None:
        if not all(item in _EMAIL_SETTINGS for item in emails):
            checker.fail("email_settings", "unsupported_value")
        changes["email_settings"] = tuple(emails)
    return changes


def _numbering(checker: Checker, field: str, *, own_word: str) -> str | None:
    numbering = checker.choice(field, ("per_customer", own_word), missing=INVALID)
    return "per_organization" if numbering == own_word else numbering


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: _without_nulls(value) if isinstance(value, Mapping) else value
        for field, value in values.items()
        if value is not None
    }
