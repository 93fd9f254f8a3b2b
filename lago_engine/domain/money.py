"""Currencies and the way from a major-unit amount to the integer minor units of a document.

Source: api_conventions (scalars, currencies) and charges (from amount to fee).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from lago_engine.domain.decimals import CONTEXT, quantize_to, round_half_up

PRECISE_PLACES: Final = 15
"""Decimals kept of a `precise_*` amount."""

_CODES: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLF CLP CNY
COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRO MUR MVR MWK MXN MYR
MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLL SOS SRD STD SZL
THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""

_WHOLE: Final = "BIF CLP DJF GNF HUF ISK JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"

_UNUSUAL: Final = {
    **dict.fromkeys(_WHOLE.split(), 1),
    **dict.fromkeys(("BHD", "JOD", "KWD"), 1000),
    "CLF": 10_000,
    "MRO": 5,
}

CURRENCIES: Final[Mapping[str, int]] = MappingProxyType(
    {code: _UNUSUAL.get(code, 100) for code in _CODES.split()}
)
"""ISO 4217 code → minor units per major unit, for the 142 accepted currencies."""

# round(log10(minor units)); five khoums to the ouguiya count as one decimal.
_EXPONENTS: Final = {1: 0, 5: 1, 100: 2, 1000: 3, 10_000: 4}


def minor_units(currency: str) -> int:
    """Minor units per major unit: 100 for EUR, 1 for JPY. KeyError for an unknown code."""
    return CURRENCIES[currency]


def exponent(currency: str) -> int:
    """Decimals an amount of this currency is shown with: 2 for EUR, 0 for JPY, 1 for MRO."""
    return _EXPONENTS[CURRENCIES[currency]]


def to_minor(amount_major: Decimal, currency: str) -> int:
    """`amount_cents`: a major-unit amount in whole minor units, halves away from zero.

    One rounding. For the decimal currencies this equals rounding to `exponent` decimals first; for
    MRO (fifths) it is the only form that gives an integer.
    """
    return round_half_up(_scaled(amount_major, currency))


def precise_minor(amount_major: Decimal, currency: str) -> Decimal:
    """`precise_amount_cents`: the amount in minor units, kept to 15 decimals."""
    return quantize_to(_scaled(amount_major, currency), PRECISE_PLACES)


def truncated_minor(amount_major: Decimal, currency: str) -> int:
    """`unit_amount_cents`: a unit price in minor units, cut to an integer."""
    return int(_scaled(amount_major, currency))


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Minor units in major units, exactly: every divisor has a finite decimal expansion."""
    return precise_major(Decimal(amount_minor), currency)


def precise_major(amount_minor: Decimal, currency: str) -> Decimal:
    """An exact amount in minor units in major ones."""
    return CONTEXT.divide(amount_minor, Decimal(CURRENCIES[currency]))


def _scaled(amount_major: Decimal, currency: str) -> Decimal:
    return CONTEXT.multiply(amount_major, Decimal(CURRENCIES[currency]))
