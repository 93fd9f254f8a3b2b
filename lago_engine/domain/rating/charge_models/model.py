"""What a charge model is, what it is given and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

Group = tuple[str | None, ...]
"""A value per key; None where events have none, null or an empty text."""


class Run(NamedTuple):
    """The value of so many successive events, in order of time."""

    value: Decimal
    times: int


class Step(NamedTuple):
    """Successive units that came, or went (< 0), each of them paid for the same number of days."""

    units: Decimal
    days: int | Decimal


class Changes(msgspec.Struct, frozen=True):
    """How the units of a window that are prorated came about, in order of time (metrics §9).

    carried: units of before the window that are paid for all of its days.
    """

    carried: Decimal
    steps: tuple[Step, ...] = ()


class Prorated(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge model needs beside prorated units (charges §8).

    full_units: without proration, ≥ 0. steps: all of them, those carried over first. period_days: of the whole period,
    or whatever else the days of the steps are a share of.
    """

    full_units: Decimal
    steps: Sequence[Step]
    period_days: int | Decimal


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of one bucket of a charge, as a charge model prices it.

    units: aggregated and rounded as the metric asks, ≥ 0. aggregation_type: the metric's.
    values: of the events, in order of time; given where `ChargeModel.needs_values`.
    events_amount: Σ of the amounts that the events carry, in major units; given where `ChargeModel.needs_amounts`.
    prorated: of a prorated charge.
    """

    units: Decimal
    events_count: int
    aggregation_type: str
    values: Sequence[Run] = ()
    events_amount: Decimal | None = None
    prorated: Prorated | None = None

    @property
    def full_units(self) -> Decimal:
        """What an average price is of, and what a volume is chosen by: the units without proration."""
        return self.units if self.prorated is None else self.prorated.full_units


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
    needs_amounts: whether `rate` needs `Usage.events_amount`.
    refused_aggregations: metrics of these types it cannot price.
    only_aggregation: the one type it prices, if it does not price several.
    """

    keys: Mapping[str, Sequence[str]]
    defaults: Mapping[str, Any]
    problems: Callable[[Mapping[str, Any]], list[str]]
    rate: Callable[[Usage, Mapping[str, Any]], Rated]
    needs_values: Callable[[Mapping[str, Any], str], Sequence[str]] = _none
    refused_aggregations: frozenset[str] = frozenset()
    only_aggregation: str | None = None
    needs_amounts: bool = False

    def stored(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of properties without problems."""
        return {
            key: [{field: item.get(field) for field in fields} for item in properties[key]]
            if fields
            else properties[key]
            for key, fields in self.keys.items()
            if key in properties
        }
