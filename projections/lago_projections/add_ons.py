"""`add_on` documents (invoices.md §17)."""

from __future__ import annotations

from lago_engine.domain.catalog.entities import AddOn
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import (
    AddOnCreated,
    AddOnDeleted,
    AddOnUpdated,
    DomainEvent,
    TaxDeleted,
    TaxUpdated,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import tax_objects
from lago_engine.projecting.wire import Members, encode, instant, sort_key


class AddOnProjection(Projection):
    """Live add-ons; key: code. A changed tax changes the add-ons that show it."""

    name = "add_ons"
    kinds = ("add_on",)
    handles = (AddOnCreated, AddOnUpdated, AddOnDeleted, TaxUpdated, TaxDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        match event:
            case AddOnCreated(add_on=add_on):
                self._put(add_on, context)
            case AddOnUpdated(add_on=add_on, previous_code=previous_code):
                if previous_code != add_on.code:
                    context.delete("add_on", previous_code)
                self._put(add_on, context)
            case AddOnDeleted(add_on=add_on):
                context.delete("add_on", add_on.code)
            case TaxUpdated(tax=tax) | TaxDeleted(tax=tax):
                for add_on in context.organization.add_ons.values():
                    if tax.id in add_on.tax_ids:
                        self._put(add_on, context)

    def _put(self, add_on: AddOn, context: Context) -> None:
        body = encode(add_on_object(add_on, context.organization))
        context.put("add_on", add_on.code, body, sort_key=sort_key(add_on.created_at))


def add_on_object(add_on: AddOn, organization: OrganizationState) -> Members:
    return {
        "lago_id": add_on.id,
        "name": add_on.name,
        "invoice_display_name": add_on.invoice_display_name,
        "code": add_on.code,
        "amount_cents": add_on.amount_cents,
        "amount_currency": add_on.amount_currency,
        "created_at": instant(add_on.created_at),
        "description": add_on.description,
        "taxes": tax_objects(add_on.tax_ids, organization),
    }
