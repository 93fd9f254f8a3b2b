from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.rating.charge_models.model import Rated, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.charge_models.standard import STANDARD, rate_standard

numbers = st.decimals(
    min_value=0, max_value=10**30, places=12, allow_nan=False, allow_infinity=False
)


def rate(units: Decimal, price: str) -> Rated:
    usage = Usage(units=units, events_count=1, aggregation_type="sum_agg")
    return rate_standard(usage, {"amount": price})


@pytest.mark.parametrize(
    ("units", "price", "amount", "unit_amount"),
    [
        ("12.345", "0.07", "0.86415", "0.07"),
        ("3", "0.005", "0.015", "0.005"),
        ("0", "5", "0", "0"),
        ("1000", "1e-3", "1", "0.001"),
        ("4", "0", "0", "0"),
        ("99999999999999999999.999999", "0.333333333333333", None, "0.333333333333333"),
    ],
)
def test_every_unit_costs_the_same(
    units: str, price: str, amount: str | None, unit_amount: str
) -> None:
    rated = rate(Decimal(units), price)
    expected = Fraction(units) * Fraction(price) if amount is None else Fraction(amount)
    assert Fraction(rated.amount) == expected
    assert rated.unit_amount == Decimal(unit_amount)
    assert rated.amount_details == {}


@given(units=numbers, more=numbers, price=numbers)
def test_the_amount_is_exact_and_more_units_never_cost_less(
    units: Decimal, more: Decimal, price: Decimal
) -> None:
    low = rate(units, str(price)).amount
    high = rate(max(units, more), str(price)).amount
    assert Fraction(low) == Fraction(units) * Fraction(price)
    assert high >= low


@pytest.mark.parametrize("amount", ["0", "12.50", "1e-3"])
def test_amount_strings_are_accepted(amount: str) -> None:
    assert STANDARD.problems({"amount": amount}) == []


@pytest.mark.parametrize(
    "amount", [None, 5, Decimal("0.5"), "", "-1", "abc", "NaN", "Infinity", True]
)
def test_anything_else_is_no_amount(amount: object) -> None:
    assert STANDARD.problems({"amount": amount}) == ["invalid_amount"]


@pytest.mark.parametrize("name", CHARGE_MODELS)
def test_defaults_are_valid_hold_only_stored_keys_and_cost_nothing(name: str) -> None:
    model = CHARGE_MODELS[name]
    usage = Usage(
        units=Decimal("12.5"),
        events_count=3,
        aggregation_type="sum_agg",
        events_amount=Decimal(0),
    )
    assert model.problems(model.defaults) == []
    assert set(model.defaults) <= set(model.keys)
    assert not model.needs_values(model.defaults, "sum_agg")
    assert model.rate(usage, model.defaults).amount == 0
