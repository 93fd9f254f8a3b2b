"""Numbers, amounts and dates the way the reader's locale writes them.

Digits come from exact decimals and are never rounded here: an invoice shows what was computed. The
number of decimals of a currency is Lago's (api_conventions §2.2), not the locale data's: HUF has none.
"""

from __future__ import annotations

import copy
from datetime import date
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_interval
from babel.numbers import NumberPattern, get_currency_symbol, parse_pattern

from lago_engine.domain.decimals import precise
from lago_engine.domain.money import exponent, to_major

_NO_BREAK_SPACE = "\u00a0"


class Formats:
    """The formats of one locale and one currency. Immutable, so threads may share it."""

    def __init__(self, locale: str, currency: str) -> None:
        """locale: BCP 47 name such as `pt-BR`; currency: an accepted ISO 4217 code."""
        self._locale = Locale.parse(locale, sep="-")
        self._currency = currency
        self._money = _currency_pattern(self._locale, currency)
        self._percent = _with_decimals(self._locale.percent_formats[None], 0)
        self._number = _with_decimals(self._locale.decimal_formats[None], 0)

    @property
    def language(self) -> str:
        """ISO 639-1 code of the locale."""
        return self._locale.language

    @property
    def region(self) -> str | None:
        """ISO 3166-1 code of the locale, when its name has one."""
        return self._locale.territory

    def amount(self, cents: int) -> str:
        """Minor units as an amount of the currency: 123450 → `€1,234.50`."""
        return self._apply(self._money, to_major(cents, self._currency))

    def unit_price(self, major: str) -> str:
        """A price in major units with every digit it has: `0.000125` → `€0.000125`."""
        return self._apply(self._money, Decimal(major))

    def quantity(self, number: str) -> str:
        """A count of units with every digit it has: `1234.5` → `1,234.5`; `10.0` → `10`."""
        return self._apply(self._number, Decimal(number))

    def rate(self, percent: Decimal | float | int) -> str:
        """A tax rate in percent, as the wire's JSON number: 5.5 → `5.5%`."""
        return self._apply(self._percent, Decimal(str(percent)).scaleb(-2))

    def day(self, day: date) -> str:
        """A calendar date in words: `May 1, 2026`."""
        return format_date(day, "long", locale=self._locale)

    def period(self, first: date, last: date) -> str:
        """Both days included, without repeating what they share: `May 1 – 31, 2026`."""
        return format_interval(first, last, "yMMMd", locale=self._locale)

    def country(self, code: str) -> str:
        """The name of an ISO 3166-1 country; the code itself when the locale has no name for it."""
        name: str = self._locale.territories.get(code, code)
        return name

    def _apply(self, pattern: NumberPattern, value: Decimal) -> str:
        # Babel computes in the thread's decimal context, which would round at 28 digits.
        with precise():
            text: str = pattern.apply(
                value,
                self._locale,
                currency=self._currency,
                currency_digits=False,
                decimal_quantization=False,
            )
        return text


@lru_cache(maxsize=1024)
def formats_for(locale: str, currency: str) -> Formats:
    """The shared formats of a locale and a currency; parsing the patterns costs more than using them."""
    return Formats(locale, currency)


def _currency_pattern(locale: Locale, currency: str) -> NumberPattern:
    pattern = locale.currency_formats["standard"]
    symbol = get_currency_symbol(currency, locale)
    if "¤#" in pattern.pattern and symbol[-1].isalpha():
        # Locale data asks for a space when letters would touch digits: `BHD 1.000`, not `BHD1.000`.
        pattern = parse_pattern(pattern.pattern.replace("¤#", f"¤{_NO_BREAK_SPACE}#"))
    return _with_decimals(pattern, exponent(currency))


def _with_decimals(pattern: NumberPattern, decimals: int) -> NumberPattern:
    """A copy of the pattern that prints at least `decimals` decimals."""
    result = copy.copy(pattern)
    result.frac_prec = (decimals, decimals)
    return result
