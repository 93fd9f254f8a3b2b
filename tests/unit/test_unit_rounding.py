from __future__ import annotations

from decimal import Decimal

import pytest

from lago_engine.domain.rating.rounding import RoundingFunction, round_units

# The table of metrics §7.
CASES: list[tuple[RoundingFunction, int | None, tuple[str, str, str]]] = [
    ("ceil", 1, ("7.1", "-2.5", "1250")),
    ("floor", 0, ("7", "-3", "1250")),
    ("round", 0, ("7", "-3", "1250")),
    ("round", None, ("7", "-3", "1250")),
    ("round", -2, ("0", "0", "1300")),
    ("ceil", -3, ("1000", "0", "2000")),
]


@pytest.mark.parametrize(("function", "precision", "expected"), CASES)
def test_units_are_rounded_as_the_metric_says(
    function: RoundingFunction, precision: int | None, expected: tuple[str, str, str]
) -> None:
    for units, result in zip(("7.06666", "-2.5", "1250"), expected, strict=True):
        rounded = round_units(Decimal(units), function, precision)
        assert rounded == Decimal(result)
        assert not (rounded.is_zero() and rounded.is_signed())


def test_without_a_function_nothing_is_rounded() -> None:
    assert round_units(Decimal("7.06666"), None, 2) == Decimal("7.06666")


def test_large_units_keep_their_digits() -> None:
    units = Decimal("123456789012345678901234567890123456789012.345")
    assert round_units(units, "round", 2) == Decimal(
        "123456789012345678901234567890123456789012.35"
    )
