"""Documents as the events so far have left them, whether those events are committed or not."""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import chain
from typing import Final, Protocol
from uuid import UUID

from lago_engine.store.documents import DocumentChange

CACHE_BYTES_MAX: Final = 64 * 1024 * 1024

Address = tuple[UUID, str, str]
"""(organization id, kind, key)."""


class DocumentReader(Protocol):
    """Where committed documents are read from; a store's `documents` is one."""

    def get(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        """The body, or None when there is no such document."""


class DocumentView:
    """Committed documents with the changes of events that are not committed yet on top.

    Changes gather until `take`, which hands them out for one commit. Several commits may be on
    their way: `commit` confirms the oldest, `discard` forgets everything that is not confirmed.
    Bodies that were read or written last stay in memory, up to `cache_bytes_max`.
    """

    def __init__(self, reader: DocumentReader, *, cache_bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._reader = reader
        self._cache = _BodyCache(cache_bytes_max)
        self._event: dict[Address, DocumentChange] = {}
        self._open: dict[Address, DocumentChange] = {}
        self._sealed: deque[dict[Address, DocumentChange]] = deque()

    def get(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        """The body as of now, or None when there is no such document."""
        address = (organization_id, kind, key)
        change = self._event.get(address)
        return self._before(address) if change is None else change.body

    def before(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        """The body as it was before the event that is being applied."""
        return self._before((organization_id, kind, key))

    def put(
        self,
        organization_id: UUID,
        kind: str,
        key: str,
        body: bytes,
        *,
        parent: str | None = None,
        sort_key: str = "",
    ) -> None:
        """Write a document whole."""
        self._event[organization_id, kind, key] = DocumentChange(
            organization_id=organization_id,
            kind=kind,
            key=key,
            parent=parent,
            sort_key=sort_key,
            body=body,
        )

    def delete(self, organization_id: UUID, kind: str, key: str) -> None:
        """Remove a document; one that does not exist is no error."""
        self._event[organization_id, kind, key] = DocumentChange(
            organization_id=organization_id, kind=kind, key=key, body=None
        )

    def next_event(self) -> None:
        """From here on changes belong to another event: what is there now is its `before`."""
        if self._event:
            # A document keeps the place of its first change: stores number documents by it.
            self._open.update(self._event)
            self._event = {}

    def take(self) -> list[DocumentChange]:
        """One change per document since the last `take`, in the order of first appearance.

        Each call is answered by one later `commit`, or by `discard`.
        """
        self.next_event()
        self._sealed.append(self._open)
        self._open = {}
        return list(self._sealed[-1].values())

    def commit(self) -> None:
        """The changes of the oldest unconfirmed `take` are in the store."""
        for address, change in self._sealed.popleft().items():
            self._cache.put(address, change.body)

    def discard(self) -> None:
        """A commit failed: forget it and everything decided on top of it."""
        self._event = {}
        self._open = {}
        self._sealed.clear()

    def _before(self, address: Address) -> bytes | None:
        for layer in chain((self._open,), reversed(self._sealed)):
            change = layer.get(address)
            if change is not None:
                return change.body
        body = self._cache.get(address)
        if body is None:
            body = self._reader.get(*address)
            self._cache.put(address, body)
        return body


class _BodyCache:
    """Bodies by address; the least recently used go when there are too many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._bodies: OrderedDict[Address, bytes] = OrderedDict()

    def get(self, address: Address) -> bytes | None:
        body = self._bodies.get(address)
        if body is not None:
            self._bodies.move_to_end(address)
        return body

    def put(self, address: Address, body: bytes | None) -> None:
        """Keep a body; None forgets what was kept."""
        old = self._bodies.pop(address, b"")
        self._bytes -= len(old)
        if body is None:
            return
        self._bodies[address] = body
        self._bytes += len(body)
        while self._bytes > self._bytes_max:
            _, evicted = self._bodies.popitem(last=False)
            self._bytes -= len(evicted)
