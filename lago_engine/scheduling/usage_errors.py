"""The hourly look at usage events that were accepted and will not be billed as meant (events.md §5.3).

Five minutes after an hour of an organization's clock its events are read from the log, and what is wrong becomes a fact, from
which the webhook `events.errors` follows. The fact says which hour it is of, so that none is reported twice; how far the log
was looked through is kept beside it, so that none is left out over a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import ReportUsageErrors
from lago_engine.domain.timezones import from_micros, micros
from lago_engine.metering import HourErrors, Meter, MetricRule, usage_errors
from lago_engine.store.port import Store
from lago_engine.store.segments import stored_segments

HOUR: Final = timedelta(hours=1)
DELAY: Final = timedelta(minutes=5)
"""Lago looks at minute 5 of each hour."""

HOUR_US: Final = HOUR // timedelta(microseconds=1)
_BEGINNING_US: Final = -(2**63)


class Execute(Protocol):
    async def __call__(self, command: ReportUsageErrors, *, actor: str) -> Any: ...


class UsageErrorReports:
    """Looks through the hours of every organization, each once, in order."""

    def __init__(
        self,
        meter: Meter,
        store: Store,
        organizations: Mapping[UUID, OrganizationState],
        execute: Execute,
        read: Callable[..., Awaitable[Any]],
    ) -> None:
        """read: runs a blocking function off the loop."""
        self._meter = meter
        self._store = store
        self._organizations = organizations
        self._execute = execute
        self._read = read
        self._looked_us: dict[UUID, int | None] = {}

    async def catch_up(self, organization_id: UUID, until: datetime, *, actor: str) -> None:
        """Report every hour that ended at least five minutes before `until` and was not looked at yet."""
        if not self._organizations[organization_id].webhook_endpoints:
            return
        end_us = _complete_us(until)
        looked_us = await self._looked(organization_id)
        if looked_us is not None and looked_us >= end_us:
            await self._wind_back(organization_id, looked_us, until)
            return
        for command in await self.find(organization_id, until):
            await self._execute(command, actor=actor)
        await self.passed(organization_id, until)

    async def find(self, organization_id: UUID, until: datetime) -> list[ReportUsageErrors]:
        """A command for each hour with errors that `catch_up` would report; changes nothing."""
        organization = self._organizations[organization_id]
        if not organization.webhook_endpoints:
            return []
        from_us = await self._looked(organization_id)
        if from_us is None:
            from_us = _first_endpoint_us(organization, until)
        found: list[HourErrors] = await self._read(
            self._errors, organization, from_us, _complete_us(until)
        )
        return [_command(organization_id, hour) for hour in found]

    async def passed(self, organization_id: UUID, until: datetime) -> None:
        """All hours that are complete at `until` have been looked at and reported."""
        if not self._organizations[organization_id].webhook_endpoints:
            return
        end_us = _complete_us(until)
        looked_us = await self._looked(organization_id)
        if looked_us is None or looked_us < end_us:
            self._looked_us[organization_id] = end_us
            # An hour without usage is looked at again after a restart for nothing; writing it down would cost a sync.
            if self._segments(organization_id, looked_us, end_us):
                await self._read(self._store.meta_put, _key(organization_id), b"%d" % end_us)

    async def _looked(self, organization_id: UUID) -> int | None:
        """The end of the last hour that was looked at; None before the first."""
        if organization_id not in self._looked_us:
            raw = await self._read(self._store.meta_get, _key(organization_id))
            self._looked_us[organization_id] = None if raw is None else int(raw)
        return self._looked_us[organization_id]

    async def _wind_back(self, organization_id: UUID, looked_us: int, now: datetime) -> None:
        """A virtual clock that went back lives its hours again."""
        hour_us = micros(now) // HOUR_US * HOUR_US
        if looked_us > hour_us:
            self._looked_us[organization_id] = hour_us
            await self._read(self._store.meta_put, _key(organization_id), b"%d" % hour_us)

    def _segments(self, organization_id: UUID, from_us: int | None, end_us: int) -> Sequence[int]:
        return self._meter.segments_of_organization(
            organization_id, received_from_us=from_us, received_to_us=end_us - 1
        )

    def _errors(
        self, organization: OrganizationState, from_us: int | None, end_us: int
    ) -> list[HourErrors]:
        """The hours with errors in [from_us, end_us); from_us None: since ever."""
        owner = organization.organization.id
        return usage_errors(
            owner,
            stored_segments(self._store, self._segments(owner, from_us, end_us)),
            [_rule(metric) for metric in organization.metrics.values()],
            received_from_us=_BEGINNING_US if from_us is None else from_us,
            received_to_us=end_us - 1,
        )


def _complete_us(until: datetime) -> int:
    """The end of the last hour to be looked at."""
    return micros(until - DELAY) // HOUR_US * HOUR_US


def _first_endpoint_us(organization: OrganizationState, until: datetime) -> int | None:
    """The beginning of the hour in which somebody first listened; None on a virtual clock from before that."""
    first = min(endpoint.created_at for endpoint in organization.webhook_endpoints.values())
    return micros(first) // HOUR_US * HOUR_US if first <= until else None


def _rule(metric: BillableMetric) -> MetricRule:
    filters = [(each.key, each.values) for each in metric.filters]
    return MetricRule(metric.code, metric.aggregation_type, metric.field_name, filters)


def _command(organization_id: UUID, errors: HourErrors) -> ReportUsageErrors:
    return ReportUsageErrors(
        organization_id=organization_id,
        hour=from_micros(errors.hour_us),
        invalid_code=tuple(errors.invalid_code),
        missing_aggregation_property=tuple(errors.missing_aggregation_property),
        invalid_filter_values=tuple(errors.invalid_filter_values),
        cut=errors.cut,
    )


def due_at(command: ReportUsageErrors) -> datetime:
    """When the errors of an hour are reported."""
    return command.hour + HOUR + DELAY


def _key(organization_id: UUID) -> str:
    return f"usage_errors:{organization_id.hex}"
