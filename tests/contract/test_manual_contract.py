"""The engine's own provider against the public contract: it declares nothing and does nothing."""

from __future__ import annotations

from lago_engine.payments import ProviderConfig
from lago_engine.payments.manual import ManualProvider
from lago_engine.testing import Arrangement, Case, ProviderContract


class TestManual(ProviderContract):
    provider_class = ManualProvider

    def arrange(self, case: Case) -> Arrangement | None:
        return Arrangement(config=ProviderConfig()) if case is Case.SUCCEEDS else None

    def test_nothing_is_ever_charged(self) -> None:
        assert self.provider_class.capabilities == frozenset()
