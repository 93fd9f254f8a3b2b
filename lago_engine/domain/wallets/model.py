"""Wallets and their transactions, as frozen into events (coupons_wallets_credit_notes.md §4, §6, §7).

Amounts named `*_cents` are integers in the wallet's minor unit; credits are exact decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

import msgspec

WalletStatus = Literal["active", "terminated"]
TransactionType = Literal["inbound", "outbound"]
TransactionStatus = Literal["purchased", "granted", "voided", "invoiced"]
SettlementStatus = Literal["pending", "settled", "failed"]
Source = Literal["manual", "interval", "threshold"]
Trigger = Literal["interval", "threshold"]
RuleInterval = Literal["weekly", "monthly", "quarterly", "semiannual", "yearly"]
TopUpMethod = Literal["fixed", "target"]
FeeType = Literal[
    "charge", "fixed_charge", "subscription", "commitment", "add_on", "credit", "product"
]

LOWEST_PRIORITY: Final = 50


class MetadataPair(msgspec.Struct, frozen=True):
    """One metadata entry of a transaction or a rule."""

    key: str
    value: str


class RecurringRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a wallet is topped up by itself, and with how much (§7).

    threshold_credits: of a threshold rule. target_ongoing_balance: in credits, of the method `target`.
    """

    id: UUID
    trigger: Trigger
    created_at: datetime
    method: TopUpMethod = "fixed"
    interval: RuleInterval | None = None
    threshold_credits: Decimal | None = None
    paid_credits: Decimal = Decimal(0)
    granted_credits: Decimal = Decimal(0)
    target_ongoing_balance: Decimal | None = None
    grants_target_top_up: bool | None = None
    started_at: datetime | None = None
    expiration_at: datetime | None = None
    status: WalletStatus = "active"
    invoice_requires_successful_payment: bool = False
    ignore_paid_top_up_limits: bool = False
    transaction_name: str | None = None
    transaction_metadata: tuple[MetadataPair, ...] = ()
    purchase_order_number: str | None = None


class Wallet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prepaid credits of a customer.

    rate: value of one credit in major units. balance_cents: settled and not consumed. ongoing_usage_cents: usage that
    is not billed yet, as of the last evaluation; reads compute it anew. depleted: it was told that nothing is left.
    rule_checked_on: the customer's day on which the interval rule was last acted on. fee_types, billable_metric_ids:
    what it may pay; both empty: everything. paid_top_up_failed_at: an automatic top-up failed then and no paid one
    was settled since.
    """

    id: UUID
    customer_id: UUID
    external_customer_id: str
    billing_entity_code: str
    currency: str
    code: str
    rate: Decimal
    created_at: datetime
    updated_at: datetime
    status: WalletStatus = "active"
    name: str | None = None
    priority: int = LOWEST_PRIORITY
    balance_cents: int = 0
    consumed_cents: int = 0
    ongoing_usage_cents: int = 0
    depleted: bool = False
    expiration_at: datetime | None = None
    terminated_at: datetime | None = None
    last_balance_sync_at: datetime | None = None
    last_consumed_credit_at: datetime | None = None
    invoice_requires_successful_payment: bool = False
    paid_top_up_min_amount_cents: int | None = None
    paid_top_up_max_amount_cents: int | None = None
    fee_types: tuple[FeeType, ...] = ()
    billable_metric_ids: tuple[UUID, ...] = ()
    rules: tuple[RecurringRule, ...] = ()
    rule_checked_on: date | None = None
    paid_top_up_failed_at: datetime | None = None
    metadata: Mapping[str, str | None] | None = None
    purchase_order_number: str | None = None

    @property
    def rule(self) -> RecurringRule | None:
        """The active recurring rule."""
        return next((rule for rule in self.rules if rule.status == "active"), None)

    def may_pay(self, fee_type: str, metric_id: UUID | None) -> bool:
        """Whether a fee is within its limits, which are a union (§6.4)."""
        if not self.fee_types and not self.billable_metric_ids:
            return True
        return fee_type in self.fee_types or metric_id in self.billable_metric_ids


class Consumption(msgspec.Struct, frozen=True, kw_only=True):
    """What an outbound transaction took of an inbound one."""

    id: UUID
    inbound_id: UUID
    amount_cents: int


class WalletTransaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Credits that came into a wallet or left it (§6).

    remaining_amount_cents: of an inbound one, what is not consumed yet; None before it is settled. consumed: of an
    outbound one, where it was taken from. invoice_id: the invoice that sells the credits, or that they paid.
    """

    id: UUID
    wallet_id: UUID
    transaction_type: TransactionType
    transaction_status: TransactionStatus
    status: SettlementStatus
    amount_cents: int
    credit_amount: Decimal
    created_at: datetime
    source: Source = "manual"
    priority: int = LOWEST_PRIORITY
    remaining_amount_cents: int | None = None
    invoice_requires_successful_payment: bool = False
    invoice_id: UUID | None = None
    voided_invoice_id: UUID | None = None
    settled_at: datetime | None = None
    failed_at: datetime | None = None
    name: str | None = None
    metadata: tuple[MetadataPair, ...] = ()
    purchase_order_number: str | None = None
    consumed: tuple[Consumption, ...] = ()
