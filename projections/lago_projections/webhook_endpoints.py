"""`webhook_endpoint` documents (api_conventions.md §9)."""

from __future__ import annotations

from lago_engine.domain.catalog.entities import WebhookEndpoint
from lago_engine.domain.events import (
    DomainEvent,
    WebhookEndpointCreated,
    WebhookEndpointDeleted,
    WebhookEndpointUpdated,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.wire import Members, encode, instant


class WebhookEndpointProjection(Projection):
    """Endpoints; key: lago_id. Lists are by URL."""

    name = "webhook_endpoints"
    kinds = ("webhook_endpoint",)
    handles = (WebhookEndpointCreated, WebhookEndpointUpdated, WebhookEndpointDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(
            event, WebhookEndpointCreated | WebhookEndpointUpdated | WebhookEndpointDeleted
        )
        endpoint = event.endpoint
        key = str(endpoint.id)
        if isinstance(event, WebhookEndpointDeleted):
            context.delete("webhook_endpoint", key)
            return
        body = encode(endpoint_object(endpoint, context))
        context.put("webhook_endpoint", key, body, sort_key=endpoint.webhook_url)


def endpoint_object(endpoint: WebhookEndpoint, context: Context) -> Members:
    """An endpoint; `event_types` null stands for all of them."""
    return {
        "lago_id": endpoint.id,
        "lago_organization_id": context.organization_id,
        "webhook_url": endpoint.webhook_url,
        "signature_algo": endpoint.signature_algo,
        "name": endpoint.name,
        "event_types": endpoint.event_types,
        "created_at": instant(endpoint.created_at),
    }
