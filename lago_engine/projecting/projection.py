"""What a projection is: a fold of events into documents, found by entry point.

A distribution offers projections through the entry point group `lago_engine.projections`; each
entry names a subclass of `Projection` that is made without arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.timezones import from_micros
from lago_engine.projecting.view import DocumentView
from lago_engine.store.codec import Envelope


class Context:
    """What a projection may look at and write while it applies one event.

    organization: settings and catalog right after the event, for look-ups by id.
    """

    __slots__ = ("documents", "envelope", "organization")

    def __init__(
        self, documents: DocumentView, envelope: Envelope, organization: OrganizationState
    ) -> None:
        self.documents = documents
        self.envelope = envelope
        self.organization = organization

    @property
    def organization_id(self) -> UUID:
        return self.envelope.organization_id

    @property
    def occurred_at(self) -> datetime:
        """When the fact happened, by the organization's clock."""
        return from_micros(self.envelope.occurred_at_us)

    def get(self, kind: str, key: str) -> bytes | None:
        """The body of a document of the event's organization."""
        return self.documents.get(self.organization_id, kind, key)

    def require(self, kind: str, key: str) -> bytes:
        """The body of a document that earlier events of a sound log have made."""
        body = self.get(kind, key)
        assert body is not None, f"no {kind} {key}: an event came before the one it builds on"
        return body

    def put(
        self, kind: str, key: str, body: bytes, *, parent: str | None = None, sort_key: str = ""
    ) -> None:
        """Write a document whole. `parent` is what nested lists select by."""
        self.documents.put(self.organization_id, kind, key, body, parent=parent, sort_key=sort_key)

    def delete(self, kind: str, key: str) -> None:
        """Remove a document; one that does not exist is no error."""
        self.documents.delete(self.organization_id, kind, key)


class Projection(ABC):
    """Folds the events it handles into documents of its kinds.

    A function of the events alone: no clock, no randomness, no I/O, no memory of its own between
    events, so that a rebuild from the log gives the same bytes. A kind has one projection.

    name: unique, stable. kinds: what it writes. handles: the events it is given, in log order.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    handles: ClassVar[tuple[type[DomainEvent], ...]]

    @abstractmethod
    def apply(self, event: DomainEvent, context: Context) -> None:
        """Change documents as the event says. Raising fails the commit the event is in."""
