"""What a decision about a customer is made of: its surroundings, and the facts it records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.invoicing.model import Place
from lago_engine.domain.rating.charge_models.model import Changes, Group, Run


class BucketUsage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Aggregated usage of one bucket of a charge in one window, before the metric's rounding.

    filter_id: the charge filter, None for the default bucket. group: a value per pricing group key. aggregated:
    total of a weighted sum where it is not its units (metrics.md §6.6). The rest is there where the charge needs it:
    values: of the events in order of time. changes: of a prorated charge. events_amount_cents: Σ of the amounts that
    events carry, minor units. breakdown: units by the values of the presentation keys.
    """

    units: Decimal
    events_count: int
    filter_id: UUID | None = None
    group: Group = ()
    aggregated: Decimal | None = None
    values: tuple[Run, ...] = ()
    changes: Changes | None = None
    events_amount_cents: Decimal | None = None
    breakdown: tuple[tuple[Group, Decimal], ...] = ()


class UsageReader(Protocol):
    """Reads a usage window that is complete; both ends inclusive, as on invoices.

    days: those of the whole period that the window is part of. timezone: by whose days prorated charges are
    paid; None for a plan without any. The answer has the buckets of each charge.
    """

    def __call__(
        self,
        subscription_id: UUID,
        start: datetime,
        end: datetime,
        *,
        days: int,
        timezone: str | None,
    ) -> Mapping[UUID, Sequence[BucketUsage]]: ...


class UsageChange(msgspec.Struct, frozen=True):
    """What an event did to its bucket: the change of its units, its units and events right after it."""

    delta: Decimal
    units: Decimal
    events_count: int


class PendingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One event on one charge that is paid in advance, until it is billed.

    change: what it did in `window` (both ends inclusive), where that is known already.
    """

    place: Place
    subscription_id: UUID
    charge_id: UUID
    filter_id: UUID | None
    group: tuple[str | None, ...]
    timestamp: datetime
    transaction_id: str
    precise_total_amount_cents: Decimal | None
    window: tuple[datetime, datetime] | None = None
    change: UsageChange | None = None


class InAdvanceReader(Protocol):
    """Reads the usage that waits to be billed, in log order."""

    def pending(
        self, subscription_id: UUID, *, after: Place | None, limit: int
    ) -> Sequence[PendingUsage]: ...

    def change(self, usage: PendingUsage, start: datetime, end: datetime) -> UsageChange:
        """What an event did in the window [start, end], both inclusive."""


class NothingPending:
    """No usage waits to be billed."""

    def pending(
        self, subscription_id: UUID, *, after: Place | None, limit: int
    ) -> Sequence[PendingUsage]:
        return ()

    def change(self, usage: PendingUsage, start: datetime, end: datetime) -> UsageChange:
        raise AssertionError("nothing is pending")


class Recorded(msgspec.Struct, frozen=True):
    """A fact and the instant it belongs to."""

    event: DomainEvent
    occurred_at: datetime


class Decision:
    """Collects the facts of one decision and folds each into the state that the rest of it sees."""

    def __init__(
        self,
        state: CustomerState | None,
        organization: OrganizationState,
        *,
        now: datetime,
        usage: UsageReader,
        in_advance: InAdvanceReader | None = None,
    ) -> None:
        self._state = state
        self.organization = organization
        self.now = now
        self.usage = usage
        self.in_advance = in_advance or NothingPending()
        self._recorded: list[Recorded] = []

    @property
    def exists(self) -> bool:
        """Whether there is a customer yet."""
        return self._state is not None

    @property
    def state(self) -> CustomerState:
        assert self._state is not None
        return self._state

    @property
    def recorded(self) -> Sequence[Recorded]:
        return self._recorded

    def record(self, event: DomainEvent, *, at: datetime | None = None) -> None:
        """Add a fact; `at` is the instant it belongs to, the decision's `now` by default."""
        self._state = evolve_customer(self._state, event)
        self.organization = evolve_organization(self.organization, event)
        self._recorded.append(Recorded(event, at or self.now))
