"""Decimals: parsing, printing, and roundings that never go through the default context."""

from __future__ import annotations

from decimal import Decimal, FloatOperation, Inexact, getcontext, localcontext
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.decimals import (
    DIGITS_MAX,
    as_json_number,
    ceil_to,
    floor_to,
    parse_decimal,
    precise,
    quantize_to,
    round_half_up,
    round_ratio,
    to_wire,
    truncate,
)
from lago_engine.errors import ValidationFailed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", "0.0"),
        ("-0.00", "0.0"),
        ("10", "10.0"),
        (10, "10.0"),
        (-7, "-7.0"),
        ("12.50", "12.5"),
        ("0007", "7.0"),
        ("1e-3", "0.001"),
        ("1E+3", "1000.0"),
        ("+5.25", "5.25"),
        ("0.005", "0.005"),
        ("100.100", "100.1"),
        ("1e59", "1" + "0" * 59 + ".0"),
        ("1e-60", "0." + "0" * 59 + "1"),
        (
            "123456789012345678901234567890.123456789012345",
            "123456789012345678901234567890.123456789012345",
        ),
    ],
)
def test_a_number_is_read_and_printed_plainly(value: str | int, expected: str) -> None:
    assert to_wire(parse_decimal(value)) == expected


@pytest.mark.parametrize(
    "value",
    ["", " 5", "5 ", "5.", ".5", "1_000", "1,000", "abc", "NaN", "Infinity", "-inf", "0x10", "١٢", "1e60",
     "1e-61", "1e99999", "9" * (DIGITS_MAX + 1), "0." + "1" * (DIGITS_MAX + 1), "1" * 5000, 10**70, True,
     "5\n"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_code_of_its_field(value: str | int) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parse_decimal(value, field="amount", code="invalid_amount")
    assert refused.value.details == {"amount": ["invalid_amount"]}


@pytest.mark.parametrize(("rate", "digits"), [("20", b"20.0"), ("5.50", b"5.5"), ("0", b"0.0")])
def test_a_rate_is_a_json_number(rate: str, digits: bytes) -> None:
    encoded = msgspec.json.encode({"rate": as_json_number(Decimal(rate))})
    assert encoded == b'{"rate":' + digits + b"}"


@pytest.mark.parametrize(
    ("number", "places", "rounded", "ceiled", "floored", "cut"),
    [
        # The first three rows of the unit rounding table, then halves away from zero.
        ("7.06666", 1, "7.1", "7.1", "7.0", "7.0"),
        ("7.06666", 0, "7.0", "8.0", "7.0", "7.0"),
        ("-2.5", 0, "-3.0", "-2.0", "-3.0", "-2.0"),
        ("-2.5", 1, "-2.5", "-2.5", "-2.5", "-2.5"),
        ("1250", -2, "1300.0", "1300.0", "1200.0", "1200.0"),
        ("-2.5", -2, "0.0", "0.0", "-100.0", "0.0"),
        ("22.83333333", 5, "22.83333", "22.83334", "22.83333", "22.83333"),
        ("0.5", 0, "1.0", "1.0", "0.0", "0.0"),
        ("-0.5", 0, "-1.0", "0.0", "-1.0", "0.0"),
    ],
)
def test_rounding_at_places(
    number: str, places: int, rounded: str, ceiled: str, floored: str, cut: str
) -> None:
    value = Decimal(number)
    results = [to_wire(f(value, places)) for f in (quantize_to, ceil_to, floor_to, truncate)]
    assert results == [rounded, ceiled, floored, cut]


@pytest.mark.parametrize(
    ("number", "expected"),
    [("0.5", 1), ("-0.5", -1), ("1.5", 2), ("2.5", 3), ("2.4999999999999999999999999999999999", 2),
     ("2250.5", 2251), ("-2250.5", -2251), ("9" * 90 + ".5", 10**90)],
)  # fmt: skip
def test_round_half_up_goes_away_from_zero_at_any_size(number: str, expected: int) -> None:
    assert round_half_up(Decimal(number)) == expected


@given(st.integers(-(10**80), 10**80), st.integers(1, 10**6))
def test_round_ratio_is_the_nearest_integer_with_halves_away_from_zero(n: int, d: int) -> None:
    exact = Fraction(n, d)
    nearest = round_ratio(n, d)
    assert abs(exact - nearest) <= Fraction(1, 2)
    if abs(exact - nearest) == Fraction(1, 2):
        assert abs(nearest) > abs(exact)


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=20, min_value=-(10**30), max_value=10**30
    )
)
def test_printing_and_reading_back_gives_the_same_number(number: Decimal) -> None:
    text = to_wire(number)
    assert "E" not in text
    assert "." in text
    assert parse_decimal(text) == number


def test_operators_inside_precise_are_exact_and_refuse_floats() -> None:
    third_of_a_lot = Decimal("1" * DIGITS_MAX + "." + "7" * DIGITS_MAX)
    with precise() as context:
        context.traps[Inexact] = True
        square = third_of_a_lot * third_of_a_lot
        with pytest.raises(FloatOperation):
            assert square > 0.1
    assert Fraction(square) == Fraction(third_of_a_lot) ** 2
    assert getcontext().prec == 28


def test_roundings_do_not_depend_on_the_callers_context() -> None:
    with localcontext() as context:
        context.prec = 3
        assert quantize_to(Decimal("123456.785"), 2) == Decimal("123456.79")
        assert round_half_up(Decimal("123456.5")) == 123457
        assert to_wire(Decimal("123456.785")) == "123456.785"
