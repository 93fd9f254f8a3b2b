"""Documents in memory, rebuilt from a whole log, to be compared with the stored ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.projecting.inline import InlineRunner
from lago_engine.projecting.projection import Projection
from lago_engine.projecting.view import Address
from lago_engine.store.codec import Envelope
from lago_engine.store.documents import DocumentChange

EvolveOrganization = Callable[[OrganizationState | None, DomainEvent], OrganizationState]

EVENTS_PER_TAKE = 1000


class DocumentIterator(Protocol):
    """Where all documents of a kind can be read; a store's `documents` is one."""

    def iter_kind(self, kind: str) -> Iterator[tuple[UUID, str, bytes]]:
        """(organization id, key, body) of every document of a kind, by organization and key."""


class MemoryDocuments:
    """All documents, in memory; reads as a store's `documents` does."""

    def __init__(self) -> None:
        self._changes: dict[Address, DocumentChange] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def get(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        """The body, or None when there is no such document."""
        change = self._changes.get((organization_id, kind, key))
        return None if change is None else change.body

    def write(self, changes: Iterable[DocumentChange]) -> None:
        """What a commit does to a store."""
        for change in changes:
            address = (change.organization_id, change.kind, change.key)
            if change.body is None:
                self._changes.pop(address, None)
            else:
                self._changes[address] = change

    def iter_kind(self, kind: str) -> Iterator[tuple[UUID, str, bytes]]:
        """(organization id, key, body) of every document of a kind, by organization and key."""
        for change in sorted(
            (change for change in self._changes.values() if change.kind == kind),
            key=lambda change: (change.organization_id.bytes, change.key),
        ):
            assert change.body is not None
            yield change.organization_id, change.key, change.body

    def rows(self) -> dict[Address, DocumentChange]:
        """Every document with its columns."""
        return dict(self._changes)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a rebuild does not reproduce."""

    organization_id: UUID
    kind: str
    key: str
    problem: Literal["missing", "unexpected", "different"]


def rebuild(
    log: Iterable[tuple[Envelope, DomainEvent]],
    projections: Sequence[Projection],
    evolve: EvolveOrganization,
) -> MemoryDocuments:
    """Fold a whole log, of all organizations and in log order, into documents from nothing."""
    documents = MemoryDocuments()
    runner = InlineRunner(projections, documents)
    organizations: dict[UUID, OrganizationState] = {}
    for number, (envelope, event) in enumerate(log, start=1):
        organization = evolve(organizations.get(envelope.organization_id), event)
        organizations[envelope.organization_id] = organization
        runner.apply(envelope, event, organization)
        if number % EVENTS_PER_TAKE == 0:
            _write(runner, documents)
    _write(runner, documents)
    return documents


def _write(runner: InlineRunner, documents: MemoryDocuments) -> None:
    documents.write(runner.take_changes())
    runner.commit()


def differences(
    expected: DocumentIterator, stored: DocumentIterator, kinds: Iterable[str]
) -> Iterator[Difference]:
    """Documents of these kinds that are not byte for byte the same in both.

    "missing" is expected but not stored, "unexpected" the reverse.
    """
    for kind in kinds:
        wanted = {(org, key): body for org, key, body in expected.iter_kind(kind)}
        for organization_id, key, body in stored.iter_kind(kind):
            want = wanted.pop((organization_id, key), None)
            if want != body:
                yield Difference(
                    organization_id=organization_id,
                    kind=kind,
                    key=key,
                    problem="unexpected" if want is None else "different",
                )
        for organization_id, key in wanted:
            yield Difference(organization_id=organization_id, kind=kind, key=key, problem="missing")
