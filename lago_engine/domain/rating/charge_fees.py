"""From aggregated usage of a charge to its amount: unit rounding, charge model, money (charges.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.decimals import precise, quantize_to
from lago_engine.domain.money import precise_minor, to_minor, truncated_minor
from lago_engine.domain.rating.charge_models.standard import rate_standard
from lago_engine.domain.rating.rounding import round_units


class RatedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """The amount of one charge bucket.

    amount_cents: rounded, minor units. precise_amount_cents: 15 decimals, minor units.
    unit_amount_cents: truncated (legacy). precise_unit_amount: 15 decimals, major units.
    """

    units: Decimal
    events_count: int
    amount_cents: int
    precise_amount_cents: Decimal
    unit_amount_cents: int
    precise_unit_amount: Decimal
    amount_details: Mapping[str, Any]

    @property
    def is_empty(self) -> bool:
        """Whether no fee is kept for it (charges.md §6)."""
        return self.units == 0 and self.amount_cents == 0 and self.events_count == 0


def rate_charge(
    charge: Charge, metric: BillableMetric, *, units: Decimal, events_count: int, currency: str
) -> RatedCharge:
    """Price `units` (as aggregated, before the metric's rounding) of a charge."""
    rounded = round_units(units, metric.rounding_function, metric.rounding_precision)
    priced = rate_standard(max(rounded, Decimal(0)), charge.properties)
    amount, unit_amount = priced.amount, priced.unit_amount
    if rounded < 0 or amount < 0:
        rounded = amount = unit_amount = Decimal(0)
    with precise():
        return RatedCharge(
            units=rounded,
            events_count=events_count,
            amount_cents=to_minor(amount, currency),
            precise_amount_cents=quantize_to(precise_minor(amount, currency), 15),
            unit_amount_cents=truncated_minor(unit_amount, currency),
            precise_unit_amount=quantize_to(unit_amount, 15),
            amount_details=priced.amount_details,
        )
