"""Rounding of aggregated units, as a billable metric asks for it (metrics §7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, Literal

from lago_engine.domain.decimals import ceil_to, floor_to, quantize_to

RoundingFunction = Literal["round", "ceil", "floor"]

_FUNCTIONS: Final[Mapping[RoundingFunction, Callable[[Decimal, int], Decimal]]] = {
    "round": quantize_to,
    "ceil": ceil_to,
    "floor": floor_to,
}


def round_units(
    units: Decimal, function: RoundingFunction | None, precision: int | None
) -> Decimal:
    """`units` rounded to `precision` decimals (0 when None); unchanged without a function.

    `round` goes half away from zero. A negative precision rounds to tens, hundreds …
    """
    if function is None:
        return units
    rounded = _FUNCTIONS[function](units, precision or 0)
    return rounded if rounded else Decimal(0)  # No negative zero.
