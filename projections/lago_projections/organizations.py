"""`organization` documents (api_conventions.md §7)."""

from __future__ import annotations

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import (
    DomainEvent,
    OrganizationCreated,
    OrganizationUpdated,
    TaxCreated,
    TaxDeleted,
    TaxUpdated,
    WebhookEndpointCreated,
    WebhookEndpointDeleted,
    WebhookEndpointUpdated,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import tax_object
from lago_engine.projecting.wire import Members, encode, instant, sort_key


class OrganizationProjection(Projection):
    """Settings with what the organization's taxes and endpoints add to them; key: lago_id."""

    name = "organizations"
    kinds = ("organization",)
    handles = (
        OrganizationCreated,
        OrganizationUpdated,
        TaxCreated,
        TaxUpdated,
        TaxDeleted,
        WebhookEndpointCreated,
        WebhookEndpointUpdated,
        WebhookEndpointDeleted,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        organization = context.organization.organization
        context.put(
            "organization",
            str(organization.id),
            encode(organization_object(context.organization)),
            sort_key=sort_key(organization.created_at),
        )


def organization_object(state: OrganizationState) -> Members:
    """The organization with the taxes of its default billing entity."""
    organization = state.organization
    endpoints = sorted(
        state.webhook_endpoints.values(), key=lambda each: (each.created_at, each.id)
    )
    urls = [endpoint.webhook_url for endpoint in endpoints]
    return {
        "lago_id": organization.id,
        "name": organization.name,
        # The default billing entity's code is the name in snake case; a slug is the same with dashes.
        "slug": organization.billing_entity_code.replace("_", "-"),
        "default_currency": organization.default_currency,
        "created_at": instant(organization.created_at),
        "webhook_url": urls[0] if urls else "",
        "webhook_urls": urls,
        "country": organization.country,
        "address_line1": organization.address_line1,
        "address_line2": organization.address_line2,
        "state": organization.state,
        "zipcode": organization.zipcode,
        "email": organization.email,
        "city": organization.city,
        "legal_name": organization.legal_name,
        "legal_number": organization.legal_number,
        "timezone": organization.timezone,
        "net_payment_term": organization.net_payment_term,
        "email_settings": organization.email_settings,
        "document_numbering": organization.document_numbering,
        "document_number_prefix": organization.document_number_prefix,
        "tax_identification_number": organization.tax_identification_number,
        "finalize_zero_amount_invoice": organization.finalize_zero_amount_invoice,
        "billing_configuration": {
            "invoice_footer": organization.invoice_footer,
            "invoice_grace_period": organization.invoice_grace_period,
            "document_locale": organization.document_locale,
        },
        "events_store": "postgres",
        "taxes": [tax_object(tax, state) for tax in state.organization_taxes()],
    }
