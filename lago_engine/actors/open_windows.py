"""Which usage windows are kept folded: those of the customers' running and unbilled periods."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from lago_engine.actors.residents import Residents
from lago_engine.actors.usage import UsageWindows
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow, open_usage_windows


class OpenWindows:
    """The windows each customer needs, registered with metering as the customers' states change."""

    def __init__(self, usage: UsageWindows, residents: Residents) -> None:
        self._usage = usage
        self._residents = residents
        self._of: dict[UUID, set[UsageWindow]] = {}
        self._borrowed: set[UsageWindow] = set()

    def follow(self, customer_id: UUID, state: CustomerState | None) -> None:
        """Register what the customer needs folded, forget what it needs no more."""
        if state is None:
            return
        organization = self._residents.organizations[state.profile.organization_id]
        needed = open_usage_windows(state, organization)
        before = self._of.get(customer_id, set())
        self._usage.open(needed - before)
        self._usage.close(before - needed)
        self._borrowed -= needed
        if needed:
            self._of[customer_id] = needed
        else:
            self._of.pop(customer_id, None)

    def borrow(self, customer_id: UUID, windows: Iterable[UsageWindow]) -> None:
        """Windows that were opened for one decision; after the next commit nobody may need them."""
        needed = self._of.get(customer_id, set())
        self._borrowed.update(window for window in windows if window not in needed)

    def give_back(self) -> None:
        """Close what was borrowed and is needed by no customer."""
        self._usage.close(self._borrowed)
        self._borrowed.clear()
