"""Running projections in the commit of the events they fold."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.projecting.projection import Context, Projection
from lago_engine.projecting.view import CACHE_BYTES_MAX, DocumentReader, DocumentView
from lago_engine.store.codec import Envelope
from lago_engine.store.documents import DocumentChange

ENTRY_POINT_GROUP: Final = "lago_engine.projections"

API_KINDS: Final = (
    "organization",
    "generated_document",
    "payment_receipt",
    "billable_metric",
    "tax",
    "add_on",
    "pricing_unit",
    "plan",
    "webhook_endpoint",
    "payment_provider",
    "customer",
    "subscription",
    "invoice",
    "fee",
    "payment",
)
"""The kinds that the API serves; without their projections it has nothing to answer with."""


class FoundProjections(msgspec.Struct, frozen=True, kw_only=True):
    """What the installed distributions offer.

    projections: usable ones, by entry point name. failures: entry point name → why it is not used.
    missing_kinds: kinds of the API that no usable projection writes.
    """

    projections: tuple[Projection, ...]
    failures: dict[str, str]
    missing_kinds: tuple[str, ...]


def find_projections(entries: Iterable[EntryPoint] | None = None) -> FoundProjections:
    """Load what is offered under `lago_engine.projections`, in the order of the names.

    A broken distribution is reported and does not stop the others.
    """
    found = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries
    projections: list[Projection] = []
    failures: dict[str, str] = {}
    for entry in sorted(found, key=lambda entry: entry.name):
        try:
            projection = entry.load()()
        except Exception as error:  # Code of strangers runs here; the caller shows the failure.
            failures[entry.name] = repr(error)
            continue
        refusal = _refusal(projection, projections)
        if refusal is None:
            projections.append(projection)
        else:
            failures[entry.name] = refusal
    written = {kind for projection in projections for kind in projection.kinds}
    return FoundProjections(
        projections=tuple(projections),
        failures=failures,
        missing_kinds=tuple(kind for kind in API_KINDS if kind not in written),
    )


def _refusal(projection: object, others: Iterable[Projection]) -> str | None:
    if not isinstance(projection, Projection):
        return "not a lago_engine.projecting.Projection"
    for other in others:
        for kind in set(projection.kinds) & set(other.kinds):
            return f"{kind!r} documents are already written by {other.name!r}"
    return None


class InlineRunner:
    """Applies projections to events as they are decided; `documents` shows the result at once.

    One thread. Per commit: `apply` for each event in log order, `take_changes` once, then
    `commit` when the store has them or `discard` when it refused.
    """

    def __init__(
        self,
        projections: Iterable[Projection],
        reader: DocumentReader,
        *,
        cache_bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        self._reader = reader
        self.documents = DocumentView(reader, cache_bytes_max=cache_bytes_max)
        self._projections = tuple(projections)
        self._by_event: dict[type[DomainEvent], list[Projection]] = {}
        for projection in self._projections:
            for event_type in projection.handles:
                self._by_event.setdefault(event_type, []).append(projection)

    def apply(
        self, envelope: Envelope, event: DomainEvent, organization: OrganizationState
    ) -> None:
        """Project one event. `organization` is the state right after it."""
        self.documents.next_event()
        self._project(self.documents, envelope, event, organization)

    def imagine(
        self, envelope: Envelope, event: DomainEvent, organization: OrganizationState
    ) -> list[DocumentChange]:
        """What an event would write on top of the committed documents; nothing is kept of it."""
        documents = DocumentView(self._reader)
        self._project(documents, envelope, event, organization)
        return documents.take()

    def _project(
        self,
        documents: DocumentView,
        envelope: Envelope,
        event: DomainEvent,
        organization: OrganizationState,
    ) -> None:
        context = Context(documents, envelope, organization)
        for projection in self._by_event.get(type(event), ()):
            projection.apply(event, context)

    def rehearsal(self, reader: DocumentReader) -> InlineRunner:
        """The same projections over the stored documents, for events that will not be stored."""
        return InlineRunner(self._projections, reader)

    def take_changes(self) -> list[DocumentChange]:
        """The documents to write in the commit of the events applied since the last call."""
        return self.documents.take()

    def commit(self) -> None:
        """The oldest taken changes are durable."""
        self.documents.commit()

    def discard(self) -> None:
        """A commit failed: nothing that is not confirmed has happened."""
        self.documents.discard()
