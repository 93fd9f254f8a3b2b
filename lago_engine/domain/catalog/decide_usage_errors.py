"""The report of usage events that will not be billed as meant (events.md §5.3)."""

from __future__ import annotations

from datetime import datetime

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import ReportUsageErrors
from lago_engine.domain.events import DomainEvent, UsageErrorsFound


def report_usage_errors(
    state: OrganizationState, command: ReportUsageErrors, *, now: datetime
) -> list[DomainEvent]:
    """The errors of an hour, once, and hours in their order; an hour that was reported gives nothing."""
    if state.usage_errors_hour is not None and command.hour <= state.usage_errors_hour:
        return []
    return [
        UsageErrorsFound(
            hour=command.hour,
            invalid_code=command.invalid_code,
            missing_aggregation_property=command.missing_aggregation_property,
            invalid_filter_values=command.invalid_filter_values,
            cut=command.cut,
        )
    ]
