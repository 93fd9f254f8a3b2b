"""What is billed only once: the high-water mark of a bucket in a period, and its allowances (metrics.md §10)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from lago_engine.domain.decimals import CONTEXT

_ZERO: Final = Decimal(0)


class Allowance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the free allowances of a percentage charge on a sum are used up (charges.md §5.5).

    totals: how many running totals count; last: the latest of them; below: how many of them lie below
    `free_units_per_total_aggregation`. events_left, units_left: what is left for bounds per transaction.
    """

    totals: int = 0
    last: Decimal = _ZERO
    below: int = 0
    events_left: int = 0
    units_left: Decimal = _ZERO


class Counter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the billed events of a bucket in one period leave behind, where totals do not say it.

    unused: units that are billed and not in use at present, which is the maximum less the current level; they come back
    without being billed again. prorated, level: of a prorated charge, the units billed as prorated, and the change of the level
    since the period began. allowance: of percentage charges on a sum.
    """

    unused: Decimal = _ZERO
    prorated: Decimal = _ZERO
    level: Decimal = _ZERO
    allowance: Allowance | None = None


NOTHING_BILLED: Final = Counter()


class Rise(NamedTuple):
    """What a change of the level bills.

    delta: units above everything billed before. units: those the fee shows. unused: billed and not in use after it.
    """

    delta: Decimal
    units: Decimal
    unused: Decimal


def rise(unused: Decimal, change: Decimal) -> Rise:
    """Bill the part of a change that exceeds what is billed and not in use.

    Nothing is ever given back inside a period; what is freed is there to be used again.
    """
    if change <= 0:
        return Rise(_ZERO, _ZERO, CONTEXT.subtract(unused, change))
    delta = max(CONTEXT.subtract(change, unused), _ZERO)
    left = max(CONTEXT.subtract(unused, change), _ZERO)
    return Rise(delta, delta or change, left)
