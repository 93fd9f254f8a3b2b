"""The charge models by their wire names; a new model is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lago_engine.domain.rating.charge_models.result import ChargeModel
from lago_engine.domain.rating.charge_models.standard import STANDARD

CHARGE_MODELS: Final[Mapping[str, ChargeModel]] = {"standard": STANDARD}

UNBUILT_CHARGE_MODELS: Final = frozenset(
    {"graduated", "graduated_percentage", "package", "percentage", "volume", "dynamic", "custom"}
)
"""Models of the wire that this version refuses."""
