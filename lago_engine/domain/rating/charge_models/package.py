"""The package model: units are sold in whole packages, some of them free (charges §5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import CONTEXT, to_wire
from lago_engine.domain.rating.charge_models.amounts import is_amount, is_whole, per_unit, price_of
from lago_engine.domain.rating.charge_models.model import ChargeModel, Rated, Usage


def rate_package(usage: Usage, properties: Mapping[str, Any]) -> Rated:
    """Price every package that the units beyond the free ones begin; unit_amount is per paid unit."""
    if not usage.units:
        return Rated(amount=Decimal(0), unit_amount=Decimal(0), amount_details=_UNUSED)
    size, free = properties["package_size"], properties["free_units"]
    price = price_of(properties["amount"]).amount
    assert size > 0
    paid = max(CONTEXT.subtract(usage.units, Decimal(free)), Decimal(0))
    amount = CONTEXT.multiply(packages_of(paid, size), price)
    return Rated(
        amount=amount,
        unit_amount=per_unit(amount, paid),
        amount_details={
            "free_units": to_wire(Decimal(free)),
            "paid_units": to_wire(paid),
            "per_package_size": size,
            "per_package_unit_amount": to_wire(price),
        },
    )


def packages_of(paid_units: Decimal, size: int) -> Decimal:
    """How many packages of `size` hold the units."""
    whole, rest = CONTEXT.divmod(paid_units, Decimal(size))
    return CONTEXT.add(whole, Decimal(1)) if rest else whole


_UNUSED: Final = {
    "free_units": "0.0",
    "paid_units": "0.0",
    "per_package_size": 0,
    "per_package_unit_amount": "0.0",
}


def _problems(properties: Mapping[str, Any]) -> list[str]:
    checks = {
        "invalid_amount": is_amount(properties.get("amount")),
        "invalid_package_size": is_whole(properties.get("package_size"), at_least=1),
        "invalid_free_units": is_whole(properties.get("free_units"), at_least=0),
    }
    return [code for code, passed in checks.items() if not passed]


PACKAGE: Final = ChargeModel(
    keys={"amount": (), "package_size": (), "free_units": ()},
    defaults={"package_size": 1, "amount": "0", "free_units": 0},
    problems=_problems,
    rate=rate_package,
)
