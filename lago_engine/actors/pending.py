"""Usage that waits to be billed, for decisions: what metering kept of it, or what the log says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from lago_engine.actors.usage import WindowNotReady, metered_window
from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import PendingUsage, UsageChange
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.domain.invoicing.model import BilledEvent, Fee, Place
from lago_engine.domain.timezones import MICROSECOND, from_micros, micros
from lago_engine.metering import Meter, Window
from lago_engine.metering import PendingUsage as MeteredUsage
from lago_engine.store.port import Store


class ChangeNotReady(WindowNotReady):
    """What pending events changed in a window must be found in the log first; the decision is repeated."""


class PendingReader:
    """The usage of one partition that waits to be billed; `InAdvanceReader` of decisions."""

    def __init__(self, meter: Meter, store: Store) -> None:
        self._meter = meter
        self._store = store

    def pending(
        self, subscription_id: UUID, *, after: Place | None, limit: int
    ) -> Sequence[PendingUsage]:
        found = self._meter.pending_usage(subscription_id, after=after, limit=limit)
        return [domain_usage(subscription_id, record) for record in found]

    def change(self, usage: PendingUsage, start: datetime, end: datetime) -> UsageChange:
        """What an event did in [start, end]. Raises ChangeNotReady."""
        if usage.change is None or usage.window != (start, end):
            raise ChangeNotReady((usage.subscription_id, start, end))
        return usage.change

    def foreseen(
        self, subscription_id: UUID, window: tuple[datetime, datetime], event: bytes, at: datetime
    ) -> Sequence[PendingUsage]:
        """What an event would change; `UsageProbe` of estimates. Raises WindowNotReady."""
        wanted = (subscription_id, *window)
        found = self._meter.probe_window(metered_window(wanted), event, timestamp_us=micros(at))
        if found is None:
            raise WindowNotReady(wanted)
        return [domain_usage(subscription_id, record) for record in found]

    def trace(self, window: UsageWindow) -> None:
        """Find in the log what the pending events of a window changed; blocks on reading its segments."""
        numbers = self._meter.needed_segments(window[0])
        self._meter.trace_window(metered_window(window), self._store.read_segments(numbers))


def billed_places(event: e.DomainEvent) -> Mapping[UUID, Place]:
    """How far a fact bills the usage of subscriptions."""
    match event:
        case e.UsagePassedOver():
            return {event.subscription_id: event.place}
        case e.FeeCreated():
            return _billed((event.fee.fee,))
        case e.InvoiceFinalized() | e.InvoiceClosed():
            regroups = event.invoice.invoice_type == "advance_charges"
            return {} if regroups else _billed(event.invoice.fees)
        case _:
            return {}


def _billed(fees: Sequence[Fee]) -> dict[UUID, Place]:
    return {
        fee.subscription_id: fee.billed_event.place
        for fee in fees
        if isinstance(fee.billed_event, BilledEvent) and fee.subscription_id is not None
    }


def domain_usage(subscription_id: UUID, record: MeteredUsage) -> PendingUsage:
    """A record of metering as decisions see it."""
    change = record.change
    return PendingUsage(
        place=record.place,
        subscription_id=subscription_id,
        charge_id=record.charge_id,
        filter_id=record.filter_id,
        group=record.group,
        timestamp=from_micros(record.timestamp_us),
        transaction_id=record.transaction_id,
        precise_total_amount_cents=record.precise_total_amount_cents,
        window=None if change is None else _inclusive(change.window),
        change=None
        if change is None
        else UsageChange(change.delta, change.units, change.events_count),
    )


def _inclusive(window: Window) -> tuple[datetime, datetime]:
    return from_micros(window.from_us), from_micros(window.to_us) - MICROSECOND
