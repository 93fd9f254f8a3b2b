"""The graduated percentage model: each range takes a percentage of its units (charges §5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, to_wire
from lago_engine.domain.rating.charge_models.amounts import per_unit, percent_of, price_of
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage
from lago_engine.domain.rating.charge_models.ranges import BOUNDS, range_problems, slices

_RANGES: Final = "graduated_percentage_ranges"
_PRICES: Final = {"flat_amount": "invalid_amount", "rate": "invalid_rate"}


def rate_graduated_percentage(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Take `rate` percent of the units of each range they reach, and add its flat amount.

    The units are an amount in major currency units. Flat amounts are due as in the graduated model.
    """
    amount = Decimal(0)
    details = []
    for item, units in slices(usage.units, properties[_RANGES]):
        rate, flat = price_of(item["rate"]), price_of(item["flat_amount"])
        of_units = percent_of(units, rate.amount)
        total = CONTEXT.add(of_units, flat.amount)
        amount = CONTEXT.add(amount, total)
        details.append(
            {
                "from_value": item["from_value"],
                "to_value": item["to_value"],
                "flat_unit_amount": flat.shown,
                "rate": rate.shown,
                "units": to_wire(units),
                "per_unit_total_amount": to_wire(of_units),
                "total_with_flat_amount": to_wire(total),
            }
        )
    return Rated(
        amount=amount,
        unit_amount=per_unit(amount, usage.units),
        amount_details={_RANGES: details},
    )


GRADUATED_PERCENTAGE: Final = ChargeModel(
    keys={_RANGES: (*BOUNDS, "rate", "flat_amount")},
    defaults={
        # `fixed_amount` is a legacy key of the default range; it prices nothing.
        _RANGES: [
            {
                "from_value": 0,
                "to_value": None,
                "rate": "0",
                "fixed_amount": "0",
                "flat_amount": "0",
            }
        ]
    },
    problems=partial(range_problems, key=_RANGES, prices=_PRICES, may_touch=True),
    rate=rate_graduated_percentage,
    refused_aggregations=frozenset({"latest_agg"}),
)
