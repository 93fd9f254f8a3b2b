"""`customer` documents (customers.md §2)."""

from __future__ import annotations

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import (
    BillingConfiguration,
    CustomerMetadata,
    CustomerProfile,
)
from lago_engine.domain.events import (
    CouponApplied,
    CustomerCreated,
    CustomerDeleted,
    CustomerUpdated,
    DomainEvent,
    SubscriptionCreated,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import (
    HIDDEN,
    CustomerHidden,
    applicable_timezone,
    tax_objects,
)
from lago_engine.projecting.wire import Members, encode, instant, sort_key


class CustomerProjection(Projection):
    """Customers with all sections; key: external_id. A first subscription may give the currency.

    One that was deleted is gone; the documents about it stay.
    """

    name = "customers"
    kinds = ("customer",)
    handles = (
        CustomerCreated,
        CustomerUpdated,
        CustomerDeleted,
        SubscriptionCreated,
        CouponApplied,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        if isinstance(event, CustomerDeleted):
            context.delete("customer", event.customer.external_id)
            return
        assert isinstance(
            event, CustomerCreated | CustomerUpdated | SubscriptionCreated | CouponApplied
        )
        profile = event.customer
        document = customer_object(profile, context.organization)
        document["taxes"] = tax_objects(profile.tax_ids, context.organization)
        document["applicable_invoice_custom_sections"] = []
        document["error_details"] = []
        document[HIDDEN] = CustomerHidden(timezone=profile.timezone, tax_ids=profile.tax_ids)
        context.put(
            "customer",
            profile.external_id,
            encode(document),
            sort_key=sort_key(profile.created_at),
        )


def customer_object(profile: CustomerProfile, organization: OrganizationState) -> Members:
    """A customer as other documents embed it."""
    address = profile.address
    return {
        "lago_id": profile.id,
        "billing_entity_code": profile.billing_entity_code,
        "external_id": profile.external_id,
        "account_type": profile.account_type,
        "name": profile.name,
        "firstname": profile.firstname,
        "lastname": profile.lastname,
        "customer_type": profile.customer_type,
        "sequential_id": profile.sequential_id,
        "slug": profile.slug,
        "created_at": instant(profile.created_at),
        "updated_at": instant(profile.updated_at),
        "country": address.country,
        "address_line1": address.address_line1,
        "address_line2": address.address_line2,
        "state": address.state,
        "zipcode": address.zipcode,
        "email": profile.email,
        "city": address.city,
        "url": profile.url,
        "phone": profile.phone,
        "logo_url": profile.logo_url,
        "legal_name": profile.legal_name,
        "legal_number": profile.legal_number,
        "currency": profile.currency,
        "tax_identification_number": profile.tax_identification_number,
        "timezone": profile.timezone,
        "applicable_timezone": applicable_timezone(profile.timezone, organization),
        "net_payment_term": profile.net_payment_term,
        "external_salesforce_id": profile.external_salesforce_id,
        "finalize_zero_amount_invoice": profile.finalize_zero_amount_invoice,
        "billing_configuration": _billing_configuration(profile.billing_configuration),
        "shipping_address": _shipping_address(profile),
        "skip_invoice_custom_sections": profile.skip_invoice_custom_sections,
        "metadata": [_metadata(entry) for entry in profile.metadata],
        "integration_customers": [],
    }


def _billing_configuration(configuration: BillingConfiguration) -> Members:
    members: Members = {
        "invoice_grace_period": configuration.invoice_grace_period,
        "payment_provider": configuration.payment_provider,
        "payment_provider_code": configuration.payment_provider_code,
        "document_locale": configuration.document_locale,
        "subscription_invoice_issuing_date_anchor": (
            configuration.subscription_invoice_issuing_date_anchor
        ),
        "subscription_invoice_issuing_date_adjustment": (
            configuration.subscription_invoice_issuing_date_adjustment
        ),
    }
    if configuration.payment_provider is not None:
        members["provider_customer_id"] = configuration.provider_customer_id
        members["sync_with_provider"] = configuration.sync_with_provider
        if configuration.provider_payment_methods is not None:
            members["provider_payment_methods"] = configuration.provider_payment_methods
    return members


def _shipping_address(profile: CustomerProfile) -> Members:
    address = profile.shipping_address
    return {
        "address_line1": address.address_line1,
        "address_line2": address.address_line2,
        "city": address.city,
        "zipcode": address.zipcode,
        "state": address.state,
        "country": address.country,
    }


def _metadata(entry: CustomerMetadata) -> Members:
    return {
        "lago_id": entry.id,
        "key": entry.key,
        "value": entry.value,
        "display_in_invoice": entry.display_in_invoice,
        "created_at": instant(entry.created_at),
    }
