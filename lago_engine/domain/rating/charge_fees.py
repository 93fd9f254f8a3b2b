"""From aggregated usage of a charge to its amount: proration, unit rounding, charge model, money (charges.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.model import Prorated, Rated, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.denomination import Denomination, Priced
from lago_engine.domain.rating.prorating import PaidDays, all_steps, prorated_units
from lago_engine.domain.rating.rounding import round_units


class RatedCharge(Priced, frozen=True, kw_only=True):
    """The amount of one charge bucket; units: never prorated."""

    units: Decimal
    events_count: int
    amount_details: Mapping[str, Any]

    @classmethod
    def of(
        cls, rated: Rated, prices: Denomination, *, units: Decimal, events_count: int
    ) -> RatedCharge:
        """What a charge model came to, in money."""
        return cls(
            units=units,
            events_count=events_count,
            amount_details=rated.amount_details,
            **msgspec.structs.asdict(prices.priced(rated.amount, rated.unit_amount)),
        )

    def free(self) -> RatedCharge:
        """The same units for nothing."""
        unit = self.pricing_unit
        return msgspec.structs.replace(
            self,
            amount_details={},
            pricing_unit=unit and msgspec.structs.replace(unit, **_FREE),
            **_FREE,
        )


_FREE: Final[Mapping[str, Any]] = {
    "amount_cents": 0,
    "precise_amount_cents": Decimal(0),
    "unit_amount_cents": 0,
    "precise_unit_amount": Decimal(0),
}
_NOTHING: Final = Rated(amount=Decimal(0), unit_amount=Decimal(0))


def rate_charge(
    charge: Charge,
    metric: BillableMetric,
    used: BucketUsage,
    currency: str,
    days: PaidDays | None = None,
) -> RatedCharge:
    """Price what a bucket of a charge has used. days: of the window, for usage that is prorated.

    Negative units and negative amounts are reset to nothing, with no details.
    """
    prices = Denomination.of(charge, currency)
    usage = _measured(metric, used, prices, days)
    units = usage.full_units
    priced = _NOTHING
    if usage.units >= 0 and units >= 0:
        priced = CHARGE_MODELS[charge.charge_model].rate(usage, charge.properties)
    else:
        units = Decimal(0)
    if priced.amount < 0:
        units, priced = Decimal(0), _NOTHING
    return RatedCharge.of(priced, prices, units=units, events_count=used.events_count)


def _measured(
    metric: BillableMetric, used: BucketUsage, prices: Denomination, days: PaidDays | None
) -> Usage:
    """What the charge model is given: units as the metric rounds them, prorated before that."""
    units = _rounded(metric, used.units)
    prorated = None
    if used.changes is not None:
        assert days is not None, "changes are kept for proration"
        steps = all_steps(used.changes, days)
        prorated = Prorated(full_units=units, steps=steps, period_days=days.period)
        units = _rounded(metric, prorated_units(steps, days))
    cents = used.events_amount_cents
    return Usage(
        units=units,
        events_count=used.events_count,
        aggregation_type=metric.aggregation_type,
        values=used.values,
        events_amount=None if cents is None else CONTEXT.divide(cents, Decimal(prices.minor_units)),
        prorated=prorated,
    )


def _rounded(metric: BillableMetric, units: Decimal) -> Decimal:
    return round_units(units, metric.rounding_function, metric.rounding_precision)
