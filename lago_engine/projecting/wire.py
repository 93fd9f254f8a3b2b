"""How values look on the wire, and the JSON of documents.

Members keep the order in which they were put; decimals are text, rates are JSON numbers with the
digits they have (`lago_engine.domain.decimals`). Source: api_conventions §2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from lago_engine.domain.timezones import micros

Members = dict[str, Any]
"""A document while it is worked on: member names in wire order."""

INSTANTS_KEPT: Final = 4096
"""Invoices of one run share their instants, and writing one out is dear."""

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])

encode = msgspec.json.Encoder().encode
"""The body of a document: compact UTF-8 JSON, members in insertion order."""


def members(body: bytes | msgspec.Raw) -> Members:
    """The members of an object, their values still as JSON text, so that no digit is lost."""
    return dict(_members_decoder.decode(body))


def members_list(body: bytes | msgspec.Raw) -> list[Members]:
    """The same for an array of objects."""
    return [dict(item) for item in _list_decoder.decode(body)]


@lru_cache(maxsize=INSTANTS_KEPT)
def instant(moment: datetime) -> str:
    """`2026-05-01T00:00:00Z`; fractions of a second are cut."""
    return _utc(moment).isoformat(timespec="seconds")[:-6] + "Z"


def instant_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


@lru_cache(maxsize=INSTANTS_KEPT)
def instant_ms(moment: datetime) -> str:
    """`2026-05-01T00:00:00.000Z`, as subscriptions show `started_at`."""
    return _utc(moment).isoformat(timespec="milliseconds")[:-6] + "Z"


@lru_cache(maxsize=INSTANTS_KEPT)
def instant_offset(moment: datetime) -> str:
    """`2026-05-01T00:00:00+00:00`, as fees show `from_date` and `to_date`."""
    return _utc(moment).isoformat(timespec="seconds")


def sort_key(moment: datetime) -> str:
    """Microseconds since the epoch, padded so that they sort as text."""
    return f"{micros(moment):020d}"


def invoice_sort_key(issuing_date: date | str, created_at: datetime) -> str:
    """Invoices are listed by issuing date, then by creation."""
    return f"{issuing_date}{sort_key(created_at)}"


def read_string(value: object) -> str:
    """The text of a member, whether still JSON text or not."""
    return _string_decoder.decode(value) if isinstance(value, msgspec.Raw) else str(value)


def read_int(value: object) -> int:
    """The integer of a member, whether still JSON text or not."""
    if isinstance(value, msgspec.Raw):
        return _int_decoder.decode(value)
    assert isinstance(value, int)
    return value


def without(document: Mapping[str, Any], *names: str) -> Members:
    """A copy that lacks some members."""
    return {name: value for name, value in document.items() if name not in names}


_string_decoder = msgspec.json.Decoder(str)
_int_decoder = msgspec.json.Decoder(int)


def _utc(moment: datetime) -> datetime:
    assert moment.tzinfo is not None
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
