"""Query strings: scalars, repeated `name[]=…`, `name[key]=…`, flags, dates and pages.

Unknown parameters are ignored, and a blank value counts as absent (api_conventions §2.2, §3.1, §3.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Protocol

import msgspec

from lago_engine.domain.instants import parse_instant
from lago_engine.errors import ValidationFailed

PER_PAGE_DEFAULT = 100
PER_PAGE_UNREADABLE = 25
PER_PAGE_MAX = 1000
PAGE_MAX = 10**12
"""Beyond any list; keeps offsets within 64 bits."""

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is asked for; `number` counts from 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The `meta` object of a list."""

    current_page: int
    next_page: int | None
    prev_page: int | None
    total_pages: int
    total_count: int


def meta(page: Page, total: int) -> Meta:
    """Where `page` lies in a list of `total` items; an empty list has no page at all."""
    pages = -(-total // page.size)
    return Meta(
        current_page=page.number if total else 0,
        next_page=page.number + 1 if page.number < pages else None,
        prev_page=page.number - 1 if total and page.number > 1 else None,
        total_pages=pages,
        total_count=total,
    )


class MultiMap(Protocol):
    """The part of a multi-dict that is used here."""

    def getall(self, key: str, default: list[str]) -> list[str]: ...
    def items(self) -> Iterable[tuple[str, str]]: ...


class Params:
    """The query of one request."""

    def __init__(self, query: MultiMap) -> None:
        self._query = query

    def text(self, *names: str) -> str | None:
        """The value of the first name that has one."""
        values = self.texts(*names)
        return values[0] if values else None

    def texts(self, *names: str) -> list[str]:
        """All values of the names, each given once or as `name[]`."""
        values = (
            value
            for name in names
            for key in (name, f"{name}[]")
            for value in self._query.getall(key, [])
        )
        # No stored text holds a NUL, and PostgreSQL refuses to compare with one.
        return [value for value in values if value.strip() and "\0" not in value]

    def choices(self, *names: str, among: Iterable[str]) -> list[str]:
        """Values of an enumeration; another one raises ValidationFailed on the first name."""
        values = self.texts(*names)
        if not set(values) <= set(among):
            raise ValidationFailed.of(names[0], "value_is_invalid")
        return values

    def choice(self, *names: str, among: Iterable[str]) -> str | None:
        """One value of an enumeration, as `choices`."""
        values = self.choices(*names, among=among)
        return values[0] if values else None

    def flag(self, *names: str) -> bool | None:
        """`true`, `1`, `false` or `0`; anything else counts as absent."""
        return _FLAGS.get((self.text(*names) or "").lower())

    def integer(self, name: str) -> int | None:
        """A whole number of 64 bits; anything else raises ValidationFailed."""
        value = self.text(name)
        if value is None:
            return None
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise ValidationFailed.of(name, "value_is_invalid")
        return int(value)

    def instant(self, name: str) -> datetime | None:
        """An ISO 8601 date or date-time; raises ValidationFailed `invalid_date`."""
        value = self.text(name)
        if value is None:
            return None
        instant = parse_instant(value)
        if instant is None:
            raise ValidationFailed.of(name, "invalid_date")
        return instant

    def day(self, name: str) -> date | None:
        """A date `YYYY-MM-DD`; what cannot be read counts as absent."""
        try:
            return date.fromisoformat(self.text(name) or "")
        except ValueError:
            return None

    def members(self, name: str) -> dict[str, str]:
        """`name[key]=value` pairs, blank values included."""
        start = len(name) + 1
        return {
            key[start:-1]: value
            for key, value in self._query.items()
            if key.startswith(f"{name}[") and key.endswith("]") and len(key) > start + 1
            if "\0" not in key + value
        }

    def lists(self, name: str) -> dict[str, tuple[str, ...]]:
        """`name[key]=value` and `name[key][]=value`: the values of each key."""
        found: dict[str, list[str]] = {}
        for key, value in self._query.items():
            if key.startswith(f"{name}[") and "\0" not in key + value:
                member = key[len(name) + 1 :].removesuffix("[]")
                if member.endswith("]") and len(member) > 1:
                    found.setdefault(member[:-1], []).append(value)
        return {key: tuple(values) for key, values in found.items()}

    @property
    def page(self) -> Page:
        number = min(_natural(self._last("page")) or 1, PAGE_MAX)
        asked = self._last("per_page")
        if asked is None:
            return Page(number, PER_PAGE_DEFAULT)
        size = _natural(asked)
        return Page(
            number, PER_PAGE_UNREADABLE if size is None else min(max(size, 1), PER_PAGE_MAX)
        )

    def _last(self, name: str) -> str | None:
        values = self._query.getall(name, [])
        return values[-1] if values else None


def _natural(text: str | None) -> int | None:
    """A number without sign; None for anything else."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) <= 18 else 10**18
