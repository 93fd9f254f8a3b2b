"""`fee` documents (invoices.md §16.1); `lago_projections.invoices` writes them with their invoice."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec import UnsetType

from lago_engine.domain.decimals import CONTEXT, as_json_number, round_half_up, to_wire
from lago_engine.domain.invoicing.model import (
    AppliedTax,
    Fee,
    FeePaymentStatus,
    FeePricingUnit,
    Invoice,
    StandaloneFee,
)
from lago_engine.domain.money import minor_units
from lago_engine.domain.rating.presentation import breakdown_objects
from lago_engine.projecting.wire import Members, instant, instant_offset, instant_or_none


class Holder(msgspec.Struct, frozen=True):
    """What a document says about a fee beside the fee: its invoice, if it is on one, and its customer."""

    invoice_id: UUID | None
    customer_id: UUID
    external_customer_id: str
    currency: str
    payment_status: FeePaymentStatus
    created_at: datetime
    self_billed: bool
    succeeded_at: datetime | None = None

    @classmethod
    def invoice(cls, invoice: Invoice) -> Holder:
        return cls(
            invoice.id,
            invoice.customer_id,
            invoice.customer.external_id,
            invoice.currency,
            invoice.payment_status,
            invoice.created_at,
            invoice.self_billed,
        )

    @classmethod
    def nothing(cls, created: StandaloneFee) -> Holder:
        return cls(
            None,
            created.customer_id,
            created.external_customer_id,
            created.currency,
            created.payment_status,
            created.created_at,
            created.self_billed,
            created.succeeded_at,
        )


def fee_object(fee: Fee, holder: Holder) -> Members:
    """A fee as its invoice shows it, or as it stands alone.

    precise_*: exact decimals in major units, those with `_cents` in the name in minor units.
    """
    minor = Decimal(minor_units(holder.currency))
    precise_total_cents = CONTEXT.add(fee.precise_amount_cents, fee.precise_taxes_amount_cents)
    sub_total_cents = CONTEXT.subtract(fee.precise_amount_cents, fee.precise_coupons_amount_cents)
    taxes_precise = CONTEXT.divide(fee.precise_taxes_amount_cents, minor)
    document: Members = {
        "lago_id": fee.id,
        "lago_charge_id": fee.charge_id,
        "lago_charge_filter_id": fee.charge_filter.id if fee.charge_filter else None,
        "lago_fixed_charge_id": fee.fixed_charge.id if fee.fixed_charge else None,
        "lago_invoice_id": holder.invoice_id,
        "lago_true_up_fee_id": fee.true_up_fee_id,
        "lago_true_up_parent_fee_id": fee.true_up_parent_fee_id,
        "lago_original_fee_id": None,
        "lago_subscription_id": fee.subscription_id,
        "external_subscription_id": fee.external_subscription_id,
        "lago_customer_id": holder.customer_id,
        "external_customer_id": holder.external_customer_id,
        "item": _item(fee),
        "pay_in_advance": fee.pay_in_advance,
        "invoiceable": not isinstance(fee.invoiceable, bool),
        "amount_cents": fee.amount_cents,
        "amount_currency": holder.currency,
        "precise_amount": to_wire(CONTEXT.divide(fee.precise_amount_cents, minor)),
        "precise_total_amount": to_wire(CONTEXT.divide(precise_total_cents, minor)),
        "taxes_amount_cents": fee.taxes_amount_cents,
        "taxes_precise_amount": to_wire(taxes_precise),
        "taxes_rate": as_json_number(fee.taxes_rate),
        "total_aggregated_units": to_wire(_aggregated(fee)),
        "total_amount_cents": fee.amount_cents + fee.taxes_amount_cents,
        "total_amount_currency": holder.currency,
        "units": to_wire(fee.units),
        "description": fee.description or None,
        "precise_unit_amount": to_wire(fee.precise_unit_amount),
        "precise_coupons_amount_cents": to_wire(fee.precise_coupons_amount_cents),
        "sub_total_excluding_taxes_amount_cents": _sub_total(fee),
        "sub_total_excluding_taxes_precise_amount_cents": to_wire(sub_total_cents),
        "events_count": fee.events_count,
        "payment_status": holder.payment_status,
        "created_at": instant(holder.created_at),
        "succeeded_at": instant_or_none(holder.succeeded_at),
        "failed_at": None,
        "refunded_at": None,
        "amount_details": fee.amount_details,
        "self_billed": holder.self_billed,
        "pricing_unit_details": _in_unit(fee.pricing_unit or None),
        "presentation_breakdowns": breakdown_objects(fee.presentation_breakdowns or ()),
        "from_date": instant_offset(fee.from_datetime),
        "to_date": instant_offset(fee.to_datetime),
    }
    if not isinstance(fee.billed_event, UnsetType):
        document["event_transaction_id"] = fee.billed_event.transaction_id
    return document


def fee_tax_object(tax: AppliedTax, fee: Fee, holder: Holder) -> Members:
    """A tax on a fee, as the fees endpoints show it."""
    return {
        "lago_id": tax.id,
        "lago_fee_id": fee.id,
        "lago_tax_id": tax.tax_id,
        "tax_name": tax.tax_name,
        "tax_code": tax.tax_code,
        "tax_rate": as_json_number(tax.tax_rate),
        "tax_description": tax.tax_description,
        "amount_cents": tax.amount_cents,
        "amount_currency": holder.currency,
        "created_at": instant(holder.created_at),
    }


def _in_unit(unit: FeePricingUnit | None) -> Members | None:
    """What the fee came to in the pricing unit of its charge."""
    if unit is None:
        return None
    return {
        "lago_pricing_unit_id": unit.id,
        "pricing_unit_code": unit.code,
        "short_name": unit.short_name,
        "amount_cents": unit.amount_cents,
        "precise_amount_cents": to_wire(unit.precise_amount_cents),
        "unit_amount_cents": unit.unit_amount_cents,
        "precise_unit_amount": to_wire(unit.precise_unit_amount),
        "conversion_rate": to_wire(unit.conversion_rate),
    }


def _sub_total(fee: Fee) -> int:
    difference = CONTEXT.subtract(Decimal(fee.amount_cents), fee.precise_coupons_amount_cents)
    return round_half_up(difference)


def _aggregated(fee: Fee) -> Decimal:
    given = fee.total_aggregated_units
    return fee.units if isinstance(given, UnsetType) else given


def _item(fee: Fee) -> Members:
    return {
        "type": fee.fee_type,
        "code": fee.item_code,
        "name": fee.item_name,
        "description": fee.item_description,
        "invoice_display_name": fee.invoice_display_name,
        "filters": fee.charge_filter.values if fee.charge_filter else None,
        "filter_invoice_display_name": (
            fee.charge_filter.invoice_display_name if fee.charge_filter else None
        ),
        "lago_item_id": fee.item_id,
        "item_type": fee.item_type,
        "grouped_by": fee.grouped_by or {},
    }
