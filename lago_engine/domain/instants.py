"""Reading instants of the wire: ISO 8601, a value without a zone is UTC (api_conventions.md §2.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

YEAR_MIN: Final = 1900
YEAR_MAX: Final = 9000
"""Bounds that keep every period computed from an instant inside the calendar."""


def parse_instant(value: object) -> datetime | None:
    """The instant in UTC, to the microsecond; None when it is no ISO 8601 date-time."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        instant = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if YEAR_MIN <= instant.year <= YEAR_MAX else None
