"""An organization with everything it configured, folded from its events; all versions are kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import (
    AddOn,
    ApiKey,
    BillableMetric,
    Coupon,
    Organization,
    PaymentConnection,
    Plan,
    PricingUnit,
    Tax,
    WebhookEndpoint,
)


class OrganizationState(msgspec.Struct, frozen=True, kw_only=True):
    """Settings and catalog of one organization.

    metrics, taxes, add_ons, pricing_units, coupons, plans: live items by code. `*_by_id`: every item ever, at its
    latest version.
    plan_versions: (plan id, version) → plan, every version that was ever in force.
    applied_coupons: ids of coupons that some customer ever got.
    clock: the virtual instant of a test organization, None while it runs at real time.
    usage_errors_hour: the last hour whose usage errors were reported.
    deleted_customers: how many customers with an external id were deleted.
    """

    organization: Organization
    api_keys: Mapping[UUID, ApiKey] = {}
    metrics: Mapping[str, BillableMetric] = {}
    metrics_by_id: Mapping[UUID, BillableMetric] = {}
    taxes: Mapping[str, Tax] = {}
    taxes_by_id: Mapping[UUID, Tax] = {}
    add_ons: Mapping[str, AddOn] = {}
    add_ons_by_id: Mapping[UUID, AddOn] = {}
    pricing_units: Mapping[str, PricingUnit] = {}
    plans: Mapping[str, Plan] = {}
    plans_by_id: Mapping[UUID, Plan] = {}
    plan_versions: Mapping[tuple[UUID, int], Plan] = {}
    attached_plans: frozenset[UUID] = frozenset()
    coupons: Mapping[str, Coupon] = {}
    coupons_by_id: Mapping[UUID, Coupon] = {}
    applied_coupons: frozenset[UUID] = frozenset()
    webhook_endpoints: Mapping[UUID, WebhookEndpoint] = {}
    connections: Mapping[str, PaymentConnection] = {}
    customers_count: int = 0
    entity_sequence: int = 0
    clock: datetime | None = None
    items_count: int = 0
    usage_errors_hour: datetime | None = None
    deleted_customers: Mapping[str, int] = {}

    def customer_id(self, external_id: str) -> UUID:
        """The id of the customer with this external id, or of the one that will have it next."""
        earlier = self.deleted_customers.get(external_id, 0)
        return ids.customer_id(self.organization.id, external_id, earlier)

    def plan(self, plan_id: UUID, version: int) -> Plan:
        """The plan exactly as it was at `version`."""
        return self.plan_versions[plan_id, version]

    def organization_taxes(self) -> tuple[Tax, ...]:
        """Taxes of the default billing entity, by code."""
        return tuple(tax for _, tax in sorted(self.taxes.items()) if tax.applied_to_organization)
