"""An organization under test: commands in, facts out, its state folded from what was stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

import msgspec
import pytest

from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateOrganization, OrganizationCommand
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.events import EVENT_TYPES, DomainEvent, SubscriptionCreated
from lago_engine.domain.ids import customer_id, derive
from lago_engine.errors import ValidationFailed

ORGANIZATION_ID = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

_AnyEvent: Any = reduce(or_, EVENT_TYPES)


class Catalog:
    """One organization. Every decided event goes through JSON before it changes the state."""

    def __init__(self, *, test: bool = False, **fields: Any) -> None:
        self.state: OrganizationState | None = None
        self.now = NOW
        self.created = self._store(
            CreateOrganization(
                organization_id=ORGANIZATION_ID,
                input={"name": "Acme Cloud", **fields},
                key_hash="ab" * 32,
                key_last_four="7f21",
                hmac_key="3f0c2a58-5d6e-4a0b-9b9b-0d8a0f6f4b11",
                test=test,
            )
        )

    @property
    def folded(self) -> OrganizationState:
        assert self.state is not None
        return self.state

    def do(self, kind: type[OrganizationCommand], **members: Any) -> list[DomainEvent]:
        return self._store(kind(organization_id=ORGANIZATION_ID, **members))

    def one(self, kind: type[OrganizationCommand], **members: Any) -> Any:
        events = self.do(kind, **members)
        assert len(events) == 1
        return events[0]

    def refuses(self, kind: type[OrganizationCommand], **members: Any) -> Mapping[str, list[str]]:
        """The codes by field of a 422; the state is what it was."""
        before = self.state
        with pytest.raises(ValidationFailed) as refused:
            self.do(kind, **members)
        assert self.state is before
        return refused.value.details

    def see(self, *events: DomainEvent) -> None:
        for event in events:
            self.state = evolve_organization(self.state, event)

    def _store(self, command: OrganizationCommand) -> list[DomainEvent]:
        events = decide_organization(self.state, command, now=self.now)
        assert events == decide_organization(self.state, command, now=self.now)
        stored = [msgspec.json.decode(msgspec.json.encode(e), type=_AnyEvent) for e in events]
        assert stored == events
        self.see(*stored)
        return events


def attach(catalog: Catalog, plan: Plan) -> None:
    """A subscription, whatever becomes of it later, attaches its plan."""
    organization_id = catalog.folded.organization.id
    owner = customer_id(organization_id, "c1")
    profile = CustomerProfile(
        id=owner,
        organization_id=organization_id,
        external_id="c1",
        sequential_id=1,
        slug="ACM-7F21-001",
        billing_entity_code="acme_cloud",
        created_at=NOW,
        updated_at=NOW,
    )
    subscription = Subscription(
        id=derive(owner, "subscription", 1),
        external_id="s1",
        plan_id=plan.id,
        plan_code=plan.code,
        status="pending",
        billing_time="calendar",
        subscription_at=NOW,
        created_at=NOW,
    )
    catalog.see(SubscriptionCreated(customer=profile, subscription=subscription))
