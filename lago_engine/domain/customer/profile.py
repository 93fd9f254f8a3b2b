"""Who is billed: the customer's own fields, under Lago's wire names (customers.md §2)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from lago_engine.domain.catalog.entities import Entity, IssuingDateAdjustment, IssuingDateAnchor


class Address(Entity, frozen=True):
    """A postal address; every line may be absent."""

    address_line1: str | None = None
    address_line2: str | None = None
    city: str | None = None
    zipcode: str | None = None
    state: str | None = None
    country: str | None = None


class CustomerMetadata(Entity, frozen=True):
    """One metadata entry of a customer."""

    id: UUID
    key: str
    value: str
    created_at: datetime
    display_in_invoice: bool = False


class BillingConfiguration(Entity, frozen=True):
    """Billing settings of a customer; None falls back to the billing entity's."""

    invoice_grace_period: int | None = None
    subscription_invoice_issuing_date_anchor: IssuingDateAnchor | None = None
    subscription_invoice_issuing_date_adjustment: IssuingDateAdjustment | None = None
    document_locale: str | None = None
    payment_provider: str | None = None
    payment_provider_code: str | None = None
    provider_customer_id: str | None = None
    sync_with_provider: bool = False
    provider_payment_methods: tuple[str, ...] | None = None


class CustomerProfile(Entity, frozen=True):
    """A customer as configured. `sequential_id` counts customers of the organization, `slug` is fixed.

    deleted_at: nothing new happens to it from then on, but what it owes is still collected.
    """

    id: UUID
    organization_id: UUID
    external_id: str
    sequential_id: int
    slug: str
    billing_entity_code: str
    created_at: datetime
    updated_at: datetime
    account_type: Literal["customer", "partner"] = "customer"
    customer_type: Literal["company", "individual"] | None = None
    name: str | None = None
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    phone: str | None = None
    url: str | None = None
    logo_url: str | None = None
    legal_name: str | None = None
    legal_number: str | None = None
    tax_identification_number: str | None = None
    currency: str | None = None
    timezone: str | None = None
    net_payment_term: int | None = None
    external_salesforce_id: str | None = None
    finalize_zero_amount_invoice: Literal["inherit", "skip", "finalize"] = "inherit"
    skip_invoice_custom_sections: bool = False
    address: Address = Address()
    shipping_address: Address = Address()
    billing_configuration: BillingConfiguration = BillingConfiguration()
    metadata: tuple[CustomerMetadata, ...] = ()
    tax_ids: tuple[UUID, ...] = ()
    deleted_at: datetime | None = None
