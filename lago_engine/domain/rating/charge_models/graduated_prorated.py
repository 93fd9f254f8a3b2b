"""The graduated model on prorated units: each change is priced in the ranges it passes through (charges §8)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.amounts import per_unit, price_of
from lago_engine.domain.rating.charge_models.model import Prorated, Rated
from lago_engine.domain.rating.charge_models.ranges import Range, slices


def rate_prorated(units: Decimal, prorated: Prorated, ranges: Sequence[Range]) -> Rated:
    """Price every change for its days, at what the units it adds or removes cost where the total then is.

    Flat amounts are not prorated: those of every range up to the highest total are due. Without prorated units only the
    first one is.
    """
    if not units:
        flat = price_of(ranges[0]["flat_amount"]).amount
        return Rated(amount=flat, unit_amount=per_unit(flat, prorated.full_units))
    total = peak = cost = due = Decimal(0)
    for step in prorated.steps:
        total = CONTEXT.add(total, step.units)
        peak = max(peak, total)
        cost_before, cost = cost, _cost(total, ranges)
        paid = CONTEXT.multiply(CONTEXT.subtract(cost, cost_before), Decimal(step.days))
        due = CONTEXT.add(due, paid)
    variable = max(CONTEXT.divide(due, Decimal(prorated.period_days)), Decimal(0))
    amount = CONTEXT.add(variable, _flat(peak, ranges))
    return Rated(amount=amount, unit_amount=per_unit(amount, total))


def _cost(total: Decimal, ranges: Sequence[Range]) -> Decimal:
    """What so many units cost for a whole period, flat amounts apart."""
    cost = Decimal(0)
    for item, units in slices(max(total, Decimal(0)), ranges):
        price = price_of(item["per_unit_amount"]).amount
        cost = CONTEXT.add(cost, CONTEXT.multiply(units, price))
    return cost


def _flat(peak: Decimal, ranges: Sequence[Range]) -> Decimal:
    flat = Decimal(0)
    for item, _ in slices(peak, ranges):
        flat = CONTEXT.add(flat, price_of(item["flat_amount"]).amount)
    return flat
