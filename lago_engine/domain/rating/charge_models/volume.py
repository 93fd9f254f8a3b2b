"""The volume model: the range that all units end in prices every one of them (charges §5.6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, quantize_to, to_wire
from lago_engine.domain.money import PRECISE_PLACES
from lago_engine.domain.rating.charge_models.amounts import per_unit, price_of
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage
from lago_engine.domain.rating.charge_models.ranges import BOUNDS, range_of, range_problems

_RANGES: Final = "volume_ranges"
_PRICES: Final = ("per_unit_amount", "flat_amount")


def rate_volume(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Price all units by one range; its flat amount is due without any usage too.

    Full units choose the range, and prorated ones are priced.
    """
    item = range_of(usage.full_units, properties[_RANGES])
    price, flat = price_of(item["per_unit_amount"]).amount, price_of(item["flat_amount"]).amount
    of_units = CONTEXT.multiply(usage.units, price)
    amount = CONTEXT.add(of_units, flat)
    return Rated(
        amount=amount,
        unit_amount=per_unit(amount, usage.full_units),
        amount_details={
            "flat_unit_amount": to_wire(flat),
            "per_unit_amount": to_wire(_price_of_full_units(usage, of_units, price)),
            "per_unit_total_amount": to_wire(of_units),
        },
    )


def _price_of_full_units(usage: Usage, of_units: Decimal, price: Decimal) -> Decimal:
    if usage.prorated is None:
        return price if usage.units else Decimal(0)
    return quantize_to(per_unit(of_units, usage.full_units), PRECISE_PLACES)


VOLUME: Final = ChargeModel(
    keys={_RANGES: (*BOUNDS, *_PRICES)},
    defaults={
        _RANGES: [{"from_value": 0, "to_value": None, "per_unit_amount": "0", "flat_amount": "0"}]
    },
    problems=partial(
        range_problems,
        key=_RANGES,
        prices=dict.fromkeys(_PRICES, "invalid_amount"),
        may_touch=False,
    ),
    rate=rate_volume,
)
