"""Ranges of units: their rules (charges §4.2), and the units that fall into each.

A range is an object with `from_value`, `to_value` (null: no end) and the prices of its model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.amounts import is_amount, is_whole

BOUNDS: Final = ("from_value", "to_value")

Range = Mapping[str, Any]


def range_problems(
    properties: Mapping[str, Any],
    key: str,
    prices: Mapping[str, str],
    *,
    may_touch: bool,
) -> list[str]:
    """Codes for what is wrong with the ranges under `key`.

    prices: the code for each price of a range that is not an amount string.
    may_touch: a range may also begin at the very end of the one before it.
    """
    ranges = properties.get(key)
    if not isinstance(ranges, list) or not ranges:
        return [f"missing_{key}"]
    problems: list[str] = []
    end: Any = 0
    for position, item in enumerate(ranges):
        if not isinstance(item, Mapping):
            return [f"invalid_{key}"]
        problems += [code for name, code in prices.items() if not is_amount(item.get(name))]
        first, last = position == 0, position == len(ranges) - 1
        begins = (end, end + 1) if first or may_touch else (end + 1,)
        if not _is_bounded(item, begins, last=last):
            # Where the next range should begin is not known any more.
            return [*problems, f"invalid_{key}"]
        end = item.get("to_value")
    return problems


def _is_bounded(item: Range, begins: Sequence[int], *, last: bool) -> bool:
    start: Any = item.get("from_value")
    end = item.get("to_value")
    if not is_whole(start, at_least=0) or start not in begins:
        return False
    return end is None if last else is_whole(end, at_least=start + 1)


def slices(units: Decimal, ranges: Sequence[Range]) -> Iterator[tuple[Range, Decimal]]:
    """The ranges that `units` reach, in order, each with the units that fall into it.

    A range holds what lies above the end of the one before it, so it does not matter whether it is
    written `101-200` or `100-200`. The first one is reached by no units at all.
    """
    assert units >= 0
    lower = Decimal(0)
    for item in ranges:
        end = item["to_value"]
        if end is None or units <= end:
            yield item, CONTEXT.subtract(units, lower)
            return
        yield item, CONTEXT.subtract(Decimal(end), lower)
        lower = Decimal(end)
    raise AssertionError("the last range has no end")


def range_of(units: Decimal, ranges: Sequence[Range]) -> Range:
    """The range that `units` end in."""
    return next(item for item in ranges if item["to_value"] is None or units <= item["to_value"])
