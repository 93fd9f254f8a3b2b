"""Add-ons sold on a one-off invoice, and the fees they make (invoices.md §10)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec import UNSET

from lago_engine.domain import ids
from lago_engine.domain.decimals import precise, quantize_to, round_half_up
from lago_engine.domain.invoicing.model import Fee
from lago_engine.domain.money import PRECISE_PLACES, to_major


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """One add-on on the invoice. unit_amount_cents: the price of a unit, in minor units."""

    add_on_id: UUID
    add_on_code: str
    add_on_name: str
    add_on_description: str | None
    invoice_display_name: str
    unit_amount_cents: int
    units: Decimal
    description: str | None
    from_datetime: datetime
    to_datetime: datetime
    tax_ids: tuple[UUID, ...]


def sale_fee(invoice_id: UUID, number: int, sale: Sale, currency: str) -> Fee:
    """The fee of the `number`-th sale: units times price, rounded once."""
    with precise():
        amount = sale.unit_amount_cents * sale.units
        return Fee(
            id=ids.derive(invoice_id, "fee", "add_on", number),
            fee_type="add_on",
            subscription_id=None,
            external_subscription_id=None,
            item_id=sale.add_on_id,
            item_type="AddOn",
            item_code=sale.add_on_code,
            item_name=sale.add_on_name,
            item_description=sale.add_on_description,
            invoice_display_name=sale.invoice_display_name,
            amount_cents=round_half_up(amount),
            precise_amount_cents=quantize_to(amount, PRECISE_PLACES),
            units=sale.units,
            unit_amount_cents=sale.unit_amount_cents,
            precise_unit_amount=quantize_to(
                to_major(sale.unit_amount_cents, currency), PRECISE_PLACES
            ),
            amount_details={},
            pay_in_advance=False,
            from_datetime=sale.from_datetime,
            to_datetime=sale.to_datetime,
            description=sale.description or UNSET,
        )


def sale_of(fee: Fee) -> Sale:
    """What was sold, read back from its fee."""
    return Sale(
        add_on_id=fee.item_id,
        add_on_code=fee.item_code,
        add_on_name=fee.item_name,
        add_on_description=fee.item_description,
        invoice_display_name=fee.invoice_display_name,
        unit_amount_cents=fee.unit_amount_cents,
        units=fee.units,
        description=fee.description or None,
        from_datetime=fee.from_datetime,
        to_datetime=fee.to_datetime,
        tax_ids=tuple(tax.tax_id for tax in fee.taxes),
    )
