"""Domain events: facts in the past tense, with stable tags. A tag is never renamed or reused.

A changed shape is a new version of the tag plus an upcaster plus a recorded example of the old one.
Usage is recorded in the same streams as packed `usage_recorded.v1` records (see `lago_engine.metering`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

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
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import (
    BookedRequest,
    InvoiceMetadata,
    Payment,
    PaymentLink,
    PaymentReceipt,
    Refund,
    Subscription,
)
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.issued import GeneratedDocument
from lago_engine.domain.invoicing.model import (
    Credit,
    FeePaymentStatus,
    Invoice,
    Place,
    StandaloneFee,
)
from lago_engine.domain.rating.unit_steps import UnitStep
from lago_engine.domain.wallets.model import Wallet, WalletTransaction


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all facts. The envelope around it says who, when and why."""


# --- organization ------------------------------------------------------------------------------


class OrganizationCreated(DomainEvent, frozen=True, tag="organization_created.v1"):
    organization: Organization


class OrganizationUpdated(DomainEvent, frozen=True, tag="organization_updated.v1"):
    organization: Organization


class ApiKeyCreated(DomainEvent, frozen=True, tag="api_key_created.v1"):
    api_key: ApiKey


class ClockSet(DomainEvent, frozen=True, tag="clock_set.v1"):
    """The virtual clock of a test organization was set; None returns it to real time."""

    now: datetime | None


class WebhookEndpointCreated(DomainEvent, frozen=True, tag="webhook_endpoint_created.v1"):
    endpoint: WebhookEndpoint


class WebhookEndpointUpdated(DomainEvent, frozen=True, tag="webhook_endpoint_updated.v1"):
    endpoint: WebhookEndpoint


class WebhookEndpointDeleted(DomainEvent, frozen=True, tag="webhook_endpoint_deleted.v1"):
    endpoint: WebhookEndpoint


class PaymentConnectionSet(DomainEvent, frozen=True, tag="payment_connection_set.v1"):
    """A provider connection was created, or replaced under the same code."""

    connection: PaymentConnection


class UsageErrorsFound(DomainEvent, frozen=True, tag="usage_errors_found.v1"):
    """Usage events received in an hour will not be billed as meant (events.md §5.3).

    hour: its beginning. The lists hold distinct transaction ids; cut: there were more.
    """

    hour: datetime
    invalid_code: tuple[str, ...] = ()
    missing_aggregation_property: tuple[str, ...] = ()
    invalid_filter_values: tuple[str, ...] = ()
    cut: bool = False


# --- catalog -----------------------------------------------------------------------------------


class BillableMetricCreated(DomainEvent, frozen=True, tag="billable_metric_created.v1"):
    metric: BillableMetric


class BillableMetricUpdated(DomainEvent, frozen=True, tag="billable_metric_updated.v1"):
    metric: BillableMetric
    previous_code: str


class BillableMetricDeleted(DomainEvent, frozen=True, tag="billable_metric_deleted.v1"):
    metric: BillableMetric


class TaxCreated(DomainEvent, frozen=True, tag="tax_created.v1"):
    tax: Tax


class TaxUpdated(DomainEvent, frozen=True, tag="tax_updated.v1"):
    tax: Tax
    previous_code: str


class TaxDeleted(DomainEvent, frozen=True, tag="tax_deleted.v1"):
    tax: Tax


class AddOnCreated(DomainEvent, frozen=True, tag="add_on_created.v1"):
    add_on: AddOn


class AddOnUpdated(DomainEvent, frozen=True, tag="add_on_updated.v1"):
    add_on: AddOn
    previous_code: str


class AddOnDeleted(DomainEvent, frozen=True, tag="add_on_deleted.v1"):
    add_on: AddOn


class PricingUnitCreated(DomainEvent, frozen=True, tag="pricing_unit_created.v1"):
    pricing_unit: PricingUnit


class PricingUnitUpdated(DomainEvent, frozen=True, tag="pricing_unit_updated.v1"):
    pricing_unit: PricingUnit


class PlanCreated(DomainEvent, frozen=True, tag="plan_created.v1"):
    plan: Plan


class PlanUpdated(DomainEvent, frozen=True, tag="plan_updated.v1"):
    """A plan has a new version.

    cascade: its child plans follow. applied_at_once: fixed charges whose new units count from now on, not
    from the next period. announced: a webhook tells of it; those of charges alone do not (plans.md §5.4).
    """

    plan: Plan
    previous_code: str
    cascade: bool = False
    applied_at_once: tuple[UUID, ...] = ()
    announced: bool = True


class PlanDeletionRequested(DomainEvent, frozen=True, tag="plan_deletion_requested.v1"):
    """The plan is to be deleted as soon as its subscriptions have ended, which the engine sees to."""

    plan: Plan


class PlanDeleted(DomainEvent, frozen=True, tag="plan_deleted.v1"):
    plan: Plan


class CouponCreated(DomainEvent, frozen=True, tag="coupon_created.v1"):
    coupon: Coupon


class CouponUpdated(DomainEvent, frozen=True, tag="coupon_updated.v1"):
    coupon: Coupon
    previous_code: str


class CouponDeleted(DomainEvent, frozen=True, tag="coupon_deleted.v1"):
    coupon: Coupon


# --- customer ----------------------------------------------------------------------------------


class CustomerCreated(DomainEvent, frozen=True, tag="customer_created.v1"):
    customer: CustomerProfile


class CustomerUpdated(DomainEvent, frozen=True, tag="customer_updated.v1"):
    customer: CustomerProfile


class CustomerDeleted(DomainEvent, frozen=True, tag="customer_deleted.v1"):
    """The customer as it was, with `deleted_at`; its subscriptions had ended, its coupons and wallets were taken away before."""

    customer: CustomerProfile


class SubscriptionCreated(DomainEvent, frozen=True, tag="subscription_created.v1"):
    """A subscription exists: already active, or pending until its `subscription_at`."""

    customer: CustomerProfile
    subscription: Subscription


class SubscriptionStarted(DomainEvent, frozen=True, tag="subscription_started.v1"):
    """A pending subscription became active."""

    customer: CustomerProfile
    subscription: Subscription


class SubscriptionUpdated(DomainEvent, frozen=True, tag="subscription_updated.v1"):
    """Terms of a subscription changed, or a downgrade was scheduled or given up."""

    customer: CustomerProfile
    subscription: Subscription


class SubscriptionTrialEnded(DomainEvent, frozen=True, tag="subscription_trial_ended.v1"):
    """The base fee of an active subscription is not free any more."""

    customer: CustomerProfile
    subscription: Subscription


class SubscriptionRepriced(DomainEvent, frozen=True, tag="subscription_repriced.v1"):
    """The child plan of the subscription changed, by its own paths or after its parent."""

    customer: CustomerProfile
    subscription: Subscription


class FixedChargeUnitsSet(DomainEvent, frozen=True, tag="fixed_charge_units_set.v1"):
    """A subscription has so many units of a fixed charge from an instant on (plans.md §7.4).

    fixed_charge_id: as the plan has it that the subscription was put on; its child plan has a copy.
    """

    subscription_id: UUID
    fixed_charge_id: UUID
    step: UnitStep


class SubscriptionTerminated(DomainEvent, frozen=True, tag="subscription_terminated.v1"):
    customer: CustomerProfile
    subscription: Subscription


class SubscriptionCanceled(DomainEvent, frozen=True, tag="subscription_canceled.v1"):
    customer: CustomerProfile
    subscription: Subscription


class InvoiceDrafted(DomainEvent, frozen=True, tag="invoice_drafted.v1"):
    invoice: Invoice


class InvoiceRefreshed(DomainEvent, frozen=True, tag="invoice_refreshed.v1"):
    """A draft was recomputed."""

    invoice: Invoice


class InvoiceFinalized(DomainEvent, frozen=True, tag="invoice_finalized.v1"):
    """The whole document, frozen, with its number.

    inputs_hash: SHA-256 (hex) of everything the builder was given, so that a replay can tell a changed input from a changed rule.
    """

    invoice: Invoice
    inputs_hash: str


class InvoiceOpened(DomainEvent, frozen=True, tag="invoice_opened.v1"):
    """An invoice waits for its payment, unseen; it has no number before that."""

    invoice: Invoice


class InvoiceClosed(DomainEvent, frozen=True, tag="invoice_closed.v1"):
    """A zero invoice that the settings skip: no number, no webhook; the period counts as billed."""

    invoice: Invoice


class InvoiceVoided(DomainEvent, frozen=True, tag="invoice_voided.v1"):
    invoice_id: UUID
    voided_at: datetime


class InvoiceDeleted(DomainEvent, frozen=True, tag="invoice_deleted.v1"):
    """A draft was thrown away; the periods on it count as billed."""

    invoice: Invoice


class InvoicePaymentOverdue(DomainEvent, frozen=True, tag="invoice_payment_overdue.v1"):
    invoice_id: UUID


class FeeCreated(DomainEvent, frozen=True, tag="fee_created.v1"):
    """A fee that stands alone: for one usage event, or at a renewal."""

    fee: StandaloneFee


class FeePaymentStatusChanged(DomainEvent, frozen=True, tag="fee_payment_status_changed.v1"):
    """Somebody said whether a fee that stands alone is paid; `changed_at` stamps that status only."""

    fee_id: UUID
    payment_status: FeePaymentStatus
    changed_at: datetime


class FeeDeleted(DomainEvent, frozen=True, tag="fee_deleted.v1"):
    fee_id: UUID


class UsagePassedOver(DomainEvent, frozen=True, tag="usage_passed_over.v1"):
    """Usage of a charge or filter that is gone: it will not be billed in advance."""

    subscription_id: UUID
    place: Place


class InvoicePaymentStatusUpdated(
    DomainEvent, frozen=True, tag="invoice_payment_status_updated.v1"
):
    """Somebody said how the payment of an invoice stands."""

    invoice_id: UUID
    payment_status: Literal["pending", "succeeded", "failed"]


class InvoiceMetadataSet(DomainEvent, frozen=True, tag="invoice_metadata_set.v1"):
    """The whole metadata of an invoice."""

    invoice_id: UUID
    metadata: tuple[InvoiceMetadata, ...]


class InvoicePaymentDisputeLost(DomainEvent, frozen=True, tag="invoice_payment_dispute_lost.v1"):
    """The customer got the payment back from the bank; nothing of it is refunded any more."""

    invoice_id: UUID
    lost_at: datetime


class CouponApplied(DomainEvent, frozen=True, tag="coupon_applied.v1"):
    """A customer has a coupon now."""

    customer: CustomerProfile
    applied_coupon: AppliedCoupon


class CouponUsed(DomainEvent, frozen=True, tag="coupon_used.v1"):
    """An applied coupon took `credit` off a finalized invoice in `currency`; as it is after that."""

    applied_coupon: AppliedCoupon
    invoice_id: UUID
    credit: Credit
    currency: str


class CouponGivenBack(DomainEvent, frozen=True, tag="coupon_given_back.v1"):
    """The invoice that it was used on was voided; as it is after that."""

    applied_coupon: AppliedCoupon
    invoice_id: UUID
    amount_cents: int


class AppliedCouponTerminated(DomainEvent, frozen=True, tag="applied_coupon_terminated.v1"):
    """It was taken from the customer."""

    applied_coupon: AppliedCoupon


class CreditNoteCreated(DomainEvent, frozen=True, tag="credit_note_created.v1"):
    """A note was made; the invoice's payment status and offset total after it."""

    customer: CustomerProfile
    credit_note: CreditNote
    invoice_payment_status: Literal["pending", "succeeded", "failed"]
    invoice_total_offsetted_amount_cents: int


class CreditNoteConsumed(DomainEvent, frozen=True, tag="credit_note_consumed.v1"):
    """A note paid `amount_cents` of a finalized invoice; as it is after that."""

    credit_note: CreditNote
    invoice_id: UUID
    amount_cents: int


class CreditNoteRestored(DomainEvent, frozen=True, tag="credit_note_restored.v1"):
    """The invoice that it had paid for was voided; as it is after that."""

    credit_note: CreditNote
    invoice_id: UUID
    amount_cents: int


class CreditNoteUpdated(DomainEvent, frozen=True, tag="credit_note_updated.v1"):
    """Its refund status or its metadata changed."""

    credit_note: CreditNote


class CreditNoteVoided(DomainEvent, frozen=True, tag="credit_note_voided.v1"):
    """What was left of it is gone."""

    credit_note: CreditNote


class WalletCreated(DomainEvent, frozen=True, tag="wallet_created.v1"):
    """A customer has a wallet, still without credits."""

    customer: CustomerProfile
    wallet: Wallet


class WalletUpdated(DomainEvent, frozen=True, tag="wallet_updated.v1"):
    """Its settings, rules or metadata changed."""

    wallet: Wallet


class WalletTerminated(DomainEvent, frozen=True, tag="wallet_terminated.v1"):
    """Nothing is paid from it any more; what was left is forfeited."""

    wallet: Wallet


class WalletRuleApplied(DomainEvent, frozen=True, tag="wallet_rule_applied.v1"):
    """A recurring rule was acted on; the transactions it asked for, if any, follow."""

    wallet: Wallet
    rule_id: UUID


class WalletBalanceRefreshed(DomainEvent, frozen=True, tag="wallet_balance_refreshed.v1"):
    """Usage that is not billed yet crossed what is left in the wallet, one way or the other."""

    wallet: Wallet


class WalletTransactionCreated(DomainEvent, frozen=True, tag="wallet_transaction_created.v1"):
    """Credits came in, left, or are to come once they are paid; the wallet as it is after that."""

    wallet: Wallet
    transaction: WalletTransaction


class WalletTransactionSettled(DomainEvent, frozen=True, tag="wallet_transaction_settled.v1"):
    """Purchased credits were paid; the wallet as it is after that."""

    wallet: Wallet
    transaction: WalletTransaction


class WalletTransactionFailed(DomainEvent, frozen=True, tag="wallet_transaction_failed.v1"):
    """The payment of purchased credits failed; they still come if it is made later."""

    wallet: Wallet
    transaction: WalletTransaction


class RequestBooked(DomainEvent, frozen=True, tag="request_booked.v1"):
    """A request with an idempotency key was carried out; repeated, it books nothing."""

    request: BookedRequest


class RefundRequested(DomainEvent, frozen=True, tag="refund_requested.v1"):
    """A provider is to be asked to give money back, once per `refund.idempotency_key`."""

    customer: CustomerProfile
    refund: Refund


class RefundStatusChanged(DomainEvent, frozen=True, tag="refund_status_changed.v1"):
    """What the provider answered; the credit note as it is after that."""

    customer: CustomerProfile
    refund: Refund
    credit_note: CreditNote
    error_code: str | None = None
    error_message: str | None = None


class PaymentRequested(DomainEvent, frozen=True, tag="payment_requested.v1"):
    """A provider is to be asked for money, once per `payment.idempotency_key`."""

    customer: CustomerProfile
    payment: Payment


class PaymentLinkOpened(DomainEvent, frozen=True, tag="payment_link_opened.v1"):
    """A provider made a hosted page on which an invoice can be paid."""

    customer: CustomerProfile
    link: PaymentLink


class PaymentCancelRequested(DomainEvent, frozen=True, tag="payment_cancel_requested.v1"):
    """The invoice of a payment under way was voided: a provider is to stop it, if it still can."""

    customer: CustomerProfile
    payment: Payment


class PaymentRecorded(DomainEvent, frozen=True, tag="payment_recorded.v1"):
    """A manual payment, and the receipt for it."""

    customer: CustomerProfile
    payment: Payment
    invoice_payment_status: Literal["pending", "succeeded", "failed"]
    invoice_total_paid_amount_cents: int
    receipt: PaymentReceipt | None = None


class PaymentStatusChanged(DomainEvent, frozen=True, tag="payment_status_changed.v1"):
    """What the provider answered or reported; the invoice's status and paid total after it.

    receipt: for a payment that succeeded.
    """

    customer: CustomerProfile
    payment: Payment
    invoice_payment_status: Literal["pending", "succeeded", "failed"]
    invoice_total_paid_amount_cents: int
    receipt: PaymentReceipt | None = None


class DocumentGenerated(DomainEvent, frozen=True, tag="document_generated.v1"):
    """The PDF of something that was issued exists; with its hash, and all that it was made with."""

    document: GeneratedDocument


EVENT_TYPES: tuple[type[DomainEvent], ...] = tuple(DomainEvent.__subclasses__())
