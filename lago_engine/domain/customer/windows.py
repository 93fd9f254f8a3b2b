"""Windows of a customer's subscriptions: those on invoice links, and those metering keeps open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.settings import subject_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.invoicing.model import InvoiceLink
from lago_engine.domain.periods import (
    PeriodSubject,
    Windows,
    link_windows,
)
from lago_engine.domain.timezones import start_of_day
from lago_engine.domain.zone_changes import align_base_fee, follow_zone_change

UsageWindow = tuple[UUID, datetime, datetime]
"""(subscription id, first instant, last instant), both inclusive."""


def windows_of_link(link: InvoiceLink) -> Windows:
    """The three windows a link was made with."""
    return Windows(
        subscription_from=link.from_datetime,
        subscription_to=link.to_datetime,
        charges_from=link.charges_from_datetime,
        charges_to=link.charges_to_datetime,
        fixed_charges_from=link.fixed_charges_from_datetime,
        fixed_charges_to=link.fixed_charges_to_datetime,
    )


def after_zone_change(
    windows: Windows,
    subscription: Subscription,
    subject: PeriodSubject,
    at: datetime,
) -> Windows:
    """What is billed goes on where the last link ended, after a move to another zone (billing_periods.md §16).

    The base fee does so after later links too: days that one of them kept may lie beside the grid of the new zone.
    """
    link = subscription.last_link
    if link is None:
        return windows
    last = windows_of_link(link)
    if subscription.base_fees:
        windows = align_base_fee(subject, at, windows, last=last, last_timezone=link.timezone)
    if link.timezone == subject.timezone:
        return windows
    return follow_zone_change(windows, last=last)


def running_windows(subject: PeriodSubject, subscription: Subscription, at: datetime) -> Windows:
    """The windows of the period that contains `at`: what usage pages show."""
    windows = link_windows(subject, at, mode="current_usage")
    return after_zone_change(windows, subscription, subject, at)


def period_windows(subject: PeriodSubject, subscription: Subscription, at: datetime) -> Windows:
    """The windows of the period that a usage event at `at` belongs to.

    An event before the point where usage goes on after a change of zone lies in the period as it was before.
    """
    windows = running_windows(subject, subscription, at)
    if windows.charges_from is not None and windows.charges_from <= at:
        return windows
    return link_windows(subject, at, mode="current_usage")


def open_usage_windows(state: CustomerState, organization: OrganizationState) -> set[UsageWindow]:
    """What metering should keep folded: the unbilled period and the one after it, and every draft's."""
    return set(_running(state, organization)) | set(_drafted(state))


def _running(state: CustomerState, organization: OrganizationState) -> Iterator[UsageWindow]:
    for subscription in state.subscriptions.values():
        if subscription.status != "active":
            continue
        subject = subject_of(subscription, state.profile, organization)
        for at in _unbilled(subject, subscription):
            windows = running_windows(subject, subscription, at)
            if windows.charges_from is not None and windows.charges_to is not None:
                yield subscription.id, windows.charges_from, windows.charges_to


def _unbilled(subject: PeriodSubject, subscription: Subscription) -> tuple[datetime, ...]:
    """Instants in the period that is billed next and in the one after it."""
    cursor = billing_instant(subject, subscription)
    if cursor is not None:
        return cursor - timedelta(microseconds=1), cursor
    return (subject.start if subscription.ending_at is None else subscription.ending_at,)


def billing_instant(subject: PeriodSubject, subscription: Subscription) -> datetime | None:
    """When the subscription's next period is to be billed: the first instant of a local grid day.

    A zone change may move the grid by a few days, to either side of the stored one; then the nearest grid day counts.
    """
    day = subscription.next_billing_on
    if day is None:
        return None
    earlier = subject.billing_grid.start(day)
    later = subject.billing_grid.next(earlier)
    return start_of_day(min(earlier, later, key=lambda start: abs(start - day)), subject.tz)


def _drafted(state: CustomerState) -> Iterator[UsageWindow]:
    for draft in state.drafts.values():
        for link in draft.links:
            if link.charges_from_datetime is not None and link.charges_to_datetime is not None:
                yield link.subscription_id, link.charges_from_datetime, link.charges_to_datetime
