"""`tax` documents (customers.md §7.1)."""

from __future__ import annotations

from lago_engine.domain.events import DomainEvent, TaxCreated, TaxDeleted, TaxUpdated
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import tax_object
from lago_engine.projecting.wire import encode


class TaxProjection(Projection):
    """Live taxes; key: code. Lists are by name."""

    name = "taxes"
    kinds = ("tax",)
    handles = (TaxCreated, TaxUpdated, TaxDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(event, TaxCreated | TaxUpdated | TaxDeleted)
        tax = event.tax
        if isinstance(event, TaxDeleted):
            context.delete("tax", tax.code)
            return
        if isinstance(event, TaxUpdated) and event.previous_code != tax.code:
            context.delete("tax", event.previous_code)
        body = encode(tax_object(tax, context.organization))
        context.put("tax", tax.code, body, sort_key=tax.name.lower())
