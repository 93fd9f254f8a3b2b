"""What the free allowances of the percentage model leave to pay (charges §5.5).

An allowance is a number of events, or of units over all of them; 0 means that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from lago_engine.domain.decimals import CONTEXT, ceil_to, floor_to
from lago_engine.domain.rating.charge_models.model import Run, Usage

COUNTING: Final = frozenset({"count_agg", "unique_count_agg"})
"""Aggregations in which every event adds one unit, so that nothing more need be known of it."""

_ZERO: Final = Decimal(0)


class Free(NamedTuple):
    """The free units and the free events of a bucket."""

    units: Decimal
    events: int


def free_part(usage: Usage, *, free_events: int, free_units: Decimal) -> Free:
    """What is free of the usage as a whole.

    It is read from the running totals of counted and summed units; other aggregations have none.
    """
    if not free_events and not free_units:
        return Free(_ZERO, 0)
    if usage.aggregation_type in COUNTING:
        return _of_count(int(floor_to(usage.units)), free_events, free_units)
    if usage.aggregation_type == "sum_agg":
        return _of_sum(usage.values, free_events, free_units)
    return Free(_ZERO, free_events)


def _of_count(count: int, free_events: int, free_units: Decimal) -> Free:
    """The running totals are 1, 2, … `count`."""
    below = min(count, int(ceil_to(free_units)) - 1) if free_units else 0
    # With both allowances, the one by events counts alone once there are more events.
    if 0 < free_events < count:
        return Free(Decimal(free_events), _least_given(free_events, below))
    units = min(Decimal(count), free_units) if free_units else Decimal(count)
    return Free(units, _least_given(free_events, below))


def _of_sum(values: Iterable[Run], free_events: int, free_units: Decimal) -> Free:
    """The running totals are those of the free events.

    Without such an allowance they go on up to the first one beyond `free_units`.
    """
    total, count, below = _ZERO, 0, 0
    for value, times in values:
        left = CONTEXT.subtract(free_units, total)
        taken = min(times, free_events - count) if free_events else _until(value, times, left)
        below += _below(value, taken, left)
        total = CONTEXT.add(total, CONTEXT.multiply(value, Decimal(taken)))
        count += taken
        if taken < times:
            break
    units = min(total, free_units) if free_units else total
    return Free(units, _least_given(free_events, below))


def _until(value: Decimal, times: int, left: Decimal) -> int:
    """How many of successive equal events begin while not more than is `left` has been added."""
    if left < 0:
        return 0
    if value <= 0 or CONTEXT.multiply(value, Decimal(times - 1)) <= left:
        return times
    return int(CONTEXT.divide_int(left, value)) + 1


def _below(value: Decimal, times: int, left: Decimal) -> int:
    """After how many of successive equal events less than is `left` has been added."""
    all_added = CONTEXT.multiply(value, Decimal(times))
    if value > 0:
        if left <= 0 or all_added < left:
            return times if left > 0 else 0
        whole, rest = CONTEXT.divmod(left, value)
        return int(whole) if rest else int(whole) - 1
    if left > 0 or all_added >= left:
        return times if left > 0 else 0
    return times - int(CONTEXT.divide_int(left, value))


def _least_given(free_events: int, below: int) -> int:
    return min((count for count in (free_events, below) if count), default=0)


def paid_values(events: Iterable[Run], *, free_events: int, free_units: Decimal) -> list[Run]:
    """What each event that is not free has to pay for; the one that ends `free_units` pays its rest.

    With both allowances only `free_units` counts. An event that ends it exactly pays for 0 units.
    """
    paid: list[Run] = []
    if free_units:
        free_events = 0
    for value, times in events:
        left = times
        if free_units:
            covered = _covered(value, times, free_units)
            free_units = CONTEXT.subtract(free_units, CONTEXT.multiply(value, Decimal(covered)))
            left -= covered
            if left:
                paid.append(Run(CONTEXT.subtract(value, free_units), 1))
                free_units = _ZERO
                left -= 1
        elif free_events:
            covered = min(left, free_events)
            free_events -= covered
            left -= covered
        if left:
            paid.append(Run(value, left))
    return paid


def _covered(value: Decimal, times: int, free_units: Decimal) -> int:
    """How many events in a row are below what is then left of `free_units`."""
    if value <= 0 or CONTEXT.multiply(value, Decimal(times)) < free_units:
        return times
    whole, rest = CONTEXT.divmod(free_units, value)
    return int(whole) if rest else int(whole) - 1
