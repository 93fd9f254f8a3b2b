"""The engine's own provider: payments are recorded by people, nothing is charged."""

from __future__ import annotations

from typing import ClassVar

from lago_engine.payments.base import BaseProvider


class ManualProvider(BaseProvider):
    """Declares no capability, so the engine never calls it; see `POST /payments`."""

    api_version: ClassVar[tuple[int, int]] = (1, 0)
    code: ClassVar[str] = "manual"
