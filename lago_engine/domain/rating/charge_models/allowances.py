"""What the free allowances of the percentage model leave to pay (charges §5.5).

An allowance is a number of events, or of units over all of them; 0 means that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from lago_engine.domain.decimals import CONTEXT, ceil_to, floor_to
from lago_engine.domain.rating.charge_models.model import Usage

COUNTING: Final = frozenset({"count_agg", "unique_count_agg"})
"""Aggregations in which every event adds one unit, so that nothing more need be known of it."""

_ZERO: Final = Decimal(0)


class Free(NamedTuple):
    """The free units and the free events of a bucket."""

    units: Decimal
    events: int


class Run(NamedTuple):
    """Successive events that add the same value."""

    value: Decimal
    times: int


def free_part(usage: Usage, *, free_events: int, free_units: Decimal) -> Free:
    """What is free of the usage as a whole.

    It is read from the running totals of counted and summed units; other aggregations have none.
    """
    if not free_events and not free_units:
        return Free(_ZERO, 0)
    if usage.aggregation_type in COUNTING:
        return _of_count(int(floor_to(usage.units)), free_events, free_units)
    if usage.aggregation_type == "sum_agg":
        assert usage.values is not None, "allowances on a sum need the value of each event"
        return _of_sum(
            _running_totals(usage.values, free_events, free_units), free_events, free_units
        )
    return Free(_ZERO, free_events)


def _of_count(count: int, free_events: int, free_units: Decimal) -> Free:
    """The running totals are 1, 2, … `count`."""
    below = min(count, int(ceil_to(free_units)) - 1) if free_units else 0
    # With both allowances, the one by events counts alone once there are more events.
    if 0 < free_events < count:
        return Free(Decimal(free_events), _least_given(free_events, below))
    units = min(Decimal(count), free_units) if free_units else Decimal(count)
    return Free(units, _least_given(free_events, below))


def _of_sum(totals: Sequence[Decimal], free_events: int, free_units: Decimal) -> Free:
    below = sum(total < free_units for total in totals)
    last = totals[-1] if totals else _ZERO
    units = min(last, free_units) if free_units else last
    return Free(units, _least_given(free_events, below))


def _running_totals(
    values: Iterable[Decimal], free_events: int, free_units: Decimal
) -> list[Decimal]:
    """Those of the free events; without such an allowance, up to the first one beyond `free_units`."""
    totals: list[Decimal] = []
    total = _ZERO
    for value in values:
        if len(totals) == free_events if free_events else total > free_units:
            break
        total = CONTEXT.add(total, value)
        totals.append(total)
    return totals


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
    if value <= 0:
        return times
    whole, rest = CONTEXT.divmod(free_units, value)
    return min(times, int(whole) if rest else int(whole) - 1)
