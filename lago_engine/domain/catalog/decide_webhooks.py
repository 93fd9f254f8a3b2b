"""Decisions about webhook endpoints (api_conventions §9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, get_args
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import SignatureAlgo, WebhookEndpoint
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.catalog.webhook_types import WEBHOOK_TYPES
from lago_engine.domain.commands import (
    CreateWebhookEndpoint,
    DeleteWebhookEndpoint,
    UpdateWebhookEndpoint,
)
from lago_engine.domain.events import (
    DomainEvent,
    WebhookEndpointCreated,
    WebhookEndpointDeleted,
    WebhookEndpointUpdated,
)
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, Checker, Reader
from lago_engine.errors import NotFound, ValidationFailed

ENDPOINTS_MAX: Final = 10


def _signature_algo(checker: Checker, field: str) -> str:
    return checker.choice(field, get_args(SignatureAlgo)) or "jwt"


def _webhook_url(checker: Checker, field: str) -> str | None:
    return checker.url(field, missing=MANDATORY)


_FIELDS: Final[Mapping[str, Reader]] = {
    "webhook_url": _webhook_url,
    "signature_algo": _signature_algo,
    "name": Checker.text,
}


def create_endpoint(
    state: OrganizationState, command: CreateWebhookEndpoint, *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(command.input)
    fields = checker.read(_FIELDS) | {"event_types": _event_types(checker)}
    _check_url(checker, state, fields["webhook_url"], own_id=None)
    checker.raise_failures()
    if len(state.webhook_endpoints) >= ENDPOINTS_MAX:
        raise ValidationFailed.of("base", "Maximum number of webhook endpoints was reached")
    endpoint_id = NewIds.after(state).take("webhook_endpoint")
    return [
        WebhookEndpointCreated(endpoint=WebhookEndpoint(id=endpoint_id, created_at=now, **fields))
    ]


def update_endpoint(
    state: OrganizationState, command: UpdateWebhookEndpoint, *, now: datetime
) -> list[DomainEvent]:
    endpoint = _endpoint(state, command.endpoint_id)
    checker = Checker(command.input)
    changes = checker.read_present(_FIELDS)
    if "event_types" in command.input:
        changes["event_types"] = _event_types(checker)
    _check_url(checker, state, changes.get("webhook_url"), own_id=endpoint.id)
    checker.raise_failures()
    return [WebhookEndpointUpdated(endpoint=msgspec.structs.replace(endpoint, **changes))]


def delete_endpoint(
    state: OrganizationState, command: DeleteWebhookEndpoint, *, now: datetime
) -> list[DomainEvent]:
    return [WebhookEndpointDeleted(endpoint=_endpoint(state, command.endpoint_id))]


def decide_webhook_url(
    state: OrganizationState, webhook_url: str | None, *, now: datetime
) -> list[DomainEvent]:
    """What an organization's own `webhook_url` does to its endpoints.

    It is the address of the first endpoint: a value changes it or creates one, none removes it.
    """
    first = first_endpoint(state)
    field = {"webhook_url": webhook_url}
    if first is not None and first.webhook_url == webhook_url:
        return []
    if not webhook_url:
        return [] if first is None else [WebhookEndpointDeleted(endpoint=first)]
    organization_id = state.organization.id
    if first is None:
        create = CreateWebhookEndpoint(organization_id=organization_id, input=field)
        return create_endpoint(state, create, now=now)
    update = UpdateWebhookEndpoint(
        organization_id=organization_id, endpoint_id=first.id, input=field
    )
    return update_endpoint(state, update, now=now)


def first_endpoint(state: OrganizationState) -> WebhookEndpoint | None:
    """The oldest endpoint: the one an organization shows as its `webhook_url`."""
    endpoints = state.webhook_endpoints.values()
    return min(endpoints, key=lambda endpoint: endpoint.created_at, default=None)


def _endpoint(state: OrganizationState, endpoint_id: UUID) -> WebhookEndpoint:
    if endpoint_id not in state.webhook_endpoints:
        raise NotFound("webhook_endpoint")
    return state.webhook_endpoints[endpoint_id]


def _check_url(
    checker: Checker, state: OrganizationState, url: str | None, *, own_id: UUID | None
) -> None:
    others = (item for key, item in state.webhook_endpoints.items() if key != own_id)
    if any(other.webhook_url == url for other in others):
        checker.fail("webhook_url", ALREADY_EXISTS)


def _event_types(checker: Checker) -> tuple[str, ...] | None:
    """The chosen types, each once; None (all of them) for null and for `["*"]`."""
    value = checker.values.get("event_types")
    if value is None:
        return None
    if not isinstance(value, list):
        checker.fail("event_types", "must_be_array")
        return None
    names = (str(item).strip().lower() for item in value if item is not None)
    chosen = tuple(dict.fromkeys(name for name in names if name))
    if chosen == ("*",):
        return None
    if unknown := [name for name in chosen if name not in WEBHOOK_TYPES]:
        quoted = ", ".join(f'"{name}"' for name in unknown)
        checker.fail("event_types", f"contains invalid types: [{quoted}]")
    return chosen
