"""Which charge filter an event belongs to (charges.md §7.3 DO): exactly one, or the default bucket.

The metering core assigns stored events by the same rule; this one is for events that are only thought of or explained.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

Values = Mapping[str, Collection[str]]
"""The values a filter accepts by property, "all values" expanded."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def assigned_filter(filters: Sequence[Values], properties: Mapping[str, Any]) -> int | None:
    """The position of the event's filter; None: the default bucket.

    Most keys win; of filters with the same keys one whose values are all among those of the other; then the first.
    """
    matching = [n for n, values in enumerate(filters) if _matches(values, properties)]
    most = max((len(filters[n]) for n in matching), default=0)
    matching = [n for n in matching if len(filters[n]) == most]
    return next(
        (n for n in matching if not any(_is_narrower(filters[m], filters[n]) for m in matching)),
        None,
    )


def _matches(values: Values, properties: Mapping[str, Any]) -> bool:
    return all(property_text(properties.get(key)) in accepted for key, accepted in values.items())


def _is_narrower(one: Values, other: Values) -> bool:
    left = {key: set(accepted) for key, accepted in one.items()}
    right = {key: set(accepted) for key, accepted in other.items()}
    return left.keys() == right.keys() and left != right and all(left[k] <= right[k] for k in left)


def property_text(value: Any) -> str | None:
    """The text that a property is compared by; None for a missing one."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case _:
            return _encoder.encode(value).decode()
