"""From aggregated usage of a charge to its amount: unit rounding, charge model, money (charges.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.decimals import quantize_to
from lago_engine.domain.money import PRECISE_PLACES, precise_minor, to_minor, truncated_minor
from lago_engine.domain.rating.charge_models.model import Rated, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
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


_NOTHING: Final = Rated(amount=Decimal(0), unit_amount=Decimal(0))


def rate_charge(
    charge: Charge, metric: BillableMetric, *, units: Decimal, events_count: int, currency: str
) -> RatedCharge:
    """Price `units` (as aggregated, before the metric's rounding) of a charge.

    Negative units and negative amounts are reset to nothing, with no details.
    """
    rounded = round_units(units, metric.rounding_function, metric.rounding_precision)
    priced = _NOTHING if rounded < 0 else _price(charge, metric, rounded, events_count)
    if rounded < 0 or priced.amount < 0:
        rounded, priced = Decimal(0), _NOTHING
    return RatedCharge(
        units=rounded,
        events_count=events_count,
        amount_cents=to_minor(priced.amount, currency),
        precise_amount_cents=precise_minor(priced.amount, currency),
        unit_amount_cents=truncated_minor(priced.unit_amount, currency),
        precise_unit_amount=quantize_to(priced.unit_amount, PRECISE_PLACES),
        amount_details=priced.amount_details,
    )


def _price(charge: Charge, metric: BillableMetric, units: Decimal, events_count: int) -> Rated:
    usage = Usage(units=units, events_count=events_count, aggregation_type=metric.aggregation_type)
    return CHARGE_MODELS[charge.charge_model].rate(usage, charge.properties)
