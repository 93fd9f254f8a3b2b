"""Exact decimals: the context every domain computation runs in, rounding, parsing and printing.

Python's default context silently rounds at 28 digits. The functions here never use it; code that
works with the operators `* / + -` does so inside `with precise():`.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    InvalidOperation,
    Overflow,
    localcontext,
)
from typing import Final

import msgspec

from lago_engine.errors import ValidationFailed

# An accepted number has at most DIGITS_MAX digits on each side of the point, so the product of two
# of them has at most 4 * DIGITS_MAX digits and is exact in CONTEXT.
DIGITS_MAX: Final = 60
PRECISION: Final = 256

CONTEXT: Final = Context(
    prec=PRECISION,
    rounding=ROUND_HALF_UP,
    traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")


def precise() -> AbstractContextManager[Context]:
    """Run a block in `CONTEXT`: 256 digits, half away from zero, floats refused."""
    return localcontext(CONTEXT)


def parse_decimal(
    value: str | int, *, field: str = "value", code: str = "invalid_value"
) -> Decimal:
    """A finite decimal from its text (`"12.50"`, `"-3"`, `"1e-3"`) or from an integer.

    Spaces, a bare point, digit separators, NaN and infinities are refused, and so are numbers of
    more than `DIGITS_MAX` digits before or after the point. Raises ValidationFailed {field: [code]}.
    """
    if isinstance(value, bool):
        raise ValidationFailed.of(field, code)
    # The length is bounded before Python's own conversion limits could come into play.
    text = value if isinstance(value, str) else format(Decimal(value), "f")
    if len(text) > 2 * DIGITS_MAX + 8 or _NUMBER.fullmatch(text) is None:
        raise ValidationFailed.of(field, code)
    number = Decimal(text)
    if number == 0:
        return Decimal(0)
    if number.adjusted() >= DIGITS_MAX or _fraction_digits(number) > DIGITS_MAX:
        raise ValidationFailed.of(field, code)
    return number


def _fraction_digits(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "the number is finite"
    return max(0, -exponent)


def to_wire(number: Decimal) -> str:
    """Plain text with at least one fractional digit: `"10.0"`, `"0.005"`; never an exponent.

    Source: api_conventions, scalars: "a whole decimal always prints at least one fractional digit".
    """
    assert number.is_finite()
    if number == 0:
        return "0.0"
    whole, _, fraction = format(number, "f").partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def as_json_number(number: Decimal) -> msgspec.Raw:
    """The same digits as a JSON number, for rates: `20` is sent as `20.0`, without a float."""
    return msgspec.Raw(to_wire(number).encode())


def quantize_to(number: Decimal, places: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Round to `places` decimals, half away from zero; negative `places` round to tens, hundreds."""
    return number.quantize(Decimal((0, (1,), -places)), rounding=rounding, context=CONTEXT)


def truncate(number: Decimal, places: int = 0) -> Decimal:
    """Cut towards zero after `places` decimals."""
    return quantize_to(number, places, ROUND_DOWN)


def ceil_to(number: Decimal, places: int = 0) -> Decimal:
    """Round towards +infinity at `places` decimals."""
    return quantize_to(number, places, ROUND_CEILING)


def floor_to(number: Decimal, places: int = 0) -> Decimal:
    """Round towards -infinity at `places` decimals."""
    return quantize_to(number, places, ROUND_FLOOR)


def round_half_up(number: Decimal) -> int:
    """The nearest integer, halves away from zero; exact for any number of digits."""
    return int(number.to_integral_value(rounding=ROUND_HALF_UP))


def round_ratio(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, halves away from zero, without a quotient.

    Integers only, so that a repeating quotient can never be mistaken for a half.
    """
    assert denominator > 0
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude
