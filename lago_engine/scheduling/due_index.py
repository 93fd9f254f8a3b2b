"""Who must be looked at next: per organization, customers by the instant at which something falls due."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID


class DueIndex:
    """The next due instant of every customer. Entries that were replaced are dropped when they surface."""

    def __init__(self) -> None:
        self._next: dict[UUID, dict[UUID, datetime]] = {}
        self._heaps: dict[UUID, list[tuple[datetime, UUID]]] = {}

    def put(self, organization_id: UUID, customer_id: UUID, at: datetime | None) -> None:
        """Set when the customer is due next; None: nothing is."""
        due = self._next.setdefault(organization_id, {})
        if due.get(customer_id) == at:
            return
        if at is None:
            due.pop(customer_id, None)
            return
        due[customer_id] = at
        heapq.heappush(self._heaps.setdefault(organization_id, []), (at, customer_id))

    def of(self, organization_id: UUID, customer_id: UUID) -> datetime | None:
        """When the customer is due next."""
        return self._next.get(organization_id, {}).get(customer_id)

    def first(self, organization_id: UUID) -> datetime | None:
        """The earliest due instant of the organization."""
        heap = self._heaps.get(organization_id, [])
        due = self._next.get(organization_id, {})
        while heap and due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(
        self, organization_id: UUID, until: datetime, limit: int
    ) -> list[tuple[datetime, UUID]]:
        """Up to `limit` customers due at or before `until`, earliest first; they stay in the index."""
        heap = self._heaps.get(organization_id, [])
        found: list[tuple[datetime, UUID]] = []
        while heap and len(found) < limit:
            first = self.first(organization_id)
            if first is None or first > until:
                break
            found.append(heapq.heappop(heap))
        for entry in found:
            heapq.heappush(heap, entry)
        return found

    def customers(self, organization_id: UUID) -> list[UUID]:
        """Everybody of the organization who has something to come."""
        return list(self._next.get(organization_id, {}))

    def entries(self) -> Iterator[tuple[UUID, UUID, datetime]]:
        """(organization, customer, instant), for a snapshot."""
        for organization_id, due in self._next.items():
            for customer_id, at in due.items():
                yield organization_id, customer_id, at

    def __len__(self) -> int:
        return sum(map(len, self._next.values()))
