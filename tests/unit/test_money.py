"""Currencies and the rounding from a major-unit amount to minor units."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.money import (
    CURRENCIES,
    exponent,
    minor_units,
    precise_minor,
    to_major,
    to_minor,
    truncated_minor,
)

WHOLE = "BIF CLP DJF GNF HUF ISK JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"


def test_there_are_142_currencies_with_five_sizes() -> None:
    assert len(CURRENCIES) == 142
    assert {code for code, units in CURRENCIES.items() if units == 1} == set(WHOLE.split())
    assert {code for code, units in CURRENCIES.items() if units == 1000} == {"BHD", "JOD", "KWD"}
    assert {code for code, units in CURRENCIES.items() if units not in (1, 100, 1000)} == {
        "CLF",
        "MRO",
    }


@pytest.mark.parametrize(
    ("code", "units", "decimals"),
    [
        ("EUR", 100, 2),
        ("JPY", 1, 0),
        ("HUF", 1, 0),
        ("KWD", 1000, 3),
        ("CLF", 10_000, 4),
        ("MRO", 5, 1),
    ],
)
def test_size_and_shown_decimals(code: str, units: int, decimals: int) -> None:
    assert minor_units(code) == units
    assert exponent(code) == decimals


def test_an_unknown_currency_is_not_guessed() -> None:
    with pytest.raises(KeyError):
        minor_units("ZZZ")


@pytest.mark.parametrize(
    ("amount", "code", "cents", "precise_cents", "truncated"),
    [
        ("0.015", "EUR", 2, "1.5", 1),
        ("0.005", "EUR", 1, "0.5", 0),
        ("-0.005", "EUR", -1, "-0.5", 0),
        ("68.50002", "EUR", 6850, "6850.002", 6850),
        ("500.5", "JPY", 501, "500.5", 500),
        ("1.2345", "KWD", 1235, "1234.5", 1234),
        ("0.00005", "CLF", 1, "0.5", 0),
        ("1.1", "MRO", 6, "5.5", 5),
        ("0.00333333333333333333", "EUR", 0, "0.333333333333333", 0),
        ("12345678901234567890123456789012.345", "EUR", 1234567890123456789012345678901235,
         "1234567890123456789012345678901234.5", 1234567890123456789012345678901234),
    ],
)  # fmt: skip
def test_amount_to_fee(
    amount: str, code: str, cents: int, precise_cents: str, truncated: int
) -> None:
    value = Decimal(amount)
    assert to_minor(value, code) == cents
    assert precise_minor(value, code) == Decimal(precise_cents)
    assert truncated_minor(value, code) == truncated


@given(
    st.decimals(places=12, min_value=-(10**15), max_value=10**15),
    st.sampled_from(sorted(set(CURRENCIES) - {"MRO"})),
)
def test_one_rounding_equals_rounding_to_the_shown_decimals_first(
    amount: Decimal, code: str
) -> None:
    places = Decimal(1).scaleb(-exponent(code))
    literal = amount.quantize(places, rounding=ROUND_HALF_UP) * 10 ** exponent(code)
    assert to_minor(amount, code) == literal


@given(st.integers(-(10**40), 10**40), st.sampled_from(sorted(CURRENCIES)))
def test_minor_to_major_and_back(amount_minor: int, code: str) -> None:
    assert to_minor(to_major(amount_minor, code), code) == amount_minor


def test_the_callers_context_has_no_say() -> None:
    with localcontext() as context:
        context.prec = 2
        assert to_minor(Decimal("98765.434999"), "EUR") == 9_876_543
        assert precise_minor(Decimal("98765.434999"), "EUR") == Decimal("9876543.4999")
