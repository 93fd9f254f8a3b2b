"""The dynamic model: every event carries its own price (charges §5.7)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.rating.charge_models.amounts import per_unit
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage


def rate_dynamic(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """The sum of what the events say they cost; without units nothing is due."""
    assert usage.events_amount is not None
    amount = usage.events_amount if usage.units else Decimal(0)
    return Rated(amount=amount, unit_amount=per_unit(amount, usage.units))


def _problems(properties: Mapping[str, Any]) -> list[str]:
    return []


DYNAMIC: Final = ChargeModel(
    keys={},
    defaults={},
    problems=_problems,
    rate=rate_dynamic,
    only_aggregation="sum_agg",
    needs_amounts=True,
)
