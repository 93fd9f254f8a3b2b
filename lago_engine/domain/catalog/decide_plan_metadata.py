"""Decisions about the metadata of a plan (plans.md §10, api_conventions.md §5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lago_engine.domain.catalog.decide_plans import plan_updated
from lago_engine.domain.catalog.references import live_plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    DeletePlanMetadata,
    Input,
    MergePlanMetadata,
    ReplacePlanMetadata,
)
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound

Metadata = Mapping[str, str | None]


def replace_metadata(
    state: OrganizationState, command: ReplacePlanMetadata, *, now: datetime
) -> list[DomainEvent]:
    """The metadata becomes what is given, also an empty object; null takes it away."""
    plan = live_plan(state, command.plan_code)
    return [plan_updated(plan, metadata=_read(command.input))]


def merge_metadata(
    state: OrganizationState, command: MergePlanMetadata, *, now: datetime
) -> list[DomainEvent]:
    """The keys given are added or changed; nothing given changes nothing."""
    plan = live_plan(state, command.plan_code)
    given = _read(command.input)
    metadata = {**(plan.metadata or {}), **given} if given else plan.metadata
    return [plan_updated(plan, metadata=metadata)]


def delete_metadata(
    state: OrganizationState, command: DeletePlanMetadata, *, now: datetime
) -> list[DomainEvent]:
    """All of it, or one key; an unknown key changes nothing. Raises NotFound `metadata_not_found`."""
    plan = live_plan(state, command.plan_code)
    if command.key is None:
        return [plan_updated(plan, metadata=None)]
    if plan.metadata is None:
        raise NotFound("metadata")
    left = {key: value for key, value in plan.metadata.items() if key != command.key}
    return [plan_updated(plan, metadata=left)]


def _read(given: Input | None) -> Metadata | None:
    checker = Checker({"metadata": given})
    metadata = checker.object_metadata("metadata")
    checker.raise_failures()
    return metadata
