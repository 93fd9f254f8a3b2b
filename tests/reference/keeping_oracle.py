"""Slow, obvious: what a charge keeps beside totals (metrics.md §8.2, §9, charges.md §5.5, §5.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from reference.values import EXACT, numeric_value, plain, text_form

Group = tuple[str | None, ...]
Steps = list[tuple[str, int]]
# (values with the number of successive equal ones, changes, sum of amounts, units by presentation tuple)
Kept = tuple[list[tuple[str, int]], tuple[str, Steps] | None, str | None, list[tuple[Group, str]]]


class Keep(NamedTuple):
    """What is asked for."""

    values: bool = False
    changes: bool = False
    amounts: bool = False
    presentation_keys: Sequence[str] = ()


class Event(Protocol):
    @property
    def timestamp_us(self) -> int: ...
    @property
    def properties(self) -> dict[str, Any]: ...
    @property
    def precise(self) -> str | None: ...


def kept_usage(
    keep: Keep,
    aggregation: str,
    field: str | None,
    events: Sequence[Any],
    start: int,
    day_starts: Sequence[int],
    units_of: Callable[[list[Any]], str],
) -> Kept | None:
    """events: used ones, ascending; those before `start` are carried over. units_of: the aggregation itself."""
    if not any(keep):
        return None
    values: list[tuple[str, int]] = []
    if keep.values:
        assert field is not None
        numbers = [plain(_number(event, field)) for event in events]
        values = [(value, len(list(run))) for value, run in groupby(numbers)]
    changes = None
    if keep.changes:
        assert field is not None
        changes = (
            unique_changes(events, field, start, day_starts)
            if aggregation == "unique_count_agg"
            else sum_changes(events, field, start, day_starts)
        )
    amount = None
    if keep.amounts:
        amount = plain(total([Decimal(event.precise or 0) for event in events]))
    return (
        values,
        changes,
        amount,
        breakdown(keep.presentation_keys, aggregation, field, events, units_of),
    )


def breakdown(
    keys: Sequence[str],
    aggregation: str,
    field: str | None,
    events: Sequence[Event],
    units_of: Callable[[list[Any]], str],
) -> list[tuple[Group, str]]:
    def tuple_of(event: Event) -> Group:
        return tuple(text_form(event.properties.get(key)) or None for key in keys)

    if not keys or not events:
        return []
    if aggregation == "latest_agg":
        assert field is not None
        return [(tuple_of(events[-1]), plain(_number(events[-1], field)))]
    tuples: dict[Group, list[Event]] = {}
    for event in events:
        tuples.setdefault(tuple_of(event), []).append(event)
    ordered = sorted(
        tuples, key=lambda each: [(text is None, (text or "").encode()) for text in each]
    )
    return [(each, units_of(tuples[each])) for each in ordered]


def sum_changes(
    events: Sequence[Event], field: str, start: int, day_starts: Sequence[int]
) -> tuple[str, Steps]:
    carried = total([_number(event, field) for event in events if event.timestamp_us < start])
    changes = [
        (_number(event, field), len(day_starts) + 1 - day_of(event.timestamp_us, day_starts))
        for event in events
        if start <= event.timestamp_us
    ]
    return plain(carried), steps(changes)


def unique_changes(
    events: Sequence[Event], field: str, start: int, day_starts: Sequence[int]
) -> tuple[str, Steps]:
    """Each value by itself: without removals undone on their day, then without what changes nothing."""
    found = []
    for value in {text_form(event.properties[field]) or "" for event in events}:
        history = [
            (event.timestamp_us, number, event.properties.get("operation_type") != "remove")
            for number, event in enumerate(events)
            if text_form(event.properties[field]) == value
        ]
        before = [change for change in history if change[0] < start]
        inside = [change for change in history if start <= change[0]]
        present = bool(before) and before[-1][2]
        since = (False, before[-1][0], before[-1][1]) if present else None
        for place, (at, number, adds) in enumerate(inside):
            undone = not adds and any(
                later_adds and day_of(later, day_starts) == day_of(at, day_starts)
                for later, _, later_adds in inside[place + 1 :]
            )
            if undone or adds == (since is not None):
                continue
            if adds:
                since = (True, at, number)
                continue
            assert since is not None
            first = day_of(since[1], day_starts) if since[0] else 0
            found.append((since, Decimal(1), day_of(at, day_starts) + 1 - first))
            found.append(((True, at, number), Decimal(-1), 0))
            since = None
        if since is not None:
            first = day_of(since[1], day_starts) if since[0] else 0
            found.append((since, Decimal(1), len(day_starts) + 1 - first))
    found.sort(key=lambda change: change[0])
    return "0", steps([(units, days) for _, units, days in found])


def steps(changes: list[tuple[Decimal, int]]) -> Steps:
    runs = groupby(changes, key=lambda change: (change[1], change[0] < 0))
    return [(plain(total([units for units, _ in run])), days) for (days, _), run in runs]


def day_of(at: int, day_starts: Sequence[int]) -> int:
    return sum(start <= at for start in day_starts)


def total(values: Sequence[Decimal]) -> Decimal:
    result = Decimal(0)
    for value in values:
        result = EXACT.add(result, value)
    return result


def _number(event: Event, field: str) -> Decimal:
    value = numeric_value(event.properties, field)
    assert value is not None
    return value
