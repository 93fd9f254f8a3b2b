"""What every projection must hold, as a test class for its author to subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.projecting import (
    DocumentChange,
    Envelope,
    InlineRunner,
    MemoryDocuments,
    Projection,
    rebuild,
)

History = Sequence[tuple[Envelope, DomainEvent]]
Documents = dict[tuple[UUID, str, str], DocumentChange]


class ProjectionContract(ABC):
    """Replay gives what living through it gave, byte for byte, wherever the process stopped.

    Subclass it in a test module under a name that pytest collects.
    """

    @abstractmethod
    def make_projections(self) -> Sequence[Projection]:
        """New instances of the projections under test, and of those whose documents they read."""

    @abstractmethod
    def history(self) -> History:
        """A log that begins with `OrganizationCreated` and holds every event the projections handle."""

    def test_declarations(self) -> None:
        projections = self.make_projections()
        assert projections
        kinds = [kind for projection in projections for kind in projection.kinds]
        assert kinds
        assert len(kinds) == len(set(kinds)), "a kind has one projection"
        assert len({projection.name for projection in projections}) == len(projections)

    def test_history_has_every_handled_event(self) -> None:
        handled = {each for projection in self.make_projections() for each in projection.handles}
        assert handled
        assert handled <= {type(event) for _, event in self.history()}

    def test_documents_are_json_of_declared_kinds(self) -> None:
        declared = {kind for projection in self.make_projections() for kind in projection.kinds}
        seen = set()
        for change in self._all_changes():
            seen.add(change.kind)
            if change.body is not None:
                assert isinstance(msgspec.json.decode(change.body), dict)
        assert seen == declared, "every kind is written by the history, and no other kind is"

    def test_replay_equals_live(self) -> None:
        live = _Life(self.make_projections())
        for envelope, event in self.history():
            live.commit([(envelope, event)])
        assert live.documents() == self._rebuilt()

    def test_commits_may_hold_any_number_of_events(self) -> None:
        history = self.history()
        for size in (2, 3, 7):
            life = _Life(self.make_projections())
            for start in range(0, len(history), size):
                life.commit(history[start : start + size])
            assert life.documents() == self._rebuilt(), f"{size} events per commit"

    def test_restart_anywhere(self) -> None:
        history, whole = self.history(), self._rebuilt()
        for stop in range(1, len(history)):
            first = _Life(self.make_projections())
            first.commit(history[:stop])
            second = _Life(self.make_projections(), after=first)
            second.commit(history[stop:])
            assert second.documents() == whole, f"stopped after {stop} events"

    def test_failed_commits_leave_no_trace(self) -> None:
        life = _Life(self.make_projections())
        for envelope, event in self.history():
            life.fail([(envelope, event)])
            life.commit([(envelope, event)])
        assert life.documents() == self._rebuilt()

    def test_commits_may_overlap(self) -> None:
        life = _Life(self.make_projections())
        for envelope, event in self.history():
            life.start([(envelope, event)])
        life.finish()
        assert life.documents() == self._rebuilt()

    def _rebuilt(self) -> Documents:
        return rebuild(self.history(), self.make_projections(), evolve_organization).rows()

    def _all_changes(self) -> list[DocumentChange]:
        life = _Life(self.make_projections())
        return [change for item in self.history() for change in life.commit([item])]


class _Life:
    """A process with its store. It keeps no body in memory beyond what is not committed."""

    def __init__(self, projections: Sequence[Projection], after: _Life | None = None) -> None:
        self._store: MemoryDocuments = MemoryDocuments() if after is None else after._store
        self._organizations: dict[UUID, OrganizationState] = (
            {} if after is None else dict(after._organizations)
        )
        self._runner = InlineRunner(projections, self._store, cache_bytes_max=0)
        self._on_the_way: list[list[DocumentChange]] = []

    def documents(self) -> Documents:
        return self._store.rows()

    def commit(self, items: History) -> list[DocumentChange]:
        self.start(items)
        return self.finish()

    def start(self, items: History) -> None:
        """Apply events and send their changes off."""
        for envelope, event in items:
            organization_id = envelope.organization_id
            state = evolve_organization(self._organizations.get(organization_id), event)
            self._organizations[organization_id] = state
            self._runner.apply(envelope, event, state)
        self._on_the_way.append(self._runner.take_changes())

    def finish(self) -> list[DocumentChange]:
        """The store has written everything that is on its way."""
        done, self._on_the_way = self._on_the_way, []
        for changes in done:
            self._store.write(changes)
            self._runner.commit()
        return [change for changes in done for change in changes]

    def fail(self, items: History) -> None:
        """Apply events in a commit that the store refuses."""
        organizations = dict(self._organizations)
        self.start(items)
        self._runner.discard()
        self._on_the_way.clear()
        self._organizations = organizations
