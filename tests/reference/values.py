"""Values of usage events, slowly and obviously: numbers, texts, instants (metrics.md §4)."""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from typing import Any, NamedTuple

EXACT = decimal.Context(prec=5000, Emax=999_999, Emin=-999_999)
BILLABLE_END = Decimal(10) ** 60
BILLABLE_DECIMALS = 130
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


class Number(NamedTuple):
    """A JSON number as written."""

    text: str


def plain(value: Decimal) -> str:
    text = format(EXACT.plus(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def parse_number(text: str, pattern: re.Pattern[str]) -> Decimal | None:
    if not pattern.fullmatch(text):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa.strip("-").replace(".", "")) > 1000 or abs(int(exponent or 0)) > 400:
        return None
    return Decimal(text)


def numeric_value(properties: dict[str, Any], field: str) -> Decimal | None:
    """The property as a number if its text form is `-?digits[.digits]` or it is a JSON number; below 10^60 and of few decimals."""
    value = properties.get(field)
    number = None
    if isinstance(value, Number):
        number = parse_number(value.text, NUMBER)
    elif isinstance(value, str):
        number = parse_number(value, PLAIN_NUMBER)
    if number is None or abs(number) >= BILLABLE_END:
        return None
    return number if len(plain(number).partition(".")[2]) <= BILLABLE_DECIMALS else None


def text_form(value: Any) -> str | None:
    """The text values are compared by; None for null. Numbers have no exponent, the rest is compact JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Number):
        if "e" not in value.text.lower():
            return value.text
        number = parse_number(value.text, NUMBER)
        return value.text if number is None else plain(number)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ",".join(raw(item) for item in value) + "]"
    return "{" + ",".join(f"{raw(key)}:{raw(item)}" for key, item in value.items()) + "}"


def raw(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Number):
        return value.text
    return text_form(value) or "null"


def floor_ms(at_us: int) -> int:
    return at_us // 1000 * 1000
