"""Units of a bucket broken down for presentation; they never change an amount (metrics §8.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from lago_engine.domain.decimals import to_wire
from lago_engine.domain.rating.charge_models.model import Group


class PresentedUnits(msgspec.Struct, frozen=True, kw_only=True):
    """The units of the events with these values; neither prorated nor rounded, and possibly negative."""

    presentation_by: Mapping[str, str | None]
    units: Decimal


def presentation_keys(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of event properties that the units of a charge are broken down by."""
    return tuple(item["value"] for item in properties.get("presentation_group_keys", ()))


def present(
    keys: Sequence[str], pricing_keys: Sequence[str], breakdown: Iterable[tuple[Group, Decimal]]
) -> tuple[PresentedUnits, ...]:
    """The breakdown of one bucket, without the values that its own group tells already."""
    shown = [key for key in keys if key not in pricing_keys]
    if not shown:
        return ()
    presented = []
    for values, units in breakdown:
        by_key = dict(zip(keys, values, strict=True))
        presented.append(
            PresentedUnits(presentation_by={key: by_key[key] for key in shown}, units=units)
        )
    return tuple(presented)


def breakdown_objects(presented: Iterable[PresentedUnits]) -> list[dict[str, Any]]:
    """As fees and usage show it: an event without a value has an empty one, since the clients take texts only."""
    return [
        {
            "presentation_by": {key: value or "" for key, value in each.presentation_by.items()},
            "units": to_wire(each.units),
        }
        for each in presented
    ]
