"""What a charge model is, what it is given and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of one bucket of a charge, as a charge model prices it.

    units: aggregated and rounded as the metric asks, ≥ 0. aggregation_type: the metric's.
    values: what each event adds to the units, by timestamp; given where `ChargeModel.needs_values`.
    """

    units: Decimal
    events_count: int
    aggregation_type: str
    values: Sequence[Decimal] | None = None


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """Units priced by a charge model (charges §5), before anything is rounded or reset.

    amount, unit_amount: major currency units, exact. amount_details: as rendered on the fee.
    """

    amount: Decimal
    unit_amount: Decimal
    amount_details: Mapping[str, Any] = {}


def _none(properties: Mapping[str, Any], aggregation_type: str) -> Sequence[str]:
    return ()


class ChargeModel(NamedTuple):
    """One charge model: what its `properties` may say, and how it prices (charges §3-§5).

    keys: the property keys that are stored; for a list of ranges, the keys stored of each range.
    defaults: properties of a charge that gives none.
    problems: codes for what is wrong with given properties, in check order.
    rate: prices usage by stored properties.
    needs_values: given an aggregation type, the properties that `rate` needs `Usage.values` for.
    refused_aggregations: metrics of these types it cannot price.
    """

    keys: Mapping[str, Sequence[str]]
    defaults: Mapping[str, Any]
    problems: Callable[[Mapping[str, Any]], list[str]]
    rate: Callable[[Usage, Mapping[str, Any]], Rated]
    needs_values: Callable[[Mapping[str, Any], str], Sequence[str]] = _none
    refused_aggregations: frozenset[str] = frozenset()

    def stored(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of properties without problems."""
        return {
            key: [{field: item.get(field) for field in fields} for item in properties[key]]
            if fields
            else properties[key]
            for key, fields in self.keys.items()
            if key in properties
        }
