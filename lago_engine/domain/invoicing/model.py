"""An invoice and its parts, as frozen into events.

Amounts named `*_cents` are integers in the currency's minor unit; `precise_*_cents` are exact decimals in
the same unit; `precise_unit_amount` is in major units (invoices.md §2, §16; charges.md §6).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.invoicing.kinds import InvoiceType
from lago_engine.domain.rating.denomination import UnitAmounts
from lago_engine.domain.rating.in_advance.counter import Counter
from lago_engine.domain.rating.presentation import PresentedUnits

InvoiceStatus = Literal["draft", "open", "finalized", "voided", "closed"]
PaymentStatus = Literal["pending", "succeeded", "failed"]
InvoicingReason = Literal[
    "subscription_starting",
    "subscription_periodic",
    "subscription_terminating",
    "in_advance_charge",
]
FeePaymentStatus = Literal["pending", "succeeded", "failed", "refunded"]
Place = tuple[int, int, int]
"""Where usage lies in the log: segment, event, charge of the event; ascending in the order of billing."""


class AppliedTax(msgspec.Struct, frozen=True, kw_only=True):
    """One tax on a fee or an invoice; rate in percent, snapshot of the tax when applied."""

    id: UUID
    tax_id: UUID
    tax_code: str
    tax_name: str
    tax_rate: Decimal
    tax_description: str | None
    amount_cents: int
    precise_amount_cents: Decimal
    fees_amount_cents: int


class FeeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The charge filter that a fee was priced by, as it was then."""

    id: UUID
    invoice_display_name: str
    values: Mapping[str, tuple[str, ...]]


class FeePricingUnit(UnitAmounts, frozen=True, kw_only=True):
    """What a fee came to in the pricing unit that its charge is priced in, before it was converted to money."""

    id: UUID
    short_name: str


class BilledEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The usage event that a fee in advance was made for.

    place: how far the subscription's usage is billed with it. bucket: names charge, filter, group and period.
    counter: what the next event of the bucket must know.
    """

    place: Place
    transaction_id: str
    timestamp: datetime
    bucket: UUID
    counter: Counter


class BilledFixedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed charge that a fee was made for.

    id: as the plan has it that priced the fee. origin_id: as the plan has it that the subscription was put on.
    timestamp: the instant that the billing refers to. prorated: paid by the day. deducted_cents: what was paid for the
    same days on the plan before, which the amount is less by.
    """

    id: UUID
    origin_id: UUID
    timestamp: datetime
    prorated: bool
    deducted_cents: int = 0


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """An amount with its reasons. `fee_type` decides what `item_*` names.

    true_up_parent_fee_id: set on the fee that raises a charge to its minimum, to the fee that it stands
    beside; true_up_fee_id is the way back (charges.md §12). charge_filter, grouped_by: the bucket of its charge,
    where there are several. total_aggregated_units: of a weighted sum where it is not the units.
    presentation_breakdowns: its units by the charge's presentation keys. billed_event: of a fee in advance.
    invoiceable: False for a fee that stands alone. fixed_charge: of a fixed charge's fee. pricing_unit: of a charge
    priced in one. These eight, precise_credit_notes_amount_cents and description are
    only written when they are set. Fees of add-ons on one-off invoices have no subscription.
    """

    id: UUID
    fee_type: Literal["subscription", "charge", "add_on", "fixed_charge", "commitment", "credit"]
    subscription_id: UUID | None
    external_subscription_id: str | None
    item_id: UUID
    item_type: Literal["Subscription", "BillableMetric", "AddOn", "WalletTransaction"]
    item_code: str
    item_name: str
    item_description: str | None
    invoice_display_name: str
    amount_cents: int
    precise_amount_cents: Decimal
    units: Decimal
    unit_amount_cents: int
    precise_unit_amount: Decimal
    amount_details: Mapping[str, Any]
    pay_in_advance: bool
    from_datetime: datetime
    to_datetime: datetime
    charge_id: UUID | None = None
    events_count: int | None = None
    taxes: tuple[AppliedTax, ...] = ()
    taxes_amount_cents: int = 0
    precise_taxes_amount_cents: Decimal = Decimal(0)
    taxes_rate: Decimal = Decimal(0)
    precise_coupons_amount_cents: Decimal = Decimal(0)
    true_up_fee_id: UUID | None = None
    true_up_parent_fee_id: UUID | None = None
    charge_filter: FeeFilter | UnsetType = UNSET
    grouped_by: Mapping[str, str | None] | UnsetType = UNSET
    total_aggregated_units: Decimal | UnsetType = UNSET
    presentation_breakdowns: tuple[PresentedUnits, ...] | UnsetType = UNSET
    precise_credit_notes_amount_cents: Decimal | UnsetType = UNSET
    description: str | UnsetType = UNSET
    billed_event: BilledEvent | UnsetType = UNSET
    invoiceable: Literal[False] | UnsetType = UNSET
    fixed_charge: BilledFixedCharge | UnsetType = UNSET
    pricing_unit: FeePricingUnit | UnsetType = UNSET


class StandaloneFee(msgspec.Struct, frozen=True, kw_only=True):
    """A fee on no invoice, with what an invoice would say about it (charges.md §9.1).

    regroup: once it is paid, it goes on the `advance_charges` invoice of its period.
    """

    fee: Fee
    customer_id: UUID
    external_customer_id: str
    currency: str
    created_at: datetime
    self_billed: bool
    regroup: bool
    payment_status: FeePaymentStatus = "pending"
    succeeded_at: datetime | None = None


class InvoiceLink(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription on an invoice with its three windows (billing_periods.md §1, §4); ends are inclusive.

    plan_version: the version of the plan that priced it. timestamp: the instant the billing refers to.
    order_name: what lines are sorted by. earlier_base_fee: the subscription was billed a base fee before.
    next_billing_on: where a recurring link moves the subscription's billing cursor. carried_on: of an upgrade, the
    recurring metrics that the next plan charges for, too; only written where there are any.
    """

    subscription_id: UUID
    external_subscription_id: str
    plan_id: UUID
    plan_version: int
    timestamp: datetime
    recurring: bool
    invoicing_reason: InvoicingReason
    timezone: str
    from_datetime: datetime
    to_datetime: datetime
    charges_from_datetime: datetime | None
    charges_to_datetime: datetime | None
    fixed_charges_from_datetime: datetime | None
    fixed_charges_to_datetime: datetime | None
    order_name: str
    earlier_base_fee: bool = False
    next_billing_on: date | None = None
    carried_on: tuple[UUID, ...] | UnsetType = UNSET


CreditItem = Literal["coupon", "credit_note", "invoice"]


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that made an invoice cheaper: a coupon, a credit note, or an earlier progressive invoice."""

    id: UUID
    item_type: CreditItem
    item_id: UUID
    item_code: str
    item_name: str
    amount_cents: int
    item_description: str | None = None
    applied_coupon_id: UUID | None = None

    @property
    def before_taxes(self) -> bool:
        """Whether it lowers what is taxed; credit notes pay the taxed total."""
        return self.item_type != "credit_note"


class PrepaidCredit(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet paid of an invoice; granted_amount_cents: of that, from credits that were given."""

    wallet_id: UUID
    amount_cents: int
    granted_amount_cents: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A whole invoice document. While draft it is recomputed; once finalized its amounts never change.

    customer: snapshot of who is billed, taken when the invoice was built. created_at: the billing instant.
    credits, prepaid: in the order in which they were taken; only written when there are any.
    """

    id: UUID
    customer_id: UUID
    customer: CustomerProfile
    billing_entity_code: str
    status: InvoiceStatus
    payment_status: PaymentStatus
    currency: str
    number: str
    sequential_id: int | None
    entity_sequential_id: int | None
    issuing_date: date
    expected_finalization_date: date
    payment_due_date: date
    net_payment_term: int
    created_at: datetime
    updated_at: datetime
    links: tuple[InvoiceLink, ...]
    fees: tuple[Fee, ...]
    applied_taxes: tuple[AppliedTax, ...]
    fees_amount_cents: int
    sub_total_excluding_taxes_amount_cents: int
    taxes_amount_cents: int
    taxes_rate: Decimal
    sub_total_including_taxes_amount_cents: int
    total_amount_cents: int
    invoice_type: InvoiceType = "subscription"
    self_billed: bool = False
    finalized_at: datetime | None = None
    voided_at: datetime | None = None
    credits: tuple[Credit, ...] | UnsetType = UNSET
    prepaid: tuple[PrepaidCredit, ...] | UnsetType = UNSET

    @property
    def prepaid_cents(self) -> int:
        """What wallets paid."""
        return sum(each.amount_cents for each in self.prepaid or ())

    def credits_of(self, item_type: CreditItem) -> tuple[Credit, ...]:
        """The credits of one kind."""
        return tuple(credit for credit in self.credits or () if credit.item_type == item_type)

    def credited_cents(self, item_type: CreditItem) -> int:
        """What credits of one kind took off."""
        return sum(credit.amount_cents for credit in self.credits_of(item_type))
