"""Numbers in charge properties: amount strings and whole numbers (charges §4.1, §4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, parse_decimal
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


def optional_amount(properties: Mapping[str, Any], key: str) -> Decimal | None:
    """The amount under `key`; None when it is absent or null."""
    value = properties.get(key)
    return None if value is None else parse_decimal(value)


def per_unit(amount: Decimal, units: Decimal) -> Decimal:
    """The average price of a unit; of no units it is 0."""
    return CONTEXT.divide(amount, units) if units else Decimal(0)


def percent_of(units: Decimal, rate: Decimal) -> Decimal:
    """`rate` percent of `units`, exactly."""
    return CONTEXT.scaleb(CONTEXT.multiply(units, rate), -2)
