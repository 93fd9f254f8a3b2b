"""What every charge model gives, and what a charge model is to the rest of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """Units priced by a charge model (charges §5), before anything is rounded or reset.

    amount, unit_amount: major currency units, exact. amount_details: as rendered on the fee.
    """

    amount: Decimal
    unit_amount: Decimal
    amount_details: Mapping[str, Any] = {}


class ChargeModel(NamedTuple):
    """One charge model: what its `properties` may say, and how it prices (charges §4, §5).

    keys: the property keys that are stored. defaults: properties of a charge that gives none.
    problems: codes for what is wrong with given properties, in check order.
    rate: units and stored properties to a price.
    """

    keys: Sequence[str]
    defaults: Mapping[str, Any]
    problems: Callable[[Mapping[str, Any]], list[str]]
    rate: Callable[[Decimal, Mapping[str, Any]], Rated]
