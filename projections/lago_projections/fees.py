"""`fee` documents (invoices.md §16.1); `lago_projections.invoices` writes them with their invoice."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UnsetType

from lago_engine.domain.decimals import CONTEXT, as_json_number, round_half_up, to_wire
from lago_engine.domain.invoicing.model import AppliedTax, Fee, Invoice
from lago_engine.domain.money import minor_units
from lago_engine.domain.rating.presentation import breakdown_objects
from lago_engine.projecting.wire import Members, instant, instant_offset


def fee_object(fee: Fee, invoice: Invoice) -> Members:
    """A fee as its invoice shows it.

    precise_*: exact decimals in major units, those with `_cents` in the name in minor units.
    """
    minor = Decimal(minor_units(invoice.currency))
    precise_total_cents = CONTEXT.add(fee.precise_amount_cents, fee.precise_taxes_amount_cents)
    sub_total_cents = CONTEXT.subtract(fee.precise_amount_cents, fee.precise_coupons_amount_cents)
    taxes_precise = CONTEXT.divide(fee.precise_taxes_amount_cents, minor)
    return {
        "lago_id": fee.id,
        "lago_charge_id": fee.charge_id,
        "lago_charge_filter_id": fee.charge_filter.id if fee.charge_filter else None,
        "lago_fixed_charge_id": None,
        "lago_invoice_id": invoice.id,
        "lago_true_up_fee_id": fee.true_up_fee_id,
        "lago_true_up_parent_fee_id": fee.true_up_parent_fee_id,
        "lago_original_fee_id": None,
        "lago_subscription_id": fee.subscription_id,
        "external_subscription_id": fee.external_subscription_id,
        "lago_customer_id": invoice.customer_id,
        "external_customer_id": invoice.customer.external_id,
        "item": _item(fee),
        "pay_in_advance": fee.pay_in_advance,
        "invoiceable": True,
        "amount_cents": fee.amount_cents,
        "amount_currency": invoice.currency,
        "precise_amount": to_wire(CONTEXT.divide(fee.precise_amount_cents, minor)),
        "precise_total_amount": to_wire(CONTEXT.divide(precise_total_cents, minor)),
        "taxes_amount_cents": fee.taxes_amount_cents,
        "taxes_precise_amount": to_wire(taxes_precise),
        "taxes_rate": as_json_number(fee.taxes_rate),
        "total_aggregated_units": to_wire(_aggregated(fee)),
        "total_amount_cents": fee.amount_cents + fee.taxes_amount_cents,
        "total_amount_currency": invoice.currency,
        "units": to_wire(fee.units),
        "description": fee.description or None,
        "precise_unit_amount": to_wire(fee.precise_unit_amount),
        "precise_coupons_amount_cents": to_wire(fee.precise_coupons_amount_cents),
        "sub_total_excluding_taxes_amount_cents": _sub_total(fee),
        "sub_total_excluding_taxes_precise_amount_cents": to_wire(sub_total_cents),
        "events_count": fee.events_count,
        "payment_status": invoice.payment_status,
        "created_at": instant(invoice.created_at),
        "succeeded_at": None,
        "failed_at": None,
        "refunded_at": None,
        "amount_details": fee.amount_details,
        "self_billed": invoice.self_billed,
        "pricing_unit_details": None,
        "presentation_breakdowns": breakdown_objects(fee.presentation_breakdowns or ()),
        "from_date": instant_offset(fee.from_datetime),
        "to_date": instant_offset(fee.to_datetime),
    }


def fee_tax_object(tax: AppliedTax, fee: Fee, invoice: Invoice) -> Members:
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
        "amount_currency": invoice.currency,
        "created_at": instant(invoice.created_at),
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
