"""Amount strings of charge properties (charges §4.1)."""

from __future__ import annotations

from typing import Any

from lago_engine.domain.decimals import parse_decimal
from lago_engine.errors import ValidationFailed


def is_amount(value: Any) -> bool:
    """Whether `value` is an amount string: text (not a number) of a finite decimal ≥ 0."""
    if not isinstance(value, str):
        return False
    try:
        return parse_decimal(value) >= 0
    except ValidationFailed:
        return False
