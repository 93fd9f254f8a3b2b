"""`pricing_unit` documents (charges.md §10)."""

from __future__ import annotations

from lago_engine.domain.catalog.entities import PricingUnit
from lago_engine.domain.events import DomainEvent, PricingUnitCreated, PricingUnitUpdated
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.wire import Members, encode, instant, sort_key


class PricingUnitProjection(Projection):
    """Pricing units; key: code."""

    name = "pricing_units"
    kinds = ("pricing_unit",)
    handles = (PricingUnitCreated, PricingUnitUpdated)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(event, PricingUnitCreated | PricingUnitUpdated)
        unit = event.pricing_unit
        body = encode(pricing_unit_object(unit))
        context.put("pricing_unit", unit.code, body, sort_key=sort_key(unit.created_at))


def pricing_unit_object(unit: PricingUnit) -> Members:
    return {
        "lago_id": unit.id,
        "code": unit.code,
        "name": unit.name,
        "short_name": unit.short_name,
        "description": unit.description,
        "created_at": instant(unit.created_at),
    }
