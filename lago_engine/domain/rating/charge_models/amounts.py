"""Numbers in charge properties: amount strings and whole numbers (charges §4.1, §4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from lago_engine.domain.decimals import CONTEXT, parse_decimal, to_wire
from lago_engine.errors import ValidationFailed

WHOLE_MAX: Final = 2**63 - 1


def is_amount(value: Any) -> bool:
    """Whether `value` is an amount string: text (not a number) of a finite decimal ≥ 0."""
    if not isinstance(value, str):
        return False
    try:
        return parse_decimal(value) >= 0
    except ValidationFailed:
        return False


def is_whole(value: Any, *, at_least: int) -> bool:
    """Whether `value` is a JSON integer from `at_least` to `WHOLE_MAX`; `true` is none."""
    return isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= WHOLE_MAX


class Price(NamedTuple):
    """A stored amount string: its value, and how it is shown."""

    amount: Decimal
    shown: str


@lru_cache(maxsize=8192)
def price_of(text: str) -> Price:
    """Of a stored property. The same few are read for every fee of a charge."""
    amount = parse_decimal(text)
    return Price(amount, to_wire(amount))


def optional_amount(properties: Mapping[str, Any], key: str) -> Decimal | None:
    """The amount under `key`; None when it is absent or null."""
    value = properties.get(key)
    return None if value is None else price_of(value).amount


def per_unit(amount: Decimal, units: Decimal) -> Decimal:
    """The average price of a unit; of no units it is 0."""
    return CONTEXT.divide(amount, units) if units else Decimal(0)


def percent_of(units: Decimal, rate: Decimal) -> Decimal:
    """`rate` percent of `units`, exactly."""
    return CONTEXT.scaleb(CONTEXT.multiply(units, rate), -2)
