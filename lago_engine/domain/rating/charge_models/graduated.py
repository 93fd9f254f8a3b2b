"""The graduated model: each range prices the units that fall into it (charges §5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, to_wire
from lago_engine.domain.rating.charge_models.amounts import per_unit, price_of
from lago_engine.domain.rating.charge_models.graduated_prorated import rate_prorated
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage
from lago_engine.domain.rating.charge_models.ranges import BOUNDS, range_problems, slices

_RANGES: Final = "graduated_ranges"
_PRICES: Final = ("per_unit_amount", "flat_amount")


def rate_graduated(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Price the units of each range they reach, and add its flat amount.

    The flat amount of the first range is due without any usage, of another one from its first
    fraction of a unit on. Prorated units are priced change by change, without details.
    """
    if usage.prorated is not None:
        return rate_prorated(usage.units, usage.prorated, properties[_RANGES])
    amount = Decimal(0)
    details = []
    for item, units in slices(usage.units, properties[_RANGES]):
        price, flat = price_of(item["per_unit_amount"]), price_of(item["flat_amount"])
        of_units = CONTEXT.multiply(units, price.amount)
        total = CONTEXT.add(of_units, flat.amount)
        amount = CONTEXT.add(amount, total)
        details.append(
            {
                "from_value": item["from_value"],
                "to_value": item["to_value"],
                "flat_unit_amount": flat.shown,
                "per_unit_amount": price.shown if units else "0.0",
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


GRADUATED: Final = ChargeModel(
    keys={_RANGES: (*BOUNDS, *_PRICES)},
    defaults={
        _RANGES: [{"from_value": 0, "to_value": None, "per_unit_amount": "0", "flat_amount": "0"}]
    },
    problems=partial(
        range_problems,
        key=_RANGES,
        prices=dict.fromkeys(_PRICES, "invalid_amount"),
        may_touch=True,
    ),
    rate=rate_graduated,
)
