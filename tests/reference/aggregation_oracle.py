"""Slow, obvious aggregations: every bucket from a plain list of events (metrics.md §6, §8, charges.md §7.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from reference.keeping_oracle import Group, Keep, Kept, kept_usage, total
from reference.values import EXACT, numeric_value, plain, text_form

# (filter_id, (key, values) pairs, group keys)
FilterSpec = tuple[bytes, Sequence[tuple[str, Sequence[str]]], Sequence[str]]
# (charge_id, metric code, aggregation type, field, recurring, group keys, filters in order)
ChargeSpec = tuple[bytes, str, str, str | None, bool, Sequence[str], Sequence[FilterSpec]]
# (charge_id, filter_id, group, units, events count, total if it is not the units, what else is kept)
UsageRow = tuple[bytes, bytes | None, Group, str, int, str | None, Kept | None]

NUMERIC = ("sum_agg", "max_agg", "latest_agg", "weighted_sum_agg")


class Event(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def timestamp_us(self) -> int: ...
    @property
    def received_at_us(self) -> int: ...
    @property
    def properties(self) -> dict[str, Any]: ...


def assigned_filter(filters: Sequence[FilterSpec], properties: dict[str, Any]) -> int | None:
    """Position of the one filter that takes the event; None is the default bucket."""
    matching = [
        index
        for index, (_, values, _) in enumerate(filters)
        if all(text_form(properties.get(key)) in accepted for key, accepted in values)
    ]
    if not matching:
        return None
    most = max(len(filters[index][1]) for index in matching)
    matching = [index for index in matching if len(filters[index][1]) == most]

    def narrower(a: int, b: int) -> bool:
        left = {key: set(values) for key, values in filters[a][1]}
        right = {key: set(values) for key, values in filters[b][1]}
        if left.keys() != right.keys() or left == right:
            return False
        return all(left[key] <= right[key] for key in left)

    return next(
        index for index in matching if not any(narrower(other, index) for other in matching)
    )


def is_used(charge: ChargeSpec, properties: dict[str, Any]) -> bool:
    _, _, aggregation, field, *_ = charge
    if aggregation == "count_agg":
        return True
    assert field is not None
    if aggregation in NUMERIC:
        return numeric_value(properties, field) is not None
    operation = properties.get("operation_type")
    return properties.get(field) is not None and operation in (None, "add", "remove")


def charge_usage(
    charge: ChargeSpec,
    named: Sequence[Event],
    start: int,
    end: int,
    period: tuple[int, int] | None,
    keep: Keep,
    day_starts: Sequence[int],
) -> list[UsageRow]:
    """Rows of one charge; named: all events of the external subscription id, in order of acceptance."""
    charge_id, code, aggregation, field, recurring, charge_keys, filters = charge
    selected = [
        event
        for event in named
        if event.code == code
        and event.timestamp_us < end
        and (recurring or start <= event.timestamp_us)
        and is_used(charge, event.properties)
    ]
    selected.sort(key=lambda event: (event.timestamp_us, event.received_at_us))
    rows = []
    for bucket in [*range(len(filters)), None]:
        filter_id = None if bucket is None else filters[bucket][0]
        keys = charge_keys if bucket is None else filters[bucket][2]
        groups: dict[Group, list[Event]] = {}
        for event in selected:
            if assigned_filter(filters, event.properties) == bucket:
                group = tuple(text_form(event.properties.get(key)) or None for key in keys)
                groups.setdefault(group, []).append(event)
        if not groups:
            groups[(None,) * len(keys)] = []
        ordered = sorted(
            groups, key=lambda group: [(text is None, (text or "").encode()) for text in group]
        )
        for group in ordered:
            found = aggregate(charge, groups[group], start, period)
            kept = kept_usage(
                keep,
                aggregation,
                field,
                groups[group],
                start,
                day_starts,
                lambda events: aggregate(charge, events, start, period)[0],
            )
            rows.append((charge_id, filter_id, group, *found, kept))
    return rows


def aggregate(
    charge: ChargeSpec,
    events: list[Event],
    start: int,
    period: tuple[int, int] | None,
) -> tuple[str, int, str | None]:
    """(units, events count, total if it is not the units); events: ascending."""
    _, _, aggregation, field, *_ = charge
    if aggregation == "count_agg":
        return str(len(events)), len(events), None
    assert field is not None
    if aggregation == "unique_count_agg":
        present: set[str] = set()
        for event in events:
            value = text_form(event.properties[field])
            assert value is not None
            if event.properties.get("operation_type") == "remove":
                present.discard(value)
            else:
                present.add(value)
        return str(len(present)), len(present), None
    values = []
    for event in events:
        value = numeric_value(event.properties, field)
        assert value is not None
        values.append(value)
    if aggregation == "sum_agg":
        return plain(total(values)), len(values), None
    if aggregation == "max_agg":
        return plain(max(values, default=Decimal(0))), len(values), None
    if aggregation == "latest_agg":
        latest = values[-1] if values else Decimal(0)
        return plain(max(latest, Decimal(0))), len(values), None
    assert period is not None
    points = [(event.timestamp_us, value) for event, value in zip(events, values, strict=True)]
    return weighted_sum(points, start, period)


def weighted_sum(
    points: list[tuple[int, Decimal]],
    start: int,
    period: tuple[int, int],
) -> tuple[str, int, str]:
    before = [value for at, value in points if at < start]
    inside = [(at, value) for at, value in points if start <= at]
    until_us, days = period
    end = -(-until_us // 1_000_000) * 1_000_000
    initial = total(before)
    area, height, at = Fraction(0), Fraction(initial), start
    for moment, value in inside:
        area += height * (moment - at)
        height, at = height + Fraction(value), moment
    area += height * (end - at)
    ceiling = math.ceil(area / (days * 86_400_000_000) * 10**20)
    units = EXACT.scaleb(Decimal(ceiling), -20)
    variation = total([value for _, value in inside])
    return plain(units), len(inside), plain(EXACT.add(initial, variation))
