"""What the usage of a charge is grouped by (metrics.md §8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from lago_engine.domain.catalog.entities import Charge

TARGET_WALLET: Final = "target_wallet_code"
"""The event property that names the wallet to pay from."""


def spelled_out(charge: Charge) -> Charge:
    """The charge with every pricing group key in its properties, and in those of its filters.

    Where it accepts a target wallet, that is the last one.
    """
    if not charge.accepts_target_wallet:
        return charge
    return replace(
        charge,
        accepts_target_wallet=False,
        properties=_by_wallet(charge.properties),
        filters=tuple(
            replace(filter_, properties=_by_wallet(filter_.properties))
            for filter_ in charge.filters
        ),
    )


def _by_wallet(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    keys = [*properties.get("pricing_group_keys", ()), TARGET_WALLET]
    return {**properties, "pricing_group_keys": list(dict.fromkeys(keys))}
