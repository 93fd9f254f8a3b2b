"""Expressions of billable metrics (metrics.md §5): whether a text is one, and what it gives for an event."""

from __future__ import annotations

from typing import NamedTuple

from lago_engine._core import Expression


class ExpressionResult(NamedTuple):
    """Either a value (a number as plain decimal with a fraction: `12.0`) or the reason why there is none."""

    value: str | None
    error: str | None


def expression_problem(text: str) -> str | None:
    """Why the text is no expression; None if it is one. Bounded: 4096 bytes, 64 levels."""
    try:
        Expression(text)
    except ValueError as error:
        return str(error)
    return None


def evaluate_expression(
    text: str, *, code: str, timestamp_us: int, properties: bytes
) -> ExpressionResult:
    """The value for one event; properties: a JSON object. ValueError if the text is no expression.

    Errors are Lago's: `Variable: <name> not found`, `Expected a decimal`, and `Division by zero`.
    """
    return ExpressionResult(*Expression(text).evaluate(code, timestamp_us, properties))
