"""What stays of an invoice's fees after it is finalized: enough to credit them later, in little room."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from lago_engine.domain.invoicing.model import AppliedTax, Fee, Invoice
from lago_engine.domain.packing import Packer


class FeeRecord(msgspec.Struct, frozen=True, array_like=True):
    """A billed fee. Of a base fee: plan_amount_cents, the whole period's price, and timezone, whose days it pays for."""

    id: UUID
    fee_type: str
    subscription_id: UUID | None
    amount_cents: int
    precise_coupons_amount_cents: Decimal
    taxes_amount_cents: int
    taxes_rate: Decimal
    tax_ids: tuple[UUID, ...]
    from_datetime: datetime
    to_datetime: datetime
    plan_amount_cents: int | None = None
    timezone: str | None = None


class Ledger(msgspec.Struct, frozen=True, array_like=True):
    """The fees of one invoice, and its taxes as they read then."""

    fees: tuple[FeeRecord, ...]
    taxes: tuple[AppliedTax, ...]


_packer = Packer(Ledger)


def packed(invoice: Invoice) -> bytes:
    """The ledger of a finalized invoice."""
    zones = {link.subscription_id: link.timezone for link in invoice.links}
    fees = tuple(fee_record(fee, _timezone(fee, zones)) for fee in invoice.fees)
    return _packer.packed(Ledger(fees, invoice.applied_taxes))


def _timezone(fee: Fee, zones: Mapping[UUID, str]) -> str | None:
    """By whose days a base fee is paid."""
    if fee.fee_type != "subscription" or fee.subscription_id is None:
        return None
    return zones.get(fee.subscription_id)


def unpacked(ledger: bytes) -> Ledger:
    """What `packed` wrote."""
    return _packer.unpacked(ledger)


def fee_record(fee: Fee, timezone: str | None = None) -> FeeRecord:
    """What stays of a fee."""
    return FeeRecord(
        fee.id,
        fee.fee_type,
        fee.subscription_id,
        fee.amount_cents,
        fee.precise_coupons_amount_cents,
        fee.taxes_amount_cents,
        fee.taxes_rate,
        tuple(tax.tax_id for tax in fee.taxes),
        fee.from_datetime,
        fee.to_datetime,
        fee.amount_details.get("plan_amount_cents"),
        timezone,
    )
