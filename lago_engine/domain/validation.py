"""Reading the fields of a request: the wire's coercions, and its codes per field in check order.

A reader gives the value, or None when the field is absent, null, of the wrong shape, or refused; what it
refused is recorded, and `raise_failures` raises everything recorded so far as one 422. `missing` names the
code for an absent or blank field; without it the field is optional. Source: api_conventions §2, §4.4, §5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from lago_engine.domain.decimals import parse_decimal
from lago_engine.domain.money import CURRENCIES
from lago_engine.domain.timezones import is_timezone
from lago_engine.errors import ValidationFailed

MANDATORY: Final = "value_is_mandatory"
INVALID: Final = "value_is_invalid"
ALREADY_EXISTS: Final = "value_already_exist"
OUT_OF_RANGE: Final = "value_is_out_of_range"
TOO_LONG: Final = "value_is_too_long"
NOT_A_NUMBER: Final = "is not a number"
NOT_SUPPORTED_YET: Final = "not_supported_yet"
"""What the specification knows and this version does not build: refused, never ignored."""

INTEGER_MAX: Final = 2**63 - 1
DAYS_MAX: Final = 36_500
"""A hundred years: terms and grace periods stay within what a calendar can hold."""

METADATA_KEYS_MAX: Final = 50
METADATA_KEY_LENGTH_MAX: Final = 100
METADATA_VALUE_LENGTH_MAX: Final = 255

# ISO 3166-1 alpha-2, and XK.
_COUNTRIES: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES: Final = frozenset(_COUNTRIES.split())
LOCALES: Final = frozenset({"en", "fr", "nb", "de", "it", "es", "sv", "pt-BR", "zh-TW"})

_BOOLEANS: Final[Mapping[object, bool]] = {"true": True, "1": True, "false": False, "0": False}
_EMAIL: Final = re.compile(r"[^@\s,]+@[^@\s,.]+(\.[^@\s,.]+)+")
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_DASHES: Final = dict.fromkeys(
    map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-"
)


class Checker:
    """Reads one JSON object (numbers are int or Decimal, never float) and collects refusals."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._failures: dict[str, list[str]] = {}

    def fail(self, field: str, code: str) -> None:
        """Records `code` for `field`, once."""
        codes = self._failures.setdefault(field, [])
        if code not in codes:
            codes.append(code)

    def raise_failures(self) -> None:
        """Raises ValidationFailed with everything recorded, if anything was."""
        if self._failures:
            raise ValidationFailed(self._failures)

    # --- presence and shape --------------------------------------------------------------------

    def scalar(self, field: str) -> Any:
        """The value, or None when it is absent, null, or an array or object (dropped as absent)."""
        value = self.values.get(field)
        assert not isinstance(value, float), "request numbers are decoded to Decimal"
        return None if isinstance(value, list | Mapping) else value

    def array(self, field: str) -> list[Any] | None:
        """The array, or None when the value is anything else."""
        value = self.values.get(field)
        return value if isinstance(value, list) else None

    def mapping(self, field: str) -> Mapping[str, Any] | None:
        """The object, or None when the value is anything else."""
        value = self.values.get(field)
        return value if isinstance(value, Mapping) else None

    def nested(self, field: str) -> Checker:
        """A checker of the object in `field` (empty when there is none); failures go to this one."""
        inner = Checker(self.mapping(field) or {})
        inner._failures = self._failures
        return inner

    def read(self, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """Every field of `readers`, as on creation."""
        return {field: read(self, field) for field, read in readers.items()}

    def read_present(self, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """The fields the request names with a scalar or null: what an update touches."""
        return {
            field: read(self, field)
            for field, read in readers.items()
            if field in self.values and not isinstance(self.values[field], list | Mapping)
        }

    def refuse_unbuilt(self, *fields: str) -> None:
        """Records `not_supported_yet` for each field that says more than null, false, 0 or empty."""
        for field in fields:
            if not is_empty(self.values.get(field)):
                self.fail(field, NOT_SUPPORTED_YET)

    # --- scalars -------------------------------------------------------------------------------

    def text(
        self, field: str, *, missing: str | None = None, max_length: int | None = None
    ) -> str | None:
        """A string without NUL characters; numbers become their text."""
        value = self.scalar(field)
        if isinstance(value, bool):
            self.fail(field, INVALID)
            return None
        text = None if value is None else str(value).replace("\0", "")
        if text is None or not text.strip():
            self._fail_missing(field, missing)
            return None if missing else text
        if max_length is not None and len(text) > max_length:
            self.fail(field, TOO_LONG)
            return None
        return text

    def mandatory_text(self, field: str) -> str:
        """A string that is not blank; "" stands for a refused one until `raise_failures`."""
        return self.text(field, missing=MANDATORY) or ""

    def boolean(self, field: str, *, missing: str | None = None) -> bool | None:
        """True or false, also as `"true"`, `"false"`, `"1"`, `"0"`, 1 or 0."""
        value = self.scalar(field)
        if value is None or value == "":
            self._fail_missing(field, missing)
            return None
        if isinstance(value, bool):
            return value
        known = _BOOLEANS.get(str(value))
        if known is None:
            self.fail(field, INVALID)
        return known

    def decimal(
        self, field: str, *, missing: str | None = None, at_least: int | None = None
    ) -> Decimal | None:
        """A decimal, from a number or its text."""
        value = self.scalar(field)
        if value is None or value == "":
            self._fail_missing(field, missing)
            return None
        number = self._number(field, value)
        if number is not None and at_least is not None and number < at_least:
            self.fail(field, OUT_OF_RANGE)
            return None
        return number

    def integer(
        self,
        field: str,
        *,
        missing: str | None = None,
        at_least: int = -INTEGER_MAX,
        at_most: int = INTEGER_MAX,
    ) -> int | None:
        """A whole number, from a number or its text; a fraction is refused, not cut."""
        number = self.decimal(field, missing=missing)
        if number is None:
            return None
        if number != number.to_integral_value():
            self.fail(field, INVALID)
            return None
        if not at_least <= number <= at_most:
            self.fail(field, OUT_OF_RANGE)
            return None
        return int(number)

    def choice(
        self,
        field: str,
        allowed: Collection[str],
        *,
        missing: str | None = None,
        unknown: str = INVALID,
        later: Collection[str] = (),
    ) -> str | None:
        """One of `allowed`. `later` are words of the wire that this version does not build."""
        value = self.scalar(field)
        if value is None or value == "":
            self._fail_missing(field, missing)
            return None
        if value in allowed:
            return str(value)
        self.fail(field, NOT_SUPPORTED_YET if value in later else unknown)
        return None

    # --- words of the wire ---------------------------------------------------------------------

    def currency(self, field: str, *, missing: str | None = None) -> str | None:
        return self.choice(field, CURRENCIES, missing=missing)

    def locale(self, field: str, *, missing: str | None = None) -> str | None:
        return self.choice(field, LOCALES, missing=missing, unknown="not_a_valid_language_code")

    def country(self, field: str) -> str | None:
        """An ISO 3166-1 alpha-2 code in upper case; blank is None."""
        code = (self.text(field) or "").strip().upper()
        if not code or code in COUNTRIES:
            return code or None
        self.fail(field, "not_a_valid_country_code")
        return None

    def timezone(self, field: str, *, missing: str | None = None) -> str | None:
        """An IANA zone."""
        name = self.text(field, missing=missing)
        if not name or is_timezone(name):
            return name or None
        self.fail(field, "invalid_timezone")
        return None

    def email(self, field: str, *, several: bool = False) -> str | None:
        """An address, trimmed and normalized; with `several` a comma-separated list of them."""
        raw = self.text(field) or ""
        text = raw.translate(_INVISIBLE).translate(_DASHES).strip()
        addresses = [part.strip() for part in text.split(",")] if several else [text]
        if not text or all(_EMAIL.fullmatch(address) for address in addresses):
            return text or None
        self.fail(field, "invalid_email_format")
        return None

    def url(self, field: str, *, missing: str | None = None) -> str | None:
        """An http or https address with a host."""
        text = self.text(field, missing=missing)
        if not text or is_http_url(text):
            return text or None
        self.fail(field, "url_is_invalid")
        return None

    def object_metadata(self, field: str) -> dict[str, str | None] | None:
        """Metadata of a plan, credit note or wallet; what is wrong with it is filed under `value`."""
        entries = self.mapping(field)
        if entries is None:
            return None
        if len(entries) > METADATA_KEYS_MAX:
            self.fail("value", "too_many_keys")
        for key, value in entries.items():
            if (problem := _metadata_problem(key, value)) is not None:
                self.fail("value", problem)
        return {_without_nul(key): _without_nul(value) for key, value in entries.items()}

    def _number(self, field: str, value: Any) -> Decimal | None:
        if isinstance(value, bool):
            self.fail(field, NOT_A_NUMBER)
            return None
        try:
            return parse_decimal(str(value) if isinstance(value, Decimal) else value)
        except ValidationFailed:
            # A JSON number is only ever refused for its size.
            self.fail(field, NOT_A_NUMBER if isinstance(value, str) else OUT_OF_RANGE)
            return None

    def _fail_missing(self, field: str, missing: str | None) -> None:
        if missing is not None:
            self.fail(field, missing)


Reader = Callable[[Checker, str], Any]
"""Reads one named field: `Checker.text`, `partial(Checker.integer, at_least=0)` …"""


def is_empty(value: Any) -> bool:
    """Whether a value asks for nothing: null, false, zero, blank, or an empty array or object."""
    return not value or (isinstance(value, str) and value.strip() in {"", "0", "false"})


def is_http_url(text: str) -> bool:
    """Whether `text` is an http(s) address with a host and, if any, a valid port."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    no_spaces = not any(character.isspace() for character in text)
    return (
        parts.scheme in {"http", "https"} and bool(parts.hostname) and port_is_valid and no_spaces
    )


def _metadata_problem(key: str, value: Any) -> str | None:
    if len(key) > METADATA_KEY_LENGTH_MAX:
        return "key_too_long"
    if isinstance(value, list | Mapping):
        return "nested_structure_not_allowed"
    if value is not None and not isinstance(value, str):
        return "invalid_type"
    return "value_too_long" if value and len(value) > METADATA_VALUE_LENGTH_MAX else None


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "") if isinstance(value, str) else value
