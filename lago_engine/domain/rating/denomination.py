"""What the prices of a charge are in: the plan's currency, or a pricing unit that is worth some of it (charges.md §6, §10)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from lago_engine.domain.catalog.entities import AppliedPricingUnit, Charge
from lago_engine.domain.decimals import CONTEXT, quantize_to, round_half_up
from lago_engine.domain.money import (
    PRECISE_PLACES,
    minor_units,
    precise_minor,
    to_major,
    to_minor,
    truncated_minor,
)

UNIT_PLACES: Final = 2
"""Decimals of every pricing unit."""


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """An amount and the price of one of its units.

    amount_cents: rounded, minor units. precise_amount_cents: 15 decimals, minor units.
    unit_amount_cents: truncated (legacy). precise_unit_amount: 15 decimals, major units.
    """

    amount_cents: int
    precise_amount_cents: Decimal
    unit_amount_cents: int
    precise_unit_amount: Decimal


class UnitAmounts(Amounts, frozen=True, kw_only=True):
    """Amounts in a pricing unit, cents being its hundredths; conversion_rate: money for one of it, major units."""

    code: str
    conversion_rate: Decimal


class Priced(Amounts, frozen=True, kw_only=True):
    """Money; pricing_unit: what it is converted from, if the prices are not in money."""

    pricing_unit: UnitAmounts | None = None


class Denomination(NamedTuple):
    """A currency, and the pricing unit that prices are in instead of it."""

    currency: str
    unit: AppliedPricingUnit | None = None

    @classmethod
    def of(cls, charge: Charge, currency: str) -> Denomination:
        return cls(currency, charge.applied_pricing_unit)

    @property
    def minor_units(self) -> int:
        """Minor units of what prices are in."""
        return minor_units(self.currency) if self.unit is None else 10**UNIT_PLACES

    def rounded(self, amount: Decimal) -> Decimal:
        """An amount as it will be billed, in what prices are in, major units."""
        if self.unit is None:
            return to_major(to_minor(amount, self.currency), self.currency)
        return quantize_to(amount, UNIT_PLACES)

    def priced(self, amount: Decimal, unit_amount: Decimal = Decimal(0)) -> Priced:
        """The money for an amount that prices came to, major units. Pricing units are rounded before they are converted."""
        if self.unit is None:
            return _money(amount, unit_amount, self.currency)
        rate = self.unit.conversion_rate
        worth = CONTEXT.multiply(self.rounded(amount), rate)
        return _money(
            worth,
            CONTEXT.multiply(unit_amount, rate),
            self.currency,
            UnitAmounts(
                amount_cents=round_half_up(CONTEXT.scaleb(amount, UNIT_PLACES)),
                precise_amount_cents=quantize_to(
                    CONTEXT.scaleb(amount, UNIT_PLACES), PRECISE_PLACES
                ),
                unit_amount_cents=int(CONTEXT.scaleb(unit_amount, UNIT_PLACES)),
                precise_unit_amount=quantize_to(unit_amount, PRECISE_PLACES),
                code=self.unit.code,
                conversion_rate=rate,
            ),
        )


def _money(
    amount: Decimal, unit_amount: Decimal, currency: str, unit: UnitAmounts | None = None
) -> Priced:
    return Priced(
        amount_cents=to_minor(amount, currency),
        precise_amount_cents=precise_minor(amount, currency),
        unit_amount_cents=truncated_minor(unit_amount, currency),
        precise_unit_amount=quantize_to(unit_amount, PRECISE_PLACES),
        pricing_unit=unit,
    )
