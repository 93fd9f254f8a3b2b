"""Deliveries of an event's webhooks, frozen in the commit of the event (api_conventions.md §10.1)."""

from __future__ import annotations

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import WebhookEndpoint
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.projecting.projection import Context
from lago_engine.projecting.view import DocumentView
from lago_engine.store.codec import Envelope
from lago_engine.store.outbox import OutboxEntry
from lago_engine.webhooks.notice import Notice
from lago_engine.webhooks.notices import notices
from lago_engine.webhooks.signing import webhook_body


class WebhookOutbox:
    """Makes the deliveries of an event. Pure: the same log gives the same ids and payloads."""

    def entries(
        self,
        event: DomainEvent,
        envelope: Envelope,
        organization: OrganizationState,
        documents: DocumentView,
        *,
        after_sequence: int,
    ) -> list[OutboxEntry]:
        """One delivery for each webhook of the event and each endpoint that subscribes to it.

        Call it after the event was projected into `documents`, before the next one is.
        organization: the state right after the event. after_sequence: the organization's highest
        `org_sequence` so far; deliveries are numbered on from it.
        """
        if not organization.webhook_endpoints:
            return []
        entries: list[OutboxEntry] = []
        for notice in notices(event, Context(documents, envelope, organization)):
            endpoints = _subscribed(organization, notice.webhook_type)
            body = _body(notice, organization) if endpoints else b""
            for endpoint in endpoints:
                sequence = after_sequence + len(entries) + 1
                entries.append(_entry(notice, body, endpoint, envelope, sequence))
        return entries


def _subscribed(organization: OrganizationState, webhook_type: str) -> list[WebhookEndpoint]:
    """Endpoints that want a type, the oldest first."""
    wanted = [
        endpoint
        for endpoint in organization.webhook_endpoints.values()
        if endpoint.event_types is None or webhook_type in endpoint.event_types
    ]
    return sorted(wanted, key=lambda endpoint: (endpoint.created_at, endpoint.id))


def _body(notice: Notice, organization: OrganizationState) -> bytes:
    return webhook_body(
        {
            "webhook_type": notice.webhook_type,
            "object_type": notice.object_type,
            "organization_id": organization.organization.id,
            notice.object_type: notice.payload(),
        }
    )


def _entry(
    notice: Notice, body: bytes, endpoint: WebhookEndpoint, envelope: Envelope, sequence: int
) -> OutboxEntry:
    return OutboxEntry(
        id=ids.derive(envelope.organization_id, "webhook", sequence),
        organization_id=envelope.organization_id,
        org_sequence=sequence,
        webhook_type=notice.webhook_type,
        object_type=notice.object_type,
        webhook_url=endpoint.webhook_url,
        endpoint_id=endpoint.id,
        signature_algo=endpoint.signature_algo,
        payload=body,
        # Deliveries run by real time, also those of an organization with a virtual clock.
        created_at_us=envelope.recorded_at_us,
        next_attempt_at_us=envelope.recorded_at_us,
    )
