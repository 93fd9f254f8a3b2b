"""Units paid by the day: recurring sums and unique counts of prorated charges (metrics §9)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.model import Changes, Step

PLACES: Final = 5
"""Prorated units are rounded up here, once."""


class PaidDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days of a usage window.

    carried: what was carried over is paid for them. period: days of the whole period, > 0.
    """

    carried: int
    period: int


def all_steps(changes: Changes, days: PaidDays) -> Sequence[Step]:
    """Every change of the units, those carried over first."""
    return (Step(changes.carried, days.carried), *changes.steps)


def prorated_units(steps: Sequence[Step], days: PaidDays) -> Decimal:
    """Σ units x days / days of the period, rounded up at `PLACES` decimals."""
    total = Decimal(0)
    for units, paid in steps:
        total = CONTEXT.add(total, CONTEXT.multiply(units, Decimal(paid)))
    whole, rest = CONTEXT.divmod(CONTEXT.scaleb(total, PLACES), Decimal(days.period))
    # The quotient is cut towards zero, so below zero it is rounded up already.
    return CONTEXT.scaleb(CONTEXT.add(whole, Decimal(rest > 0)), -PLACES)
