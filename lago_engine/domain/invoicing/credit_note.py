"""A credit note, as frozen into events (coupons_wallets_credit_notes.md §9).

Amounts named `*_cents` are integers in minor units; `precise_*_cents` are exact decimals in the same unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

Reason = Literal[
    "duplicated_charge", "product_unsatisfactory", "order_change",
    "order_cancellation", "fraudulent_charge", "other",
]  # fmt: skip
CreditStatus = Literal["available", "consumed", "voided"]
RefundStatus = Literal["pending", "succeeded", "failed"]


class CreditNoteItem(msgspec.Struct, frozen=True, kw_only=True):
    """What is given back of one fee, before its coupons and taxes."""

    id: UUID
    fee_id: UUID
    amount_cents: int
    precise_amount_cents: Decimal


class CreditNoteTax(msgspec.Struct, frozen=True, kw_only=True):
    """One tax given back; its rate is in percent."""

    id: UUID
    tax_id: UUID
    tax_code: str
    tax_name: str
    tax_rate: Decimal
    tax_description: str | None
    base_amount_cents: int
    amount_cents: int


class CreditNoteAmounts(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from the items of a note (coupons_wallets_credit_notes.md §11.1)."""

    items: tuple[CreditNoteItem, ...]
    applied_taxes: tuple[CreditNoteTax, ...]
    coupons_adjustment_amount_cents: int
    precise_coupons_adjustment_amount_cents: Decimal
    taxes_amount_cents: int
    precise_taxes_amount_cents: Decimal
    taxes_rate: Decimal
    sub_total_excluding_taxes_amount_cents: int
    precise_total_amount_cents: Decimal


class CreditNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole note; `total_amount_cents` = credit + refund + offset, all of them with taxes.

    status: a note on a draft invoice is a draft too, and hidden until both are finalized.
    """

    id: UUID
    customer_id: UUID
    invoice_id: UUID
    invoice_number: str
    billing_entity_code: str
    sequential_id: int
    number: str
    currency: str
    issuing_date: date
    reason: Reason
    amounts: CreditNoteAmounts
    total_amount_cents: int
    credit_amount_cents: int
    refund_amount_cents: int
    offset_amount_cents: int
    balance_amount_cents: int
    created_at: datetime
    updated_at: datetime
    status: Literal["draft", "finalized"] = "finalized"
    credit_status: CreditStatus = "available"
    refund_status: RefundStatus | None = None
    refunded_at: datetime | None = None
    description: str | None = None
    purchase_order_number: str | None = None
    metadata: Mapping[str, str | None] | None = None
