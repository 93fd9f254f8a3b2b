"""What a tick has decided and not yet committed: states on top of the committed ones, facts to append."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from lago_engine.actors.mailbox import Command
from lago_engine.actors.residents import Residents
from lago_engine.actors.streams import stream_of
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateSubscription, CustomerCommand
from lago_engine.domain.customer.decision import Recorded
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.events import (
    DomainEvent,
    PlanUpdated,
    SubscriptionCreated,
    SubscriptionRepriced,
    SubscriptionStarted,
    SubscriptionUpdated,
)
from lago_engine.domain.timezones import micros
from lago_engine.projecting.inline import InlineRunner
from lago_engine.store.codec import Envelope, EventCodec
from lago_engine.store.outbox import OutboxEntry
from lago_engine.webhooks.outbox import WebhookOutbox


class Fact(msgspec.Struct, frozen=True):
    """An event on its way into the log. customer_id is None for the organization's own streams."""

    stream_id: UUID
    customer_id: UUID | None
    envelope: Envelope
    event: DomainEvent
    topic: str
    body: bytes
    organization: OrganizationState


class Tentative:
    """One tick's worth of decisions; thrown away whole when the commit fails."""

    def __init__(
        self,
        residents: Residents,
        codec: EventCodec,
        projections: InlineRunner,
        webhooks: WebhookOutbox,
        recorded_at_us: int,
    ) -> None:
        self._residents = residents
        self._codec = codec
        self._projections = projections
        self._webhooks = webhooks
        self._recorded_at_us = recorded_at_us
        self.organizations: dict[UUID, OrganizationState] = {}
        self.customers: dict[UUID, CustomerState | None] = {}
        self.facts: list[Fact] = []
        self.outbox: list[OutboxEntry] = []
        self._starting: set[UUID] = set()
        self._external_ids: set[tuple[UUID, str]] = set()
        self._repriced: set[UUID] = set()
        self.outbox_sequences: dict[UUID, int] = {}

    def organization(self, organization_id: UUID) -> OrganizationState | None:
        """The organization as decided so far."""
        changed = self.organizations.get(organization_id)
        return changed or self._residents.organizations.get(organization_id)

    def customer(self, customer_id: UUID) -> CustomerState | None:
        """The customer as decided so far; it is in memory."""
        if customer_id in self.customers:
            return self.customers[customer_id]
        return self._residents.get(customer_id).state

    def must_commit_before(self, command: Command) -> bool:
        """Whether the command needs what metering and the directory learn from this tick's commit.

        That is which subscriptions there are, and which charges their plans have.
        """
        if not isinstance(command, CustomerCommand):
            return False
        if isinstance(command, CreateSubscription):
            name = command.organization_id, str(command.input.get("external_id")).strip()
            if name in self._external_ids:
                return True
        return command.customer_id in self._starting or command.organization_id in self._repriced

    def outbox_sequence(self, organization_id: UUID) -> int:
        """The number of the organization's last webhook."""
        known = self.outbox_sequences.get(organization_id)
        return self._residents.outbox_sequences.get(organization_id, 0) if known is None else known

    def add(
        self,
        recorded: Sequence[Recorded],
        *,
        organization_id: UUID,
        customer_id: UUID | None,
        actor: str,
        correlation_id: str,
    ) -> None:
        """Fold and project the facts of one accepted command."""
        for item in recorded:
            envelope = Envelope(
                recorded_at_us=self._recorded_at_us,
                occurred_at_us=micros(item.occurred_at),
                actor=actor,
                correlation_id=correlation_id,
                causation_id=correlation_id,
                organization_id=organization_id,
            )
            self._add(envelope, item.event, customer_id)

    def _add(self, envelope: Envelope, event: DomainEvent, customer_id: UUID | None) -> None:
        organization_id = envelope.organization_id
        if isinstance(event, SubscriptionCreated | SubscriptionStarted):
            self._starting.add(event.customer.id)
            self._external_ids.add((organization_id, event.subscription.external_id))
        elif isinstance(event, SubscriptionUpdated | SubscriptionRepriced):
            if event.subscription.plan_override:
                self._starting.add(event.customer.id)
        elif isinstance(event, PlanUpdated):
            self._repriced.add(organization_id)
        organization = evolve_organization(self.organization(organization_id), event)
        self.organizations[organization_id] = organization
        if customer_id is not None:
            self.customers[customer_id] = evolve_customer(self.customer(customer_id), event)
        topic, body = self._codec.encode(envelope, event)
        owner = customer_id or organization_id
        stream_id = stream_of(event, owner)
        self.facts.append(Fact(stream_id, customer_id, envelope, event, topic, body, organization))
        self._projections.apply(envelope, event, organization)
        documents = self._projections.documents
        entries = self._webhooks.entries(
            event,
            envelope,
            organization,
            documents,
            after_sequence=self.outbox_sequence(organization_id),
        )
        if entries:
            self.outbox_sequences[organization_id] = entries[-1].org_sequence
            self.outbox.extend(entries)
