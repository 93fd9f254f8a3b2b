"""Usage windows for decisions: read in memory, folded again from the log when they are not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.domain.timezones import day_starts, micros, to_exclusive, zone
from lago_engine.metering import BucketUsage as MeteredUsage
from lago_engine.metering import Meter, Period, Refold, Window
from lago_engine.store.port import Store

SEGMENTS_PER_READ: Final = 64
"""Segments in memory at a time while a window is folded."""


class WindowNotReady(Exception):
    """A decision asked for a window that must be folded from the log first; the decision is repeated."""

    def __init__(self, window: UsageWindow) -> None:
        super().__init__(window)
        self.window = window


class UsageWindows:
    """The usage windows of one partition."""

    def __init__(self, meter: Meter, store: Store) -> None:
        self._meter = meter
        self._store = store
        self._stopping = False

    def read(
        self,
        subscription_id: UUID,
        start: datetime,
        end: datetime,
        *,
        days: int,
        timezone: str | None,
    ) -> Mapping[UUID, Sequence[BucketUsage]]:
        """Usage per charge in [start, end], both inclusive; `UsageReader` of decisions."""
        window = subscription_id, start, end
        starts = day_starts_us(start, end, timezone)
        totals = self._meter.read_window(metered_window(window), Period(micros(end), days), starts)
        if totals is None:
            raise WindowNotReady(window)
        buckets: dict[UUID, list[BucketUsage]] = {}
        for total in totals:
            buckets.setdefault(total.charge_id, []).append(bucket_usage(total))
        return buckets

    def open(self, windows: Iterable[UsageWindow]) -> None:
        """Keep these windows folded from now on."""
        for window in windows:
            self._meter.open_window(metered_window(window))

    def close(self, windows: Iterable[UsageWindow]) -> None:
        """Nobody needs these windows any more."""
        for window in windows:
            self._meter.close_window(metered_window(window))

    def require(self, window: UsageWindow) -> Window | None:
        """Register a window; None when it can be read, else what has to be folded first."""
        metered = metered_window(window)
        return None if self._meter.open_window(metered) else metered

    def fold(self, window: UsageWindow) -> None:
        """Register a window and complete it from the log; blocks on reading its segments."""
        metered = self.require(window)
        if metered is not None:
            self.refold(metered)

    def refold(self, window: Window) -> None:
        """Complete a window from the log, if it is registered still; blocks. Any thread."""
        while not self._stopping and self._meter.is_incomplete(window):
            refold = self._meter.begin_refold(window)
            if refold is not None and self._feed(refold):
                self._meter.finish_refold(refold)

    def _feed(self, refold: Refold) -> bool:
        """False: stopped on the way."""
        numbers = refold.needed
        for start in range(0, len(numbers), SEGMENTS_PER_READ):
            if self._stopping:
                return False
            refold.feed(self._store.read_segments(numbers[start : start + SEGMENTS_PER_READ]))
        return not self._stopping

    def stop_folding(self) -> None:
        """Give up refolds under way; their windows stay incomplete."""
        self._stopping = True

    def is_incomplete(self, window: Window) -> bool:
        """Whether the window is registered and cannot be read yet."""
        return self._meter.is_incomplete(window)

    def take_incomplete(self) -> Sequence[Window]:
        """Windows that became incomplete since the last call."""
        return self._meter.take_incomplete()


def day_starts_us(start: datetime, end: datetime, timezone: str | None) -> list[int] | None:
    """The first instants of the local days of a window but the first; None without a time zone."""
    if timezone is None:
        return None
    return [micros(first) for first in day_starts(start, end, zone(timezone))]


def bucket_usage(total: MeteredUsage) -> BucketUsage:
    """Totals as metering has them, as decisions take them."""
    aggregated = total.total_aggregated_units
    return BucketUsage(
        total.units,
        total.events_count,
        total.filter_id,
        total.group,
        None if aggregated == total.units else aggregated,
        total.values,
        total.changes,
        total.precise_total_amount_cents,
        total.breakdown,
    )


def metered_window(window: UsageWindow) -> Window:
    """The half-open window of metering."""
    subscription_id, start, end = window
    return Window(subscription_id, micros(start), micros(to_exclusive(end)))
