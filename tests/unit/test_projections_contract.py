"""The first-party projections hold the projection contract, also after a round through the log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import projection_history as log
import pytest

from lago_engine.domain import events
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.events import EVENT_TYPES, DomainEvent
from lago_engine.projecting import Context, Projection, find_projections, rebuild
from lago_engine.store.codec import EventCodec
from lago_engine.testing.projection_contract import History, ProjectionContract


class TestFirstPartyProjections(ProjectionContract):
    def make_projections(self) -> Sequence[Projection]:
        return find_projections().projections

    def history(self) -> History:
        return log.enveloped(log.HISTORY)


def test_stored_events_give_the_same_documents() -> None:
    codec = EventCodec(EVENT_TYPES, {})
    history = log.enveloped(log.HISTORY)
    stored = [codec.decode(*codec.encode(envelope, event)) for envelope, event in history]
    projections = find_projections().projections
    assert (
        rebuild(stored, projections, evolve_organization).rows()
        == rebuild(history, projections, evolve_organization).rows()
    )


class TaxCount(Projection):
    """Counts taxes in a document, as a projection should: by way of the document."""

    name = "tax_count"
    kinds = ("tax_count",)
    handles = (events.TaxCreated, events.TaxDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        body = context.get("tax_count", "all")
        count = 0 if body is None else msgspec.json.decode(body)["count"]
        count += 1 if isinstance(event, events.TaxCreated) else -1
        context.put("tax_count", "all", msgspec.json.encode({"count": count}))


def contract_of(projection: type[Projection]) -> ProjectionContract:
    class Contract(ProjectionContract):
        def make_projections(self) -> Sequence[Projection]:
            return (projection(),)

        def history(self) -> History:
            return log.enveloped(log.CONFIGURATION + log.LEAVING[-2:-1])

    return Contract()


class TestRefusesWrongProjections:
    """The kit notices the mistakes it is for."""

    def test_state_between_events(self) -> None:
        class Counting(TaxCount):
            def __init__(self) -> None:
                self.count = 0

            def apply(self, event: DomainEvent, context: Context) -> None:
                self.count += 1
                context.put("tax_count", "all", b'{"count":%d}' % self.count)

        contract = contract_of(Counting)
        contract.test_replay_equals_live()
        with pytest.raises(AssertionError):
            contract.test_restart_anywhere()

    def test_undeclared_kind(self) -> None:
        class Straying(TaxCount):
            def apply(self, event: DomainEvent, context: Context) -> None:
                context.put("something_else", "all", b"{}")

        with pytest.raises(AssertionError):
            contract_of(Straying).test_documents_are_json_of_declared_kinds()

    def test_fold_through_documents_passes(self) -> None:
        contract = contract_of(TaxCount)
        contract.test_restart_anywhere()
        contract.test_failed_commits_leave_no_trace()
        contract.test_commits_may_overlap()
        contract.test_commits_may_hold_any_number_of_events()
