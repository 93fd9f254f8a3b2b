"""The standard model: every unit costs the same (charges §5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.amounts import is_amount, per_unit, price_of
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage


def rate_standard(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Price every unit at `amount`. The unit amount is that of a full unit, and of no units 0."""
    price = price_of(properties["amount"]).amount
    assert price >= 0
    amount = CONTEXT.multiply(usage.units, price)
    if usage.prorated is not None:
        return Rated(amount=amount, unit_amount=per_unit(amount, usage.full_units))
    return Rated(amount=amount, unit_amount=price if usage.units else Decimal(0))


def _problems(properties: Mapping[str, Any]) -> list[str]:
    return [] if is_amount(properties.get("amount")) else ["invalid_amount"]


STANDARD: Final = ChargeModel(
    keys={"amount": ()}, defaults={"amount": "0"}, problems=_problems, rate=rate_standard
)
