"""What pricing has to know of a usage window: the usage in it, and its days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.decision import BucketUsage, UsageReader
from lago_engine.domain.periods import PeriodSubject, charges_days
from lago_engine.domain.proration import paid_days
from lago_engine.domain.rating.prorating import PaidDays


def usage_in(
    usage: UsageReader,
    plan: Plan,
    subject: PeriodSubject,
    subscription_id: UUID,
    window: tuple[datetime, datetime],
) -> Mapping[UUID, Sequence[BucketUsage]]:
    """Usage by charge in [start, end], both inclusive; nothing for a plan without charges."""
    if not plan.charges:
        return {}
    start, end = window
    prorated = any(charge.prorated for charge in plan.charges)
    timezone = subject.timezone if prorated else None
    return usage(subscription_id, start, end, days=charges_days(subject, end), timezone=timezone)


def days_of(subject: PeriodSubject, window: tuple[datetime, datetime], at: datetime) -> PaidDays:
    """The days of a usage window that is billed at `at`."""
    return PaidDays(carried=paid_days(subject, window, at), period=charges_days(subject, window[1]))
