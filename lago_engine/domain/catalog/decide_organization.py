"""Decisions about an organization itself and its clock (api_conventions §7, test_clocks §1, §2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.decide_webhooks import decide_webhook_url
from lago_engine.domain.catalog.entities import ApiKey, Organization
from lago_engine.domain.catalog.evolve import evolve_all
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.settings import (
    read_new_settings,
    read_settings,
    read_test_settings,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreateOrganization, SetClock, UpdateOrganization
from lago_engine.domain.events import (
    ApiKeyCreated,
    ClockSet,
    DomainEvent,
    OrganizationCreated,
    OrganizationUpdated,
)
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound, ValidationFailed

_FIRST_KEY_NAME: Final = "Default"


def create_organization(command: CreateOrganization, *, now: datetime) -> list[DomainEvent]:
    """The organization, its first API key and, when it names a `webhook_url`, its first endpoint."""
    checker = Checker(command.input)
    name = checker.mandatory_text("name")
    checker.raise_failures()
    organization_id = command.organization_id
    fields: dict[str, Any] = {
        "document_number_prefix": _default_prefix(name, organization_id),
        "billing_entity_code": _snake_case(name),
    } | read_new_settings(command.input)
    organization = Organization(
        id=organization_id,
        name=name,
        created_at=now,
        hmac_key=command.hmac_key,
        test=command.test,
        **fields,
    )
    api_key = ApiKey(
        id=NewIds(organization_id, 0).take("api_key"),
        key_hash=command.key_hash,
        last_four=command.key_last_four,
        name=_FIRST_KEY_NAME,
        created_at=now,
    )
    events: list[DomainEvent] = [
        OrganizationCreated(organization=organization),
        ApiKeyCreated(api_key=api_key),
    ]
    state = evolve_all(None, events)
    return [*events, *_webhook_url_events(state, command.input, now=now)]


def update_organization(
    state: OrganizationState, command: UpdateOrganization, *, now: datetime
) -> list[DomainEvent]:
    """Changes the settings present; a test organization may also be told its test settings."""
    changes = read_settings(command.input)
    if state.organization.test:
        changes |= read_test_settings(command.input)
    organization = msgspec.structs.replace(state.organization, **changes)
    events: list[DomainEvent] = [OrganizationUpdated(organization=organization)]
    return [*events, *_webhook_url_events(state, command.input, now=now)]


def set_clock(state: OrganizationState, command: SetClock, *, now: datetime) -> list[DomainEvent]:
    """Sets the virtual clock; the first time, coming from real time, to any instant."""
    if not state.organization.test:
        raise NotFound("resource")
    backwards = state.clock is not None and command.now is not None and command.now < state.clock
    if backwards and not command.rewind:
        raise ValidationFailed.of("now", "cannot_go_back")
    return [ClockSet(now=command.now)]


def _webhook_url_events(
    state: OrganizationState, values: Mapping[str, Any], *, now: datetime
) -> list[DomainEvent]:
    checker = Checker(values)
    present = checker.read_present({"webhook_url": Checker.text})
    checker.raise_failures()
    return decide_webhook_url(state, present["webhook_url"], now=now) if present else []


def _default_prefix(name: str, organization_id: UUID) -> str:
    return f"{name[:3]}-{organization_id.hex[-4:]}".upper()


def _snake_case(name: str) -> str:
    """`Acme Cloud` and `AcmeCloud` give `acme_cloud`; a name without letters gives `default`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", words).strip("_").lower() or "default"
