"""The price of one event of a charge that is paid in advance (charges.md §9, metrics.md §10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.decimals import CONTEXT, ceil_to, quantize_to, to_wire
from lago_engine.domain.rating.charge_fees import RatedCharge
from lago_engine.domain.rating.charge_models.amounts import per_unit
from lago_engine.domain.rating.charge_models.model import Rated, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.denomination import Denomination
from lago_engine.domain.rating.in_advance import percentage
from lago_engine.domain.rating.in_advance.counter import Allowance, Counter, Rise, rise

_ZERO: Final = Decimal(0)
_NOTHING: Final = Rated(amount=_ZERO, unit_amount=_ZERO)
_GRADUATED_PERCENTAGE: Final = "graduated_percentage_ranges"


class Share(msgspec.Struct, frozen=True):
    """The part of the period that an event still has before it: `days` out of `length`."""

    days: int
    length: int

    def of(self, units: Decimal) -> Decimal:
        """Prorated units, rounded up at 5 decimals (metrics.md §9.4)."""
        return ceil_to(
            CONTEXT.divide(CONTEXT.multiply(units, Decimal(self.days)), Decimal(self.length)), 5
        )


class EventUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What an event did to its bucket, and what it said of its own price.

    delta: change of the units. units, events_count: of the bucket right after the event. precise_total_amount_cents:
    the price it carries, for the dynamic model. share: of a prorated charge.
    """

    delta: Decimal
    units: Decimal
    events_count: int
    precise_total_amount_cents: Decimal | None = None
    share: Share | None = None


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """How a bucket is priced: the charge model with the properties of the charge or of its filter."""

    charge_model: str
    properties: Mapping[str, Any]
    metric: BillableMetric
    prices: Denomination


def rate_event(
    pricing: Pricing, event: EventUsage, counter: Counter
) -> tuple[RatedCharge, Counter]:
    """The price of the units that the event newly bills, and the counter after it.

    It is the model of the total with the event less the model of the total without them. Units are not rounded.
    """
    step = rise(counter.unused, event.delta)
    prorated, level = counter.prorated, counter.level
    if event.share is not None:
        prorated = CONTEXT.add(prorated, event.share.of(step.delta))
        level = CONTEXT.add(level, event.delta)
    rated, allowance = _price(pricing, event, step, counter.allowance)
    amount = max(rated.amount, _ZERO)
    unit_amount = per_unit(pricing.prices.rounded(amount), step.units)
    rated = msgspec.structs.replace(rated, amount=amount, unit_amount=unit_amount)
    fee = RatedCharge.of(rated, pricing.prices, units=step.units, events_count=1)
    return fee, Counter(unused=step.unused, prorated=prorated, level=level, allowance=allowance)


def _price(
    pricing: Pricing, event: EventUsage, step: Rise, allowance: Allowance | None
) -> tuple[Rated, Allowance | None]:
    if pricing.charge_model == "dynamic":
        return _dynamic(event, pricing.prices), None
    after = Usage(
        units=max(event.units, _ZERO),
        events_count=event.events_count,
        aggregation_type=pricing.metric.aggregation_type,
    )
    if pricing.charge_model == "percentage" and not percentage.is_counted(after.aggregation_type):
        rated, left = percentage.summed(
            after, event.delta, step.delta, allowance, pricing.properties
        )
        return (rated if step.delta else _NOTHING), left
    if not step.delta:
        return _NOTHING, None
    if event.share is not None:
        shared = msgspec.structs.replace(after, units=event.share.of(step.delta))
        return _without_details(_model(shared, pricing)), None
    before = msgspec.structs.replace(
        after,
        units=max(CONTEXT.subtract(after.units, step.delta), _ZERO),
        events_count=max(after.events_count - 1, 0),
    )
    if pricing.charge_model == "percentage":
        return percentage.difference(after, before, pricing.properties), None
    return _telescoped(after, before, pricing), None


def _dynamic(event: EventUsage, prices: Denomination) -> Rated:
    """The event says what it costs, whatever units it has."""
    cents = event.precise_total_amount_cents or _ZERO
    amount = CONTEXT.divide(cents, Decimal(prices.minor_units))
    return Rated(amount=amount, unit_amount=_ZERO)


def _model(usage: Usage, pricing: Pricing) -> Rated:
    return CHARGE_MODELS[pricing.charge_model].rate(usage, pricing.properties)


def _telescoped(after: Usage, before: Usage, pricing: Pricing) -> Rated:
    """The first event of a period pays the flat amount of the first range: before it nothing was due."""
    priced = _model(after, pricing)
    earlier = _model(before, pricing) if before.units else _NOTHING
    details: Mapping[str, Any] = {}
    if _GRADUATED_PERCENTAGE in priced.amount_details:
        ranges = earlier.amount_details.get(_GRADUATED_PERCENTAGE, [])
        details = {
            _GRADUATED_PERCENTAGE: _ranges(priced.amount_details[_GRADUATED_PERCENTAGE], ranges)
        }
    amount = CONTEXT.subtract(priced.amount, earlier.amount)
    return Rated(amount=amount, unit_amount=_ZERO, amount_details=details)


def _without_details(rated: Rated) -> Rated:
    return msgspec.structs.replace(rated, amount_details={})


def _ranges(
    after: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the event adds to each range; the price of a unit includes flat amounts, to 2 decimals."""
    result = []
    for number, item in enumerate(after):
        known = before[number] if number < len(before) else {}
        added = {
            key: CONTEXT.subtract(Decimal(item[key]), Decimal(known.get(key, "0")))
            for key in ("flat_unit_amount", "units", "total_with_flat_amount")
        }
        per_unit = _ZERO
        if added["units"]:
            per_unit = CONTEXT.divide(added["total_with_flat_amount"], added["units"])
        shown = added | {"per_unit_total_amount": quantize_to(per_unit, 2)}
        result.append({**item, **{key: to_wire(value) for key, value in shown.items()}})
    return result
