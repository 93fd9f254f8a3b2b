"""The `amount_details` of a fee as formulas: the same ones on a printed invoice and in an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Protocol

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.package import packages_of
from lago_engine.domain.rating.denomination import UNIT_PLACES

Details = Mapping[str, Any]


class Numbers(Protocol):
    """How numbers are written for a reader; arguments are the wire's decimals as text."""

    def quantity(self, number: str) -> str: ...

    def unit_price(self, major: str) -> str: ...

    def rate(self, percent: Decimal) -> str: ...


def formulas(details: Details, units: str, numbers: Numbers) -> Iterator[str]:
    """How a charge model came to the amount; nothing for a model that only multiplies.

    units: those of the fee.
    """
    match details:
        case {"graduated_ranges": ranges} | {"graduated_percentage_ranges": ranges}:
            for item in ranges:
                yield from _range(item, numbers)
        case {"per_package_size": size, "paid_units": paid} if Decimal(paid) > 0:
            yield _packages(details, paid, size, units, numbers)
        case {"paid_events": _}:
            yield from _percentage(details, numbers)
        case {"flat_unit_amount": flat} if Decimal(flat) > 0:
            of_units = (units, numbers.unit_price(details["per_unit_amount"]))
            yield _sum(*_product(*of_units, numbers), numbers.unit_price(flat))


class InUnit:
    """Numbers whose prices are in a pricing unit, not in money."""

    def __init__(self, numbers: Numbers, short_name: str) -> None:
        self.quantity = numbers.quantity
        self.rate = numbers.rate
        self._short_name = short_name

    def unit_price(self, major: str) -> str:
        return f"{self.quantity(major)} {self._short_name}"


def conversion(unit: Details, numbers: Numbers) -> str:
    """What the `pricing_unit_details` of a fee were worth: `12.35 CR × €0.50`."""
    amount = CONTEXT.scaleb(Decimal(unit["amount_cents"]), -UNIT_PLACES)
    rate = numbers.unit_price(unit["conversion_rate"])
    return f"{InUnit(numbers, unit['short_name']).unit_price(str(amount))} × {rate}"


def _range(item: Details, numbers: Numbers) -> Iterator[str]:
    rate = item.get("rate")
    price = (
        numbers.unit_price(item["per_unit_amount"]) if rate is None else numbers.rate(Decimal(rate))
    )
    terms = list(_product(item["units"], price, numbers))
    if Decimal(item["flat_unit_amount"]) > 0:
        terms.append(numbers.unit_price(item["flat_unit_amount"]))
    if terms:
        total = numbers.unit_price(item["total_with_flat_amount"])
        yield f"{_bounds(item, numbers)}: {_sum(*terms)} = {total}"


def _bounds(item: Details, numbers: Numbers) -> str:
    start = numbers.quantity(str(item["from_value"]))
    end = item["to_value"]
    return f"≥ {start}" if end is None else f"{start} – {numbers.quantity(str(end))}"


def _packages(details: Details, paid: str, size: int, units: str, numbers: Numbers) -> str:
    packages = numbers.quantity(str(packages_of(Decimal(paid), size)))
    price = numbers.unit_price(details["per_package_unit_amount"])
    used = _less(units, details["free_units"], numbers)
    return f"{used} ÷ {numbers.quantity(str(size))} → {packages} × {price}"


def _percentage(details: Details, numbers: Numbers) -> Iterator[str]:
    terms = []
    if Decimal(details["per_unit_total_amount"]):
        units = _less(details["units"], details["free_units"], numbers)
        terms.append(f"{units} × {numbers.rate(Decimal(details['rate']))}")
    if Decimal(details["fixed_fee_total_amount"]):
        price = numbers.unit_price(details["fixed_fee_unit_amount"])
        terms.append(f"{numbers.quantity(str(details['paid_events']))} × {price}")
    adjustment = Decimal(details["min_max_adjustment_total_amount"])
    text = _sum(*terms)
    if adjustment:
        sign = "+" if adjustment > 0 else "−"
        size = numbers.unit_price(format(CONTEXT.abs(adjustment), "f"))
        text = f"{text} {sign} {size}".lstrip()
    if text:
        yield text


def _product(units: str, price: str, numbers: Numbers) -> Iterator[str]:
    if Decimal(units):
        yield f"{numbers.quantity(units)} × {price}"


def _less(units: str, free: str, numbers: Numbers) -> str:
    if not Decimal(free):
        return numbers.quantity(units)
    return f"({numbers.quantity(units)} − {numbers.quantity(free)})"


def _sum(*terms: str) -> str:
    return " + ".join(terms)
