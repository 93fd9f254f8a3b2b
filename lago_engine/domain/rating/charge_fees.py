"""From aggregated usage of a charge to its amount: proration, unit rounding, charge model, money (charges.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.decimals import quantize_to
from lago_engine.domain.money import (
    PRECISE_PLACES,
    precise_major,
    precise_minor,
    to_minor,
    truncated_minor,
)
from lago_engine.domain.rating.charge_models.model import Prorated, Rated, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.prorating import PaidDays, all_steps, prorated_units
from lago_engine.domain.rating.rounding import round_units


class RatedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """The amount of one charge bucket.

    units: never prorated. amount_cents: rounded, minor units. precise_amount_cents: 15 decimals, minor units.
    unit_amount_cents: truncated (legacy). precise_unit_amount: 15 decimals, major units.
    """

    units: Decimal
    events_count: int
    amount_cents: int
    precise_amount_cents: Decimal
    unit_amount_cents: int
    precise_unit_amount: Decimal
    amount_details: Mapping[str, Any]


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
    usage = _measured(metric, used, currency, days)
    units = usage.full_units
    priced = _NOTHING
    if usage.units >= 0 and units >= 0:
        priced = CHARGE_MODELS[charge.charge_model].rate(usage, charge.properties)
    else:
        units = Decimal(0)
    if priced.amount < 0:
        units, priced = Decimal(0), _NOTHING
    return RatedCharge(
        units=units,
        events_count=used.events_count,
        amount_cents=to_minor(priced.amount, currency),
        precise_amount_cents=precise_minor(priced.amount, currency),
        unit_amount_cents=truncated_minor(priced.unit_amount, currency),
        precise_unit_amount=quantize_to(priced.unit_amount, PRECISE_PLACES),
        amount_details=priced.amount_details,
    )


def _measured(
    metric: BillableMetric, used: BucketUsage, currency: str, days: PaidDays | None
) -> Usage:
    """What the charge model is given: units as the metric rounds them, prorated before that."""
    units = _rounded(metric, used.units)
    prorated = None
    if used.changes is not None:
        assert days is not None, "changes are kept for proration"
        steps = all_steps(used.changes, days)
        prorated = Prorated(full_units=units, steps=steps, period_days=days.period)
        units = _rounded(metric, prorated_units(steps, days))
    amount_cents = used.events_amount_cents
    return Usage(
        units=units,
        events_count=used.events_count,
        aggregation_type=metric.aggregation_type,
        values=used.values,
        events_amount=None if amount_cents is None else precise_major(amount_cents, currency),
        prorated=prorated,
    )


def _rounded(metric: BillableMetric, units: Decimal) -> Decimal:
    return round_units(units, metric.rounding_function, metric.rounding_precision)
