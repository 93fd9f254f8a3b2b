"""From units of a fixed charge to its amount (charges.md §15.3, billing_periods.md §12)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import FixedCharge
from lago_engine.domain.decimals import CONTEXT, quantize_to, round_half_up
from lago_engine.domain.money import (
    PRECISE_PLACES,
    minor_units,
    precise_minor,
    to_minor,
    truncated_minor,
)
from lago_engine.domain.rating.charge_models.amounts import per_unit
from lago_engine.domain.rating.charge_models.model import Prorated, Rated, Step, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.unit_steps import PeriodUnits

WHOLE: Final = (1, 1)


class RatedUnits(msgspec.Struct, frozen=True, kw_only=True):
    """The amount of a fixed charge; members as those of a fee."""

    units: Decimal
    amount_cents: int
    precise_amount_cents: Decimal
    unit_amount_cents: int
    precise_unit_amount: Decimal
    amount_details: Mapping[str, Any] = {}

    @property
    def is_nothing(self) -> bool:
        """Whether no fee is kept for it."""
        return self.units == 0 and self.amount_cents == 0


NOTHING: Final = RatedUnits(
    units=Decimal(0),
    amount_cents=0,
    precise_amount_cents=Decimal(0),
    unit_amount_cents=0,
    precise_unit_amount=Decimal(0),
)


def rate_units(fixed_charge: FixedCharge, units: PeriodUnits, currency: str) -> RatedUnits:
    """Price the units of a period. The full ones are shown, and choose the range of a volume."""
    priced = _rate(fixed_charge, units)
    return RatedUnits(
        units=units.full,
        amount_cents=to_minor(priced.amount, currency),
        precise_amount_cents=precise_minor(priced.amount, currency),
        unit_amount_cents=truncated_minor(priced.unit_amount, currency),
        precise_unit_amount=quantize_to(priced.unit_amount, PRECISE_PLACES),
        amount_details=priced.amount_details,
    )


def rate_increase(
    fixed_charge: FixedCharge,
    units: Decimal,
    billed: Decimal | None,
    currency: str,
    share: tuple[int, int] = WHOLE,
) -> RatedUnits:
    """What `units` cost more than those billed for the period already, None when nothing was; never less than nothing.

    share: the days that are left out of all of the period's, where units are paid by the day.
    """
    delta = units if billed is None else CONTEXT.subtract(units, billed)
    if billed is not None and delta <= 0:
        return NOTHING
    amount = _amount(fixed_charge, units)
    if billed is not None:
        amount = CONTEXT.subtract(amount, _amount(fixed_charge, billed))
    days, of = share
    # A price that falls with the units can make more of them cheaper; nothing is given back.
    more = CONTEXT.multiply(max(amount, Decimal(0)), Decimal(days))
    scaled = CONTEXT.multiply(more, Decimal(minor_units(currency)))
    amount_cents = round_half_up(CONTEXT.divide(scaled, Decimal(of)))
    exact = CONTEXT.divide(more, Decimal(of))
    return RatedUnits(
        units=delta,
        amount_cents=amount_cents,
        precise_amount_cents=precise_minor(exact, currency),
        unit_amount_cents=round_half_up(per_unit(Decimal(amount_cents), delta)),
        precise_unit_amount=quantize_to(per_unit(exact, delta), PRECISE_PLACES),
    )


def _amount(fixed_charge: FixedCharge, units: Decimal) -> Decimal:
    """What so many units cost for a whole period."""
    usage = Usage(units=units, events_count=0, aggregation_type="")
    return CHARGE_MODELS[fixed_charge.charge_model].rate(usage, fixed_charge.properties).amount


def _rate(fixed_charge: FixedCharge, units: PeriodUnits) -> Rated:
    prorated = None
    if fixed_charge.prorated:
        # All full units pass through the ranges at once, and the share of them that is paid is paid of each.
        steps = (Step(units.full, units.paid),) if units.full else ()
        share_of = units.full or Decimal(1)
        prorated = Prorated(full_units=units.full, steps=steps, period_days=share_of)
    usage = Usage(units=units.paid, events_count=0, aggregation_type="", prorated=prorated)
    return CHARGE_MODELS[fixed_charge.charge_model].rate(usage, fixed_charge.properties)
