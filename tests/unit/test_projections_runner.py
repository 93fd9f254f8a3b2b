"""The document view, finding projections, rebuilding and comparing."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from uuid import UUID

import msgspec
import projection_history as log
import pytest

from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.events import DomainEvent, OrganizationCreated
from lago_engine.projecting import (
    API_KINDS,
    Context,
    Difference,
    DocumentChange,
    DocumentView,
    InlineRunner,
    MemoryDocuments,
    Projection,
    differences,
    find_projections,
    rebuild,
)
from lago_engine.store import open_store
from lago_engine.store.documents import Query

ORG = log.ORGANIZATION_ID
OTHER_ORG = UUID(int=7)


class CountingReader:
    """A store's documents that counts how often it is asked."""

    def __init__(self) -> None:
        self.stored = MemoryDocuments()
        self.reads = 0

    def get(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        self.reads += 1
        return self.stored.get(organization_id, kind, key)


@pytest.fixture
def reader() -> CountingReader:
    return CountingReader()


@pytest.fixture
def view(reader: CountingReader) -> DocumentView:
    return DocumentView(reader)


def change(body: bytes | None, *, kind: str = "a", key: str = "k") -> DocumentChange:
    return DocumentChange(organization_id=ORG, kind=kind, key=key, body=body)


# --- view --------------------------------------------------------------------------------------


def test_reads_go_through_to_the_store_once(reader: CountingReader, view: DocumentView) -> None:
    reader.stored.write([change(b"1")])
    assert view.get(ORG, "a", "k") == view.get(ORG, "a", "k") == b"1"
    assert reader.reads == 1


def test_organizations_and_kinds_are_apart(reader: CountingReader, view: DocumentView) -> None:
    view.put(ORG, "a", "k", b"1")
    assert view.get(OTHER_ORG, "a", "k") is None
    assert view.get(ORG, "b", "k") is None


def test_uncommitted_changes_hide_the_store(reader: CountingReader, view: DocumentView) -> None:
    reader.stored.write([change(b"old")])
    view.put(ORG, "a", "k", b"new")
    assert view.get(ORG, "a", "k") == b"new"
    view.delete(ORG, "a", "k")
    assert view.get(ORG, "a", "k") is None
    assert view.take() == [change(None)]


def test_before_is_the_state_before_the_event(reader: CountingReader, view: DocumentView) -> None:
    view.put(ORG, "a", "k", b"1")
    assert view.before(ORG, "a", "k") is None
    view.next_event()
    view.put(ORG, "a", "k", b"2")
    view.put(ORG, "a", "k", b"3")
    assert view.before(ORG, "a", "k") == b"1"
    assert view.get(ORG, "a", "k") == b"3"


def test_take_gives_one_change_per_document_in_order_of_appearance(view: DocumentView) -> None:
    view.put(ORG, "a", "second", b"1", parent="p", sort_key="s")
    view.put(ORG, "a", "first", b"1")
    view.next_event()
    view.put(ORG, "a", "second", b"2", parent="q", sort_key="t")
    changes = view.take()
    assert [(each.key, each.body) for each in changes] == [("second", b"2"), ("first", b"1")]
    assert (changes[0].parent, changes[0].sort_key) == ("q", "t")
    assert view.take() == []


def test_commits_on_their_way_stay_visible(reader: CountingReader, view: DocumentView) -> None:
    view.put(ORG, "a", "k", b"1")
    first = view.take()
    view.put(ORG, "a", "k", b"2")
    view.take()
    assert view.get(ORG, "a", "k") == b"2"
    reader.stored.write(first)
    view.commit()
    assert view.get(ORG, "a", "k") == b"2", "a later commit is still on its way"
    view.discard()
    assert view.get(ORG, "a", "k") == b"1", "only what is confirmed remains"


def test_discard_drops_what_was_not_taken_too(view: DocumentView) -> None:
    view.put(ORG, "a", "k", b"1")
    view.next_event()
    view.put(ORG, "a", "l", b"1")
    view.discard()
    assert view.get(ORG, "a", "k") is None
    assert view.take() == []


def test_committed_bodies_need_no_read(reader: CountingReader, view: DocumentView) -> None:
    view.put(ORG, "a", "k", b"1")
    reader.stored.write(view.take())
    view.commit()
    assert view.get(ORG, "a", "k") == b"1"
    assert reader.reads == 0


def test_a_committed_deletion_is_not_served_from_memory(
    reader: CountingReader, view: DocumentView
) -> None:
    reader.stored.write([change(b"1")])
    assert view.get(ORG, "a", "k") == b"1"
    view.delete(ORG, "a", "k")
    reader.stored.write(view.take())
    view.commit()
    assert view.get(ORG, "a", "k") is None


def test_memory_is_bounded_by_bytes(reader: CountingReader) -> None:
    view = DocumentView(reader, cache_bytes_max=10)
    reader.stored.write([change(b"x" * 4, key=str(number)) for number in range(3)])
    for number in (0, 1, 0, 2):
        assert view.get(ORG, "a", str(number)) == b"x" * 4
    assert reader.reads == 3
    assert view.get(ORG, "a", "0") == b"x" * 4
    assert reader.reads == 3, "used last but one, still there"
    assert view.get(ORG, "a", "1") == b"x" * 4
    assert reader.reads == 4, "least recently used, gone"


def test_a_body_too_large_for_memory_is_served_all_the_same(reader: CountingReader) -> None:
    view = DocumentView(reader, cache_bytes_max=3)
    reader.stored.write([change(b"large")])
    assert view.get(ORG, "a", "k") == view.get(ORG, "a", "k") == b"large"
    assert reader.reads == 2


# --- finding -----------------------------------------------------------------------------------


class Notes(Projection):
    """Writes one document, to be found by the tests below."""

    name = "notes"
    kinds = ("note",)
    handles = (OrganizationCreated,)

    def apply(self, event: DomainEvent, context: Context) -> None:
        context.put("note", "first", b'{"at":%d}' % context.envelope.occurred_at_us)


class MoreNotes(Notes):
    """Claims a kind that is taken."""

    name = "more_notes"


class NotAProjection:
    """Something else under the entry point."""


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group="lago_engine.projections")


def test_installed_projections_write_all_kinds_of_the_api() -> None:
    found = find_projections()
    assert found.failures == {}
    assert found.missing_kinds == ()
    names = [projection.name for projection in found.projections]
    assert names == sorted(names)


def test_nothing_installed_is_reported() -> None:
    found = find_projections([])
    assert found.projections == ()
    assert found.missing_kinds == API_KINDS


def test_broken_projections_are_reported_and_the_others_used() -> None:
    found = find_projections(
        [
            entry("gone", "no_such_module:Projection"),
            entry("wrong", f"{__name__}:NotAProjection"),
            entry("zz_twice", f"{__name__}:MoreNotes"),
            entry("notes", f"{__name__}:Notes"),
        ]
    )
    assert [projection.name for projection in found.projections] == ["notes"]
    assert sorted(found.failures) == ["gone", "wrong", "zz_twice"]
    assert "no_such_module" in found.failures["gone"]
    assert "'note'" in found.failures["zz_twice"]


# --- running, rebuilding, comparing ------------------------------------------------------------


def test_a_failing_projection_fails_the_commit() -> None:
    class Failing(Notes):
        def apply(self, event: DomainEvent, context: Context) -> None:
            super().apply(event, context)
            raise ValueError("cannot fold this")

    stored = MemoryDocuments()
    runner = InlineRunner([Failing()], stored)
    created = log.CONFIGURATION[0]
    with pytest.raises(ValueError, match="cannot fold this"):
        runner.apply(log.envelope(0), created, evolve_organization(None, created))
    runner.discard()
    assert runner.take_changes() == []


def test_rebuild_equals_what_an_engine_stored() -> None:
    engine = log.Engine()
    engine.feed(*log.HISTORY)
    projections = find_projections().projections
    rebuilt = rebuild(log.enveloped(log.HISTORY), projections, evolve_organization)
    assert len(rebuilt) == len(engine.documents) >= 20
    assert list(differences(rebuilt, engine.documents, API_KINDS)) == []


def test_documents_of_a_real_store_are_the_rebuilt_ones(tmp_path: Path) -> None:
    store = open_store(tmp_path, None)
    try:
        runner = InlineRunner(find_projections().projections, store.documents, cache_bytes_max=0)
        organization = None
        for envelope, event in log.enveloped(log.HISTORY):
            organization = evolve_organization(organization, event)
            runner.apply(envelope, event, organization)
            store.write_documents(runner.take_changes())
            runner.commit()
        rebuilt = rebuild(
            log.enveloped(log.HISTORY), find_projections().projections, evolve_organization
        )
        assert list(differences(rebuilt, store.documents, API_KINDS)) == []
        page, _ = store.documents.list(ORG, "invoice", Query(parent="cus_1"))
        assert {msgspec.json.decode(body)["status"] for body in page} == {"finalized", "voided"}
    finally:
        store.close()


def test_differences_are_found() -> None:
    engine = log.Engine()
    history = [fact for fact in log.HISTORY if fact not in log.DELETED]
    engine.feed(*history)
    rebuilt = rebuild(log.enveloped(history), find_projections().projections, evolve_organization)
    tax = engine.body("tax", "vat")
    assert tax is not None
    engine.documents.write(
        [
            change(tax.replace(b"20.5", b"20.6"), kind="tax", key="vat"),
            change(b"{}", kind="plan", key="forged"),
            change(None, kind="customer", key="cus_1"),
        ]
    )
    found = {(each.kind, each.key): each.problem for each in _all(rebuilt, engine.documents)}
    assert found == {
        ("tax", "vat"): "different",
        ("plan", "forged"): "unexpected",
        ("customer", "cus_1"): "missing",
    }


def _all(expected: MemoryDocuments, stored: MemoryDocuments) -> list[Difference]:
    return list(differences(expected, stored, API_KINDS))
