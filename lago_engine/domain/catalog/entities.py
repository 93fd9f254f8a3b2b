"""What an organization configures: settings, metrics, taxes, plans, endpoints, provider connections.

Field names are Lago's wire names. `*_cents` are integers in the currency's minor unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

Interval = Literal["weekly", "monthly", "quarterly", "semiannual", "yearly"]
AggregationType = Literal[
    "count_agg", "sum_agg", "max_agg", "latest_agg", "unique_count_agg", "weighted_sum_agg"
]
WeightedInterval = Literal["seconds"]
ALL_VALUES: Final = ("__ALL_FILTER_VALUES__",)
ChargeModelName = Literal[
    "standard",
    "graduated",
    "graduated_percentage",
    "package",
    "percentage",
    "volume",
    "dynamic",
]
FixedChargeModelName = Literal["standard", "graduated", "volume"]
DocumentNumbering = Literal["per_customer", "per_organization"]
IssuingDateAnchor = Literal["current_period_end", "next_period_start"]
IssuingDateAdjustment = Literal["keep_anchor", "align_with_finalization_date"]
SignatureAlgo = Literal["jwt", "hmac"]
CouponType = Literal["fixed_amount", "percentage"]
CouponFrequency = Literal["once", "recurring", "forever"]
CouponExpiration = Literal["no_expiration", "time_limit"]


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of configured things: immutable, compared by value."""


class Organization(Entity, frozen=True):
    """An organization and its default billing entity (the same legal body, the same id)."""

    id: UUID
    name: str
    created_at: datetime
    hmac_key: str
    document_number_prefix: str
    billing_entity_code: str
    default_currency: str = "USD"
    timezone: str = "UTC"
    country: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    state: str | None = None
    zipcode: str | None = None
    email: str | None = None
    city: str | None = None
    legal_name: str | None = None
    legal_number: str | None = None
    tax_identification_number: str | None = None
    net_payment_term: int = 0
    document_numbering: DocumentNumbering = "per_customer"
    finalize_zero_amount_invoice: bool = True
    email_settings: tuple[str, ...] = ()
    invoice_footer: str | None = None
    invoice_grace_period: int = 0
    document_locale: str = "en"
    subscription_invoice_issuing_date_anchor: IssuingDateAnchor = "next_period_start"
    subscription_invoice_issuing_date_adjustment: IssuingDateAdjustment = (
        "align_with_finalization_date"
    )
    test: bool = False
    premium: bool = True
    premium_integrations: tuple[str, ...] = ()
    eu_tax_management: bool = False


class ApiKey(Entity, frozen=True):
    """A key as stored: only its SHA-256 (hex) and its last four characters."""

    id: UUID
    key_hash: str
    last_four: str
    name: str
    created_at: datetime
    expires_at: datetime | None = None


class MetricFilter(Entity, frozen=True):
    """An event property that may be priced by its values, sorted (metrics.md §1.5)."""

    key: str
    values: tuple[str, ...]


class BillableMetric(Entity, frozen=True):
    """What is counted and how (metrics.md §1).

    recurring: units are carried over from period to period. weighted_interval: of weighted sums only.
    expression: computes `field_name` of an event when it is received (metrics.md §5).
    """

    id: UUID
    code: str
    name: str
    aggregation_type: AggregationType
    created_at: datetime
    description: str | None = None
    field_name: str | None = None
    recurring: bool = False
    weighted_interval: WeightedInterval | None = None
    rounding_function: Literal["round", "ceil", "floor"] | None = None
    rounding_precision: int | None = None
    expression: str | None = None
    filters: tuple[MetricFilter, ...] = ()

    def values_of(self, key: str) -> tuple[str, ...]:
        """What a filter key may be; nothing for an unknown key."""
        return next((each.values for each in self.filters if each.key == key), ())


class Tax(Entity, frozen=True):
    """A tax; `rate` is in percent."""

    id: UUID
    code: str
    name: str
    rate: Decimal
    created_at: datetime
    description: str | None = None
    applied_to_organization: bool = False


class AddOn(Entity, frozen=True):
    """Something sold by the piece, on one-off invoices and as a fixed charge of plans (invoices.md §17).

    amount_cents: its price unless a sale says otherwise; above 0.
    """

    id: UUID
    code: str
    name: str
    amount_cents: int
    amount_currency: str
    created_at: datetime
    invoice_display_name: str | None = None
    description: str | None = None
    tax_ids: tuple[UUID, ...] = ()


class PricingUnit(Entity, frozen=True):
    """A unit that charges may be priced in instead of money, such as credits (charges.md §10)."""

    id: UUID
    code: str
    name: str
    short_name: str
    created_at: datetime
    description: str | None = None


class AppliedPricingUnit(Entity, frozen=True):
    """The pricing unit that the prices of a charge are in.

    conversion_rate: what one of it is worth in major units of the plan's currency, > 0.
    """

    code: str
    conversion_rate: Decimal


class ChargeFilter(Entity, frozen=True):
    """Prices for the events of a charge whose properties have certain values (charges.md §7).

    values: by key of a metric filter; `ALL_VALUES` alone stands for all values that the metric declares.
    changed_at: its last update, None before the first.
    """

    id: UUID
    values: Mapping[str, tuple[str, ...]]
    properties: Mapping[str, Any]
    created_at: datetime
    invoice_display_name: str | None = None
    changed_at: datetime | None = None

    @property
    def updated_at(self) -> datetime:
        """When it was last written; lists of filters are in this order."""
        return self.changed_at or self.created_at

    @property
    def display_name(self) -> str:
        """Its own name, else its values; the key where it takes all."""
        values = ((key,) if values == ALL_VALUES else values for key, values in self.values.items())
        return self.invoice_display_name or ", ".join(chain.from_iterable(values))


class Charge(Entity, frozen=True):
    """A metric with a charge model on a plan (charges.md §2).

    min_amount_cents: what all its fees of a whole period are raised to; 0 for no minimum. prorated: units of a
    recurring metric are paid by the day. parent_id: on a child plan, the charge of the parent that it is a copy of.
    pay_in_advance: each event is billed when it arrives, on an invoice of its own if `invoiceable`, else as a fee that
    stands alone. regroup_paid_fees: of the latter, those that were paid are put on one invoice at the end of a period.
    accepts_target_wallet: its usage may be paid from the wallet that an event names, so it is grouped by that.
    applied_pricing_unit: what its prices and its minimum are in, None for the plan's currency.
    """

    id: UUID
    code: str
    billable_metric_id: UUID
    billable_metric_code: str
    charge_model: ChargeModelName
    properties: Mapping[str, Any]
    created_at: datetime
    invoice_display_name: str | None = None
    min_amount_cents: int = 0
    prorated: bool = False
    tax_ids: tuple[UUID, ...] = ()
    filters: tuple[ChargeFilter, ...] = ()
    pay_in_advance: bool = False
    invoiceable: bool = True
    regroup_paid_fees: Literal["invoice"] | None = None
    parent_id: UUID | None = None
    accepts_target_wallet: bool = False
    applied_pricing_unit: AppliedPricingUnit | None = None


class FixedCharge(Entity, frozen=True):
    """An add-on that a plan sells in every period (charges.md §15).

    units: how many, unless a subscription has its own number. parent_id: as that of charges.
    """

    id: UUID
    code: str
    add_on_id: UUID
    add_on_code: str
    charge_model: FixedChargeModelName
    properties: Mapping[str, Any]
    created_at: datetime
    units: Decimal = Decimal(0)
    invoice_display_name: str | None = None
    pay_in_advance: bool = False
    prorated: bool = False
    tax_ids: tuple[UUID, ...] = ()
    parent_id: UUID | None = None

    @property
    def origin_id(self) -> UUID:
        """Its id on the plan that a subscription is put on; a child plan has a copy."""
        return self.parent_id or self.id


class MinimumCommitment(Entity, frozen=True):
    """What a whole interval of a plan comes to at least (plans.md §8); amount_cents: above 0."""

    id: UUID
    amount_cents: int
    created_at: datetime
    updated_at: datetime
    invoice_display_name: str | None = None
    tax_ids: tuple[UUID, ...] = ()


class UsageThreshold(Entity, frozen=True):
    """An amount of usage that is billed as soon as it is reached (plans.md §9).

    recurring: reached again with every further `amount_cents` beyond the last threshold.
    """

    id: UUID
    amount_cents: int
    created_at: datetime
    updated_at: datetime
    threshold_display_name: str | None = None
    recurring: bool = False


class Plan(Entity, frozen=True):
    """A plan at one version; subscriptions record which version priced them.

    parent_id: of a child plan, which prices one subscription, the plan that it is a copy of.
    """

    id: UUID
    version: int
    code: str
    name: str
    interval: Interval
    amount_cents: int
    amount_currency: str
    pay_in_advance: bool
    created_at: datetime
    invoice_display_name: str | None = None
    description: str | None = None
    trial_period: Decimal | None = None
    bill_charges_monthly: bool | None = None
    bill_fixed_charges_monthly: bool | None = None
    tax_ids: tuple[UUID, ...] = ()
    charges: tuple[Charge, ...] = ()
    fixed_charges: tuple[FixedCharge, ...] = ()
    minimum_commitment: MinimumCommitment | None = None
    usage_thresholds: tuple[UsageThreshold, ...] = ()
    parent_id: UUID | None = None
    metadata: Mapping[str, str | None] | None = None
    pending_deletion: bool = False

    @property
    def used_tax_ids(self) -> set[UUID]:
        """The taxes of the plan and of everything on it."""
        commitment = self.minimum_commitment
        return {
            *self.tax_ids,
            *(tax_id for charge in self.charges for tax_id in charge.tax_ids),
            *(tax_id for fixed_charge in self.fixed_charges for tax_id in fixed_charge.tax_ids),
            *(commitment.tax_ids if commitment else ()),
        }


class Coupon(Entity, frozen=True):
    """A discount that may be applied to customers (coupons_wallets_credit_notes.md §1).

    plan_ids, billable_metric_ids: what it is limited to; at most one of them is not empty.
    """

    id: UUID
    code: str
    name: str
    coupon_type: CouponType
    frequency: CouponFrequency
    expiration: CouponExpiration
    created_at: datetime
    description: str | None = None
    amount_cents: int | None = None
    amount_currency: str | None = None
    percentage_rate: Decimal | None = None
    frequency_duration: int | None = None
    reusable: bool = True
    expiration_at: datetime | None = None
    plan_ids: tuple[UUID, ...] = ()
    billable_metric_ids: tuple[UUID, ...] = ()
    deleted_at: datetime | None = None

    @property
    def is_limited(self) -> bool:
        return bool(self.plan_ids or self.billable_metric_ids)

    def terminated_at(self, now: datetime) -> datetime | None:
        """When it stopped being applied to customers; None while it can be."""
        if self.expiration == "no_expiration" or self.expiration_at is None:
            return None
        return self.expiration_at if self.expiration_at < now else None


class WebhookEndpoint(Entity, frozen=True):
    """Where events are posted; `event_types` None means all of them (api_conventions.md §9)."""

    id: UUID
    webhook_url: str
    created_at: datetime
    signature_algo: SignatureAlgo = "jwt"
    name: str | None = None
    event_types: tuple[str, ...] | None = None


class PaymentConnection(Entity, frozen=True):
    """A configured connection to a payment provider, chosen by customers by its code."""

    id: UUID
    code: str
    provider: str
    name: str
    created_at: datetime
    config: Mapping[str, Any] = {}
    simulated_as: str | None = None
