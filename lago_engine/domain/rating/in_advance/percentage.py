"""The percentage model at the event: what each event adds to rate, fixed amounts and bounds (charges.md §5.5, §9)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from lago_engine.domain.decimals import CONTEXT, parse_decimal, to_wire
from lago_engine.domain.rating.charge_models.allowances import COUNTING, Free
from lago_engine.domain.rating.charge_models.amounts import optional_amount, percent_of
from lago_engine.domain.rating.charge_models.model import Rated, Usage
from lago_engine.domain.rating.charge_models.percentage import rate_percentage
from lago_engine.domain.rating.in_advance.counter import Allowance

_ZERO: Final = Decimal(0)
_BOUNDS: Final = ("per_transaction_min_amount", "per_transaction_max_amount")
_AS_IS: Final = ("rate", "fixed_fee_unit_amount")


def difference(after: Usage, before: Usage, properties: Mapping[str, Any]) -> Rated:
    """What counted events add: every event is worth the same, so the totals say it all."""
    return _difference(rate_percentage(after, properties), _or_nothing(before, properties))


def summed(
    usage: Usage,
    change: Decimal,
    delta: Decimal,
    allowance: Allowance | None,
    properties: Mapping[str, Any],
) -> tuple[Rated, Allowance | None]:
    """What an event adds to a sum of `usage`, itself included, and the allowances it leaves.

    change: its value. delta: the part of it that is billed. Allowances are used up in the order of billing.
    """
    bare = {key: value for key, value in properties.items() if key in ("rate", "fixed_amount")}
    before_units = CONTEXT.subtract(usage.units, delta)
    old = allowance or _untouched(properties)
    new = _after(old, change, properties)
    rated = _difference(
        _with_free(usage.units, usage.events_count, _free(new, properties), bare),
        _with_free(before_units, usage.events_count - 1, _free(old, properties), bare),
    )
    low, high = (optional_amount(properties, key) for key in _BOUNDS)
    if low is not None or high is not None:
        rated = _bounded(rated, _paid(old, delta), properties, low, high)
    return rated, new if _allowed(properties) != (0, _ZERO) else None


def _allowed(properties: Mapping[str, Any]) -> tuple[int, Decimal]:
    """(free events, free units); 0 where there is no such allowance."""
    units = optional_amount(properties, "free_units_per_total_aggregation")
    return properties.get("free_units_per_events") or 0, units or _ZERO


def _untouched(properties: Mapping[str, Any]) -> Allowance:
    events, units = _allowed(properties)
    return Allowance(events_left=0 if units else events, units_left=units)


def _after(old: Allowance, value: Decimal, properties: Mapping[str, Any]) -> Allowance:
    """One more event; with both allowances the running totals are those of the free events."""
    free_events, free_units = _allowed(properties)
    counts = old.totals < free_events if free_events else old.last <= free_units
    last = CONTEXT.add(old.last, value) if counts else old.last
    covered = min(old.units_left, max(value, _ZERO))
    return replace(
        old,
        totals=old.totals + counts,
        last=last,
        below=old.below + (counts and last < free_units),
        events_left=max(old.events_left - 1, 0),
        units_left=CONTEXT.subtract(old.units_left, covered),
    )


def _free(allowance: Allowance, properties: Mapping[str, Any]) -> Free:
    free_events, free_units = _allowed(properties)
    if not free_events and not free_units:
        return Free(_ZERO, 0)
    units = min(allowance.last, free_units) if free_units else allowance.last
    events = min((count for count in (free_events, allowance.below) if count), default=0)
    return Free(units, events)


def _with_free(units: Decimal, events: int, free: Free, properties: Mapping[str, Any]) -> Rated:
    """The model for units beyond what is free of them."""
    if units <= 0:
        events = 0
    paid_units = max(CONTEXT.subtract(units, free.units), _ZERO)
    paid_events = max(events - free.events, 0)
    fixed = optional_amount(properties, "fixed_amount") or _ZERO
    rate = parse_decimal(properties["rate"])
    of_units = percent_of(paid_units, rate)
    of_events = CONTEXT.multiply(Decimal(paid_events), fixed)
    return Rated(
        amount=CONTEXT.add(of_units, of_events),
        unit_amount=_ZERO,
        amount_details={
            "units": to_wire(units),
            "free_units": to_wire(free.units),
            "free_events": min(free.events, events),
            "paid_units": to_wire(paid_units),
            "rate": to_wire(rate),
            "per_unit_total_amount": to_wire(of_units),
            "paid_events": paid_events,
            "fixed_fee_unit_amount": to_wire(fixed) if paid_events else "0.0",
            "fixed_fee_total_amount": to_wire(of_events),
            "min_max_adjustment_total_amount": "0.0",
        },
    )


def _or_nothing(usage: Usage, properties: Mapping[str, Any]) -> Rated | None:
    return rate_percentage(usage, properties) if usage.units else None


def _difference(after: Rated, before: Rated | None) -> Rated:
    """Each numeric detail of the event alone; what is free is the rest of its units (charges.md §9)."""
    known = before.amount_details if before else {}
    details: dict[str, Any] = {}
    for key, value in after.amount_details.items():
        if key in _AS_IS:
            details[key] = value
        elif isinstance(value, int):
            details[key] = value - known.get(key, 0)
        else:
            details[key] = _minus(value, known.get(key, "0"))
    details["free_units"] = _minus(details["units"], details["paid_units"])
    amount = CONTEXT.subtract(after.amount, before.amount if before else _ZERO)
    return Rated(amount=amount, unit_amount=_ZERO, amount_details=details)


def _minus(one: str, other: str) -> str:
    return to_wire(CONTEXT.subtract(Decimal(one), Decimal(other)))


def _paid(old: Allowance, value: Decimal) -> Decimal | None:
    """What bounds per transaction apply to; None for a free event. One that ends the allowance pays its rest."""
    if old.units_left:
        return None if old.units_left > value else CONTEXT.subtract(value, old.units_left)
    return None if old.events_left else value


def _bounded(
    rated: Rated,
    paid: Decimal | None,
    properties: Mapping[str, Any],
    low: Decimal | None,
    high: Decimal | None,
) -> Rated:
    """The price of the event by itself, lifted to `low` or cut to `high`."""
    amount = _ZERO
    if paid is not None:
        fixed = optional_amount(properties, "fixed_amount") or _ZERO
        amount = CONTEXT.add(percent_of(paid, parse_decimal(properties["rate"])), fixed)
        if low is not None and amount < low:
            amount = low
        elif high is not None and amount > high:
            amount = high
    adjustment = to_wire(CONTEXT.subtract(amount, rated.amount))
    details = {**rated.amount_details, "min_max_adjustment_total_amount": adjustment}
    return replace(rated, amount=amount, amount_details=details)


def is_counted(aggregation_type: str) -> bool:
    """Whether every event adds one unit, so that no more need be known of it."""
    return aggregation_type in COUNTING
