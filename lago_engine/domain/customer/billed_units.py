"""Which units of fixed charges were billed in advance: folded from invoices, so that no period is billed twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from lago_engine.domain.customer.state import BilledUnits
from lago_engine.domain.invoicing.model import Invoice

Units = Mapping[UUID, tuple[BilledUnits, ...]]

KEPT: Final = timedelta(days=366)
"""What ended so long before the latest window is looked at by nothing any more, not even by a draft."""


def with_invoice(units: Units, invoice: Invoice) -> Units:
    """After an invoice came into being, or was computed again."""
    billed: dict[UUID, list[BilledUnits]] = {}
    for subscription_id, each in _billed_by(invoice):
        billed.setdefault(subscription_id, []).append(each)
    touched = {link.subscription_id for link in invoice.links} & {*units, *billed}
    if not touched:
        return units
    changed = dict(units)
    for subscription_id in touched:
        others = (u for u in units.get(subscription_id, ()) if u.invoice_id != invoice.id)
        changed[subscription_id] = _recent([*others, *billed.get(subscription_id, ())])
    return changed


def without_invoice(units: Units, invoice_id: UUID) -> Units:
    """After an invoice was voided or deleted: what it billed may be billed again."""
    if not any(each.invoice_id == invoice_id for billed in units.values() for each in billed):
        return units
    return {
        subscription_id: tuple(each for each in billed if each.invoice_id != invoice_id)
        for subscription_id, billed in units.items()
    }


def _recent(billed: Sequence[BilledUnits]) -> tuple[BilledUnits, ...]:
    latest = max((each.from_datetime for each in billed), default=None)
    return tuple(each for each in billed if latest is None or each.to_datetime > latest - KEPT)


def _billed_by(invoice: Invoice) -> Iterator[tuple[UUID, BilledUnits]]:
    for fee in invoice.fees:
        if fee.fixed_charge and fee.pay_in_advance:
            assert fee.subscription_id is not None
            yield (
                fee.subscription_id,
                BilledUnits(
                    invoice_id=invoice.id,
                    fixed_charge_id=fee.fixed_charge.origin_id,
                    add_on_id=fee.item_id,
                    units=fee.units,
                    amount_cents=fee.amount_cents + fee.fixed_charge.deducted_cents,
                    from_datetime=fee.from_datetime,
                    to_datetime=fee.to_datetime,
                    timestamp=fee.fixed_charge.timestamp,
                    prorated=fee.fixed_charge.prorated,
                ),
            )
