"""Creating and updating a customer's own fields (customers.md §2-§4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.profile import (
    Address,
    BillingConfiguration,
    CustomerMetadata,
    CustomerProfile,
)
from lago_engine.domain.validation import DAYS_MAX, Checker, Reader
from lago_engine.errors import NotFound, ValidationFailed

NAME_LENGTH_MAX: Final = 255
METADATA_MAX: Final = 5
METADATA_KEY_LENGTH_MAX: Final = 20
METADATA_VALUE_LENGTH_MAX: Final = 100
ZERO_INVOICE_CHOICES: Final = ("inherit", "skip", "finalize")
ANCHORS: Final = ("current_period_end", "next_period_start")
ADJUSTMENTS: Final = ("keep_anchor", "align_with_finalization_date")

_NAMES: Final[Mapping[str, Reader]] = {
    "name": partial(Checker.text, max_length=NAME_LENGTH_MAX),
    "firstname": Checker.text,
    "lastname": Checker.text,
    "customer_type": partial(Checker.choice, allowed=("company", "individual")),
    "email": partial(Checker.email, several=True),
    "phone": Checker.text,
    "url": Checker.text,
    "logo_url": Checker.text,
    "legal_name": Checker.text,
    "legal_number": Checker.text,
    "tax_identification_number": Checker.text,
    "currency": Checker.currency,
    "timezone": Checker.timezone,
    "net_payment_term": partial(Checker.integer, at_least=0, at_most=DAYS_MAX),
    "external_salesforce_id": Checker.text,
}
_ADDRESS: Final[Mapping[str, Reader]] = {
    "address_line1": Checker.text,
    "address_line2": Checker.text,
    "city": Checker.text,
    "zipcode": Checker.text,
    "state": Checker.text,
    "country": Checker.country,
}
_BILLING: Final[Mapping[str, Reader]] = {
    "invoice_grace_period": partial(Checker.integer, at_least=0, at_most=DAYS_MAX),
    "subscription_invoice_issuing_date_anchor": partial(Checker.choice, allowed=ANCHORS),
    "subscription_invoice_issuing_date_adjustment": partial(Checker.choice, allowed=ADJUSTMENTS),
    "document_locale": Checker.locale,
}


_UNLINKED: Final[Mapping[str, Any]] = {
    "payment_provider": None,
    "payment_provider_code": None,
    "provider_customer_id": None,
    "sync_with_provider": False,
}


def new_profile(state: OrganizationState, external_id: str, now: datetime) -> CustomerProfile:
    """A customer with nothing but its id, next in the organization's count."""
    serial = state.customers_count + 1
    organization = state.organization
    return CustomerProfile(
        id=state.customer_id(external_id),
        organization_id=organization.id,
        external_id=external_id,
        sequential_id=serial,
        slug=f"{organization.document_number_prefix}-{serial:03d}",
        billing_entity_code=organization.billing_entity_code,
        created_at=now,
        updated_at=now,
    )


def upsert_customer(decision: Decision, external_id: str, given: Mapping[str, Any]) -> None:
    """Create the customer, or write the present keys on the existing one (customers.md §3)."""
    organization = decision.organization
    code = given.get("billing_entity_code")
    if code is not None and code != organization.organization.billing_entity_code:
        raise NotFound("billing_entity")
    _check_shape(given)
    if not external_id.strip():
        raise ValidationFailed.of("external_id", "value_is_mandatory")
    current = (
        decision.state.profile
        if decision.exists
        else new_profile(organization, external_id, decision.now)
    )
    check = Checker(given)
    profile = _written(check, given, current, organization, decision.now)
    check.raise_failures()
    if decision.exists:
        decision.record(e.CustomerUpdated(customer=profile))
    else:
        decision.record(e.CustomerCreated(customer=profile))


def _check_shape(given: Mapping[str, Any]) -> None:
    """Checks that come before the fields, in the order of customers.md §3."""
    metadata = given.get("metadata")
    if isinstance(metadata, list) and len(metadata) > METADATA_MAX:
        raise ValidationFailed.of("metadata", "invalid_count")
    zero = given.get("finalize_zero_amount_invoice")
    if zero is not None and zero not in ZERO_INVOICE_CHOICES:
        raise ValidationFailed.of("finalize_zero_amount_invoice", "invalid_value")
    for field in ("integration_customers", "invoice_custom_section_codes"):
        if given.get(field):
            raise ValidationFailed.of(field, "not_supported_yet")


def _written(
    check: Checker,
    given: Mapping[str, Any],
    current: CustomerProfile,
    organization: OrganizationState,
    now: datetime,
) -> CustomerProfile:
    """`current` with the present keys of `given`; refusals are left in `check`."""
    changes = check.read_present(_NAMES)
    if "finalize_zero_amount_invoice" in given:
        changes["finalize_zero_amount_invoice"] = given["finalize_zero_amount_invoice"] or "inherit"
    if given.get("account_type") == "partner":
        check.fail("account_type", "not_supported_yet")
    if "tax_codes" in given:
        changes["tax_ids"] = _tax_ids(organization, given["tax_codes"])
    if "metadata" in given:
        changes["metadata"] = _metadata(check, given["metadata"], current, now)
    changes["shipping_address"] = _address(
        check.nested("shipping_address"), current.shipping_address
    )
    changes["billing_configuration"] = _configuration(
        check.nested("billing_configuration"), current, organization
    )
    address = _address(check, current.address)
    return replace(current, **changes, address=address, updated_at=now)


def _blank_to_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if value == "" else value for key, value in values.items()}


def _address(check: Checker, current: Address) -> Address:
    return replace(current, **_blank_to_none(check.read_present(_ADDRESS)))


def _tax_ids(organization: OrganizationState, codes: object) -> tuple[UUID, ...]:
    """A full replacement; an unknown code refuses the request."""
    if not isinstance(codes, list):
        return ()
    for code in codes:
        if not isinstance(code, str) or code not in organization.taxes:
            raise NotFound("tax")
    return tuple(dict.fromkeys(organization.taxes[code].id for code in codes))


def _metadata(
    check: Checker, given: object, current: CustomerProfile, now: datetime
) -> tuple[CustomerMetadata, ...]:
    """The full new set: entries with a known id are updated, others created (api_conventions.md §5)."""
    known = {str(entry.id): entry for entry in current.metadata}
    entries: list[CustomerMetadata] = []
    for index, item in enumerate(given if isinstance(given, list) else []):
        if not isinstance(item, Mapping):
            check.fail("metadata", "invalid_type")
            continue
        key, value = item.get("key"), item.get("value")
        if not isinstance(key, str) or not key.strip() or not isinstance(value, str) or not value:
            check.fail("metadata", "invalid_key_value_pair")
            continue
        if len(key) > METADATA_KEY_LENGTH_MAX:
            check.fail("metadata", "key_too_long")
        if len(value) > METADATA_VALUE_LENGTH_MAX:
            check.fail("metadata", "value_too_long")
        kept = known.get(str(item.get("id", "")))
        entries.append(
            CustomerMetadata(
                id=kept.id if kept else ids.derive(current.id, "metadata", now.isoformat(), index),
                key=key,
                value=value,
                created_at=kept.created_at if kept else now,
                display_in_invoice=item.get("display_in_invoice") is True,
            )
        )
    if len({entry.key for entry in entries}) < len(entries):
        check.fail("metadata", "value_already_exist")
    return tuple(entries)


def _configuration(
    check: Checker, current: CustomerProfile, organization: OrganizationState
) -> BillingConfiguration:
    own = current.billing_configuration
    changed = replace(own, **check.read_present(_BILLING))
    if "payment_provider" in check.values or "payment_provider_code" in check.values:
        changed = _linked(check, changed, current, organization)
    elif "provider_customer_id" in check.values:
        changed = replace(changed, provider_customer_id=check.text("provider_customer_id"))
    return changed


def _linked(
    check: Checker,
    own: BillingConfiguration,
    current: CustomerProfile,
    organization: OrganizationState,
) -> BillingConfiguration:
    """The link to a provider connection (customers.md §4); without connection nothing is written."""
    provider = check.text("payment_provider")
    if "payment_provider" in check.values and not provider:
        return replace(own, **_UNLINKED)
    provider = provider or own.payment_provider
    remote_id = check.text("provider_customer_id") or (
        own.provider_customer_id if provider == own.payment_provider else None
    )
    sync = check.values.get("sync_with_provider") is True
    code = check.text("payment_provider_code")
    candidates = [
        connection
        for connection in organization.connections.values()
        if (connection.simulated_as or connection.provider) == provider
        and (code is None or connection.code == code)
    ]
    simulated = len(candidates) == 1 and candidates[0].simulated_as is not None
    if not (remote_id or sync or simulated):
        return own
    if len(candidates) != 1:
        missing = "payment_provider_code_missing" if candidates else "payment_provider_not_found"
        check.fail("base", missing)
        return own
    if simulated:
        remote_id = remote_id or f"sim_{current.external_id}"
    return replace(
        own,
        payment_provider=provider,
        payment_provider_code=candidates[0].code,
        provider_customer_id=remote_id,
        sync_with_provider=sync or own.sync_with_provider,
    )


def link_provider_customer(decision: Decision, provider_customer_id: str) -> None:
    """The provider made its record of this customer; the answer to a synchronization."""
    profile = decision.state.profile
    own = profile.billing_configuration
    if own.provider_customer_id == provider_customer_id or profile.deleted_at:
        return
    linked = replace(own, provider_customer_id=provider_customer_id)
    updated = replace(profile, billing_configuration=linked, updated_at=decision.now)
    decision.record(e.CustomerUpdated(customer=updated))
