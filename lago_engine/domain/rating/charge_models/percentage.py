"""The percentage model: a rate on the units and a fixed amount per event (charges §5.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, parse_decimal, to_wire
from lago_engine.domain.rating.charge_models.allowances import (
    COUNTING,
    free_part,
    paid_values,
)
from lago_engine.domain.rating.charge_models.amounts import (
    is_amount,
    is_whole,
    optional_amount,
    per_unit,
    percent_of,
    price_of,
)
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Run, Usage

_ZERO: Final = Decimal(0)
_BOUNDS: Final = ("per_transaction_min_amount", "per_transaction_max_amount")


def rate_percentage(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Price what the free allowances leave; with a bound per transaction, event by event.

    The units are an amount in major currency units; so are the properties, apart from `rate`.
    """
    rate = price_of(properties["rate"]).amount
    fixed_amount = optional_amount(properties, "fixed_amount") or _ZERO
    free_events, free_units = _allowances(properties)
    free = free_part(usage, free_events=free_events, free_units=free_units)
    paid_units = max(CONTEXT.subtract(usage.units, free.units), _ZERO)
    paid_events = max(usage.events_count - free.events, 0)
    of_units = percent_of(paid_units, rate)
    of_events = CONTEXT.multiply(Decimal(paid_events), fixed_amount) if usage.units else _ZERO
    amount = CONTEXT.add(of_units, of_events)
    adjustment = _ZERO
    low, high = (optional_amount(properties, key) for key in _BOUNDS)
    if low is not None or high is not None:
        paid = paid_values(_events(usage), free_events=free_events, free_units=free_units)
        bounded = _rate_events(paid, rate, fixed_amount, low, high)
        adjustment = CONTEXT.subtract(bounded, amount)
        amount = bounded
    return Rated(
        amount=amount,
        unit_amount=per_unit(amount, usage.units),
        amount_details={
            "units": to_wire(usage.units),
            "free_units": to_wire(free.units),
            "free_events": free.events,
            "paid_units": to_wire(paid_units),
            "rate": to_wire(rate),
            "per_unit_total_amount": to_wire(of_units),
            "paid_events": paid_events,
            "fixed_fee_unit_amount": to_wire(fixed_amount) if paid_events else "0.0",
            "fixed_fee_total_amount": to_wire(of_events),
            "min_max_adjustment_total_amount": to_wire(adjustment),
        },
    )


def _allowances(properties: Mapping[str, Any]) -> tuple[int, Decimal]:
    """(free events, free units); 0 where there is no such allowance."""
    units = optional_amount(properties, "free_units_per_total_aggregation")
    return properties.get("free_units_per_events") or 0, units or _ZERO


def _events(usage: Usage) -> Sequence[Run]:
    if usage.aggregation_type in COUNTING:
        return [Run(Decimal(1), usage.events_count)]
    assert usage.values or not usage.events_count, "bounds per transaction need every value"
    return _peak(usage.values) if usage.aggregation_type == "max_agg" else usage.values


def _peak(values: Sequence[Run]) -> Sequence[Run]:
    """The maximum at the first event that has it; the other events add nothing."""
    if not values:
        return ()
    largest = max(value for value, _ in values)
    first = next(place for place, run in enumerate(values) if run.value == largest)
    before = sum(run.times for run in values[:first])
    after = sum(run.times for run in values[first:]) - 1
    runs = (Run(_ZERO, before), Run(largest, 1), Run(_ZERO, after))
    return [run for run in runs if run.times]


def _rate_events(
    paid: Sequence[Run], rate: Decimal, fixed: Decimal, low: Decimal | None, high: Decimal | None
) -> Decimal:
    """The price of paid events, each lifted to `low` or cut to `high`."""
    total = _ZERO
    for value, times in paid:
        amount = CONTEXT.add(percent_of(value, rate), fixed)
        if low is not None and amount < low:
            amount = low
        elif high is not None and amount > high:
            amount = high
        total = CONTEXT.add(total, CONTEXT.multiply(amount, Decimal(times)))
    return total


def _needs_values(properties: Mapping[str, Any], aggregation_type: str) -> Sequence[str]:
    """Of counted events every value is known; else bounds ask for them, and allowances on a sum."""
    if aggregation_type in COUNTING:
        return ()
    keys = [key for key in _BOUNDS if properties.get(key) is not None]
    if aggregation_type == "sum_agg":
        free_events, free_units = _allowances(properties)
        keys += ["free_units_per_events"] if free_events else []
        keys += ["free_units_per_total_aggregation"] if free_units else []
    return keys


def _problems(properties: Mapping[str, Any]) -> list[str]:
    problems = [] if is_amount(properties.get("rate")) else ["invalid_rate"]
    problems += [
        code
        for key, (is_valid, code) in _OPTIONAL.items()
        if properties.get(key) is not None and not is_valid(properties[key])
    ]
    bounds = [properties.get(key) for key in _BOUNDS]
    if all(map(is_amount, bounds)):
        low, high = (parse_decimal(str(bound)) for bound in bounds)
        problems += ["per_transaction_max_lower_than_per_transaction_min"] if high < low else []
    return problems


def _is_positive_whole(value: Any) -> bool:
    return is_whole(value, at_least=1)


_OPTIONAL: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "fixed_amount": (is_amount, "invalid_fixed_amount"),
    "free_units_per_events": (_is_positive_whole, "invalid_free_units_per_events"),
    "free_units_per_total_aggregation": (is_amount, "invalid_free_units_per_total_aggregation"),
    **dict.fromkeys(_BOUNDS, (is_amount, "invalid_amount")),
}

PERCENTAGE: Final = ChargeModel(
    keys={"rate": (), **dict.fromkeys(_OPTIONAL, ())},
    defaults={"rate": "0"},
    problems=_problems,
    rate=rate_percentage,
    needs_values=_needs_values,
    refused_aggregations=frozenset({"latest_agg"}),
)
