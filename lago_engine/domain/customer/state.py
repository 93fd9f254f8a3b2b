"""The customer aggregate: what later decisions about this customer need, folded from its stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from lago_engine.domain.catalog.entities import Entity, Plan
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.kinds import InvoiceType
from lago_engine.domain.invoicing.model import (
    Credit,
    Invoice,
    InvoiceLink,
    InvoiceStatus,
    PaymentStatus,
    Place,
    StandaloneFee,
)
from lago_engine.domain.periods import Succession
from lago_engine.domain.rating.in_advance.counter import Counter
from lago_engine.domain.rating.unit_steps import UnitStep
from lago_engine.domain.wallets.model import Consumption, Wallet, WalletTransaction

SubscriptionStatus = Literal["pending", "active", "terminated", "canceled"]
OnTerminationCreditNote = Literal["credit", "skip", "refund", "offset"]
OnTerminationInvoice = Literal["generate", "skip"]
PaymentState = Literal["pending", "processing", "succeeded", "failed"]


class PlanChange(Entity, frozen=True):
    """The other subscription of a change of plan (subscriptions.md §3).

    plan_id: its plan when the change was asked for. took_effect_at: None while a downgrade waits for its period.
    """

    subscription_id: UUID
    plan_id: UUID
    succession: Succession
    took_effect_at: datetime | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A customer on a plan (subscriptions.md §1).

    subscription_at anchors the billing grid; started_at is when usage begins to count.
    next_billing_on: the cursor – the local date of the next period start that is not billed yet; None unless
    active and lasting beyond it. A date, so that it survives a change of the customer's time zone.
    base_fees: how many base fees were billed. last_link: the latest invoice link, for zone changes.
    replaces, replaced_by: its neighbours in a chain of plan changes. initial_started_at: when the first subscription
    with the external id started; trials count from it. plan_id: the plan that was asked for. plan_override: its
    child plan, which prices the subscription in its place. units_overrides: its own units of fixed charges, with their ids
    on the plan, unless a child plan has them. replaces and the members after them are only written when set.
    """

    id: UUID
    external_id: str
    plan_id: UUID
    plan_code: str
    status: SubscriptionStatus
    billing_time: Literal["calendar", "anniversary"]
    subscription_at: datetime
    created_at: datetime
    name: str = ""
    started_at: datetime | None = None
    ending_at: datetime | None = None
    terminated_at: datetime | None = None
    canceled_at: datetime | None = None
    activated_at: datetime | None = None
    on_termination_credit_note: OnTerminationCreditNote | None = None
    on_termination_invoice: OnTerminationInvoice = "generate"
    consolidate_invoice: bool = True
    purchase_order_number: str | None = None
    next_billing_on: date | None = None
    base_fees: int = 0
    last_link: InvoiceLink | None = None
    replaces: PlanChange | UnsetType = UNSET
    replaced_by: PlanChange | UnsetType = UNSET
    initial_started_at: datetime | UnsetType = UNSET
    trial_ended_at: datetime | UnsetType = UNSET
    progressive_billing_disabled: bool | UnsetType = UNSET
    plan_override: Plan | UnsetType = UNSET
    units_overrides: tuple[tuple[UUID, Decimal], ...] | UnsetType = UNSET


class InvoiceMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """One metadata entry of an invoice (api_conventions.md §5)."""

    id: UUID
    key: str
    value: str
    created_at: datetime


class InvoiceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What stays in the state of an invoice after it is finalized.

    ledger: its fees and taxes, packed (`lago_engine.domain.invoicing.ledger`). credits: what made it cheaper.
    provider_payment: the latest one through a provider that succeeded; refunds go back on it. prepaid: by wallet, what
    it took of which inbound transaction.
    """

    id: UUID
    number: str
    status: InvoiceStatus
    payment_status: PaymentStatus
    currency: str
    total_amount_cents: int
    total_paid_amount_cents: int
    payment_due_date: date
    payment_overdue: bool = False
    payment_attempts: int = 0
    usage_windows: tuple[tuple[UUID, datetime, datetime], ...] = ()
    invoice_type: InvoiceType = "subscription"
    sub_total_including_taxes_amount_cents: int = 0
    total_offsetted_amount_cents: int = 0
    payment_dispute_lost_at: datetime | None = None
    metadata: tuple[InvoiceMetadata, ...] = ()
    credits: tuple[Credit, ...] = ()
    ledger: bytes = b""
    provider_payment: Payment | None = None
    prepaid: tuple[tuple[UUID, Consumption], ...] = ()

    @property
    def discounts_cents(self) -> int:
        """What coupons and progressive billing took off before taxes."""
        return sum(credit.amount_cents for credit in self.credits if credit.before_taxes)


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt through a provider, or one recorded transfer (payments.md §2)."""

    id: UUID
    invoice_id: UUID
    invoice_number: str
    type: Literal["manual", "provider"]
    amount_cents: int
    amount_currency: str
    status: str
    payment_status: PaymentState
    created_at: datetime
    reference: str | None = None
    provider: str | None = None
    connection_code: str | None = None
    provider_customer_id: str | None = None
    provider_payment_id: str | None = None
    idempotency_key: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    action_url: str | None = None


class PaymentReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer is given for a payment that succeeded (payments.md §10)."""

    id: UUID
    number: str
    created_at: datetime


class PaymentLink(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted page on which an invoice can be paid (payments.md §6).

    payment: what the page is for; it becomes a payment with the provider's first report. Its id names the page.
    """

    payment: Payment
    url: str
    expires_at: datetime


class BilledUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How far the usage of a subscription is billed in advance, and what that leaves to be known.

    counters: by bucket and period, where they say something.
    """

    place: Place
    counters: Mapping[UUID, Counter] = {}


class BilledUnits(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a fixed charge that an invoice billed in advance for a window, both ends inclusive.

    fixed_charge_id: as the plan has it that the subscription was put on. amount_cents: what they are worth, whatever was
    deducted from it. timestamp: the instant that the billing refers to. prorated: they were paid by the day.
    """

    invoice_id: UUID
    fixed_charge_id: UUID
    add_on_id: UUID
    units: Decimal
    amount_cents: int
    from_datetime: datetime
    to_datetime: datetime
    timestamp: datetime
    prorated: bool


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money of a credit note that a provider is to give back, out of one payment (payments.md §9).

    provider_refund_id: what the provider calls it; only written once it said so.
    """

    credit_note_id: UUID
    payment_id: UUID
    provider: str
    connection_code: str
    provider_customer_id: str | None
    provider_payment_id: str
    amount_cents: int
    amount_currency: str
    idempotency_key: str
    provider_refund_id: str | UnsetType = UNSET


class BookedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that booked money under an idempotency key. fingerprint: hex SHA-256 of what it sent. made: ids."""

    key: str
    fingerprint: str
    booked_at: datetime
    made: tuple[UUID, ...]


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """One customer.

    invoices: every invoice that left draft, as a short record. drafts: drafts in full.
    payments: attempts without a final outcome. settled_payments: ids that are final (late news is ignored).
    usage_windows in use follow from subscriptions and drafts. billed_usage: by subscription, of charges paid in advance.
    regrouping: fees that wait for an `advance_charges` invoice; of other standalone fees there may be millions.
    payment_links: hosted pages by the id of their payment, oldest first.
    applied_coupons, credit_notes, wallets: all of them, oldest first. inbound: every transaction that brought or may
    bring credits. booked: by idempotency key, of the last day. open_invoices: in full those that wait, unseen, for their payment. refunds: by credit note, those without a final outcome.
    unit_steps: units of fixed charges over time, by subscription and by the charge's id on the plan it was put on, in
    the order in which they were set. billed_units: those billed in advance, by subscription.
    """

    profile: CustomerProfile
    subscriptions: Mapping[UUID, Subscription] = {}
    drafts: Mapping[UUID, Invoice] = {}
    invoices: Mapping[UUID, InvoiceRecord] = {}
    payments: Mapping[UUID, Payment] = {}
    settled_payments: frozenset[UUID] = frozenset()
    applied_coupons: Mapping[UUID, AppliedCoupon] = {}
    credit_notes: Mapping[UUID, CreditNote] = {}
    refunds: Mapping[UUID, Refund] = {}
    last_sequential_id: int = 0
    items_count: int = 0
    receipts_count: int = 0
    billed_usage: Mapping[UUID, BilledUsage] = {}
    regrouping: Mapping[UUID, StandaloneFee] = {}
    payment_links: Mapping[UUID, PaymentLink] = {}
    wallets: Mapping[UUID, Wallet] = {}
    inbound: Mapping[UUID, WalletTransaction] = {}
    open_invoices: Mapping[UUID, Invoice] = {}
    booked: Mapping[str, BookedRequest] = {}
    unit_steps: Mapping[UUID, Mapping[UUID, tuple[UnitStep, ...]]] = {}
    billed_units: Mapping[UUID, tuple[BilledUnits, ...]] = {}

    @property
    def id(self) -> UUID:
        return self.profile.id
