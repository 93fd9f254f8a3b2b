"""Slow, obvious interpreter of metric expressions (metrics.md §5): tokens, then values while parsing."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from reference.values import NUMBER, Number, parse_number, text_form

EXACT = decimal.Context(prec=40_000, Emax=999_999, Emin=-999_999)
QUOTIENT = decimal.Context(prec=100, rounding=decimal.ROUND_HALF_UP, Emax=999_999, Emin=-999_999)
DIGITS_MAX = 10_000
TOKEN = re.compile(
    r" *(?:(?P<string>'[^']*')|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<variable>event\.(?:timestamp|code|properties\.[A-Za-z][A-Za-z0-9_]*))"
    r"|(?P<function>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>[-+*/(),]))"
)
ROUNDINGS = {
    "round": decimal.ROUND_HALF_UP,
    "ceil": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}
FUNCTIONS = [*ROUNDINGS, "concat", "least", "greatest"]
NAMES = {form: name for name in FUNCTIONS for form in (name, name.upper(), name.capitalize())}


class Invalid(Exception):
    """The text is no expression."""


class Failed(Exception):
    """The expression has no value for the event."""


class PropertyNumber:
    """A property that is a number, with its text for `concat`."""

    def __init__(self, number: Decimal, text: str) -> None:
        self.number, self.text = number, text


Value = Decimal | PropertyNumber | str
# A value is computed when it is asked for: parsing comes before every evaluation.
Lazy = Callable[[], Value]


def evaluate(text: str, code: str, timestamp_us: int, properties: dict[str, Any]) -> str:
    value = parse(text, code, timestamp_us, properties)()
    if isinstance(value, PropertyNumber):
        value = value.number
    if isinstance(value, str):
        return value
    written = plain(value)
    return written if "." in written else written + ".0"


def parse(text: str, code: str, timestamp_us: int, properties: dict[str, Any]) -> Lazy:
    if len(text.encode()) > 4096:
        raise Invalid
    tokens, at = [], 0
    while text[at:].strip(" "):
        match = TOKEN.match(text, at)
        if match is None:
            raise Invalid
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        at = match.end()
    return Parser(tokens, code, timestamp_us, properties).root()


def plain(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def number_of(value: Value) -> Decimal:
    if isinstance(value, str):
        raise Failed("Expected a decimal")
    return value.number if isinstance(value, PropertyNumber) else value


def text_of(value: Value) -> str:
    if isinstance(value, PropertyNumber):
        return value.text
    return value if isinstance(value, str) else plain(value)


def checked(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if len(number.as_tuple().digits) + max(exponent, 0) > DIGITS_MAX or -exponent > DIGITS_MAX:
        raise Failed("Number too large")
    return number


def operate(sign: str, left: Decimal, right: Decimal) -> Decimal:
    if sign == "/" and right == 0:
        raise Failed("Division by zero")
    operations = {
        "+": EXACT.add,
        "-": EXACT.subtract,
        "*": EXACT.multiply,
        "/": QUOTIENT.divide,
    }
    return checked(operations[sign](left, right))


def rounded(number: Decimal, places: Decimal, rounding: str) -> Decimal:
    cut = int(places)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if cut >= -exponent:
        return number
    if cut < -2 * DIGITS_MAX:
        cut = -2 * DIGITS_MAX
    result = number.quantize(Decimal((0, (1,), -cut)), rounding, EXACT)
    return checked(result) if result else Decimal(0)


def property_value(properties: dict[str, Any], name: str) -> Value:
    if name not in properties:
        raise Failed(f"Variable: {name} not found")
    found = properties[name]
    if found is None:
        return ""
    text = found.text if isinstance(found, Number) else text_form(found)
    assert text is not None
    if isinstance(found, str | Number):
        number = parse_number(re.sub(r"^\+(?=[0-9])", "", text), NUMBER)
        if number is not None:
            return PropertyNumber(number, text)
    return text


class Parser:
    def __init__(
        self,
        tokens: list[tuple[str, str]],
        code: str,
        timestamp_us: int,
        properties: dict[str, Any],
    ) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0
        self.code, self.timestamp_us, self.properties = code, timestamp_us, properties

    def root(self) -> Lazy:
        value = self.expr()
        if self.at < len(self.tokens):
            raise Invalid
        return value

    def take(self, *signs: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at] in [("sign", s) for s in signs]:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def expect(self, sign: str) -> None:
        if self.take(sign) is None:
            raise Invalid

    def expr(self) -> Lazy:
        self.depth += 1
        if self.depth > 64:
            raise Invalid
        value = self.chain(("+", "-"), lambda: self.chain(("*", "/"), self.atom))
        self.depth -= 1
        return value

    def chain(self, signs: tuple[str, ...], operand: Callable[[], Lazy]) -> Lazy:
        first, others = operand(), []
        while sign := self.take(*signs):
            others.append((sign, operand()))
        if not others:
            return first

        def compute() -> Value:
            value = number_of(first())
            for sign, other in others:
                value = operate(sign, value, number_of(other()))
            return value

        return compute

    def atom(self) -> Lazy:
        if self.take("-"):
            value = self.primary()
            return lambda: EXACT.minus(number_of(value()))
        return self.primary()

    def primary(self) -> Lazy:
        if self.take("("):
            value = self.expr()
            self.expect(")")
            return value
        if self.at == len(self.tokens):
            raise Invalid
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "string":
            return lambda: text[1:-1]
        if kind == "number":
            if len(text.replace(".", "")) > 1000:
                raise Invalid
            return lambda: Decimal(text)
        if kind == "variable":
            if text == "event.code":
                return lambda: self.code
            if text == "event.timestamp":
                return lambda: Decimal(self.timestamp_us // 1_000_000)
            return lambda: property_value(self.properties, text.split(".", 2)[2])
        if kind == "function" and text in NAMES:
            return self.function(NAMES[text])
        raise Invalid

    def function(self, name: str) -> Lazy:
        self.expect("(")
        arguments = [self.expr()]
        while self.take(","):
            arguments.append(self.expr())
        self.expect(")")
        if name == "concat":
            return lambda: "".join([text_of(argument()) for argument in arguments])
        if name in ROUNDINGS:
            if len(arguments) > 2:
                raise Invalid
            places = arguments[1] if len(arguments) == 2 else lambda: Decimal(0)
            return lambda: rounded(number_of(arguments[0]()), number_of(places()), ROUNDINGS[name])
        best = min if name == "least" else max
        return lambda: best([number_of(argument()) for argument in arguments])
