"""The charge models by their wire names; a new model is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lago_engine.domain.rating.charge_models.dynamic import DYNAMIC
from lago_engine.domain.rating.charge_models.graduated import GRADUATED
from lago_engine.domain.rating.charge_models.graduated_percentage import GRADUATED_PERCENTAGE
from lago_engine.domain.rating.charge_models.model import ChargeModel
from lago_engine.domain.rating.charge_models.package import PACKAGE
from lago_engine.domain.rating.charge_models.percentage import PERCENTAGE
from lago_engine.domain.rating.charge_models.standard import STANDARD
from lago_engine.domain.rating.charge_models.volume import VOLUME

CHARGE_MODELS: Final[Mapping[str, ChargeModel]] = {
    "standard": STANDARD,
    "graduated": GRADUATED,
    "graduated_percentage": GRADUATED_PERCENTAGE,
    "package": PACKAGE,
    "percentage": PERCENTAGE,
    "volume": VOLUME,
    "dynamic": DYNAMIC,
}
