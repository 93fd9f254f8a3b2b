"""Usage that no open window tells: folded from the log for a question, and kept for the next time it is asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import msgspec

from lago_engine.actors.directory import metered_charge
from lago_engine.actors.usage import bucket_usage, day_starts_us
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.rating.usage_question import AskedUsage, Used
from lago_engine.domain.timezones import micros, to_exclusive
from lago_engine.metering import Meter, MeteredCharge, Period, UsageFold
from lago_engine.store.port import Store

FOLDS_MAX: Final = 32
"""Folds kept; the least recently asked one is forgotten first."""

SEGMENTS_PER_READ: Final = 64


class _Kept:
    """A fold of one question; one reader at a time takes it further."""

    def __init__(self, fold: UsageFold, selection: int) -> None:
        self.fold = fold
        self.selection = selection
        self.lock = threading.Lock()


class AskedFolds:
    """Answers from the log. A question that was asked before only reads the segments that came since.

    Any thread may ask; a call blocks while the log is read.
    """

    def __init__(self, meter: Meter, store: Store) -> None:
        self._meter = meter
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def read(self, asked: AskedUsage) -> Used:
        """Usage by charge, of everything committed when the call came."""
        charges = [metered_charge(charge, metric) for charge, metric in asked.charges]
        kept = self._fold_of(asked, charges)
        organization_id = asked.organization.organization.id
        with kept.lock:
            # Numbers before streams: a stream that is new by then has nothing in older segments.
            numbers = self._meter.segments_of(organization_id, asked.subscription.external_id)
            kept.fold.read_streams(
                self._meter.streams_of(organization_id, asked.subscription.external_id)
            )
            new = [number for number in numbers if number > kept.fold.fed]
            for start in range(0, len(new), SEGMENTS_PER_READ):
                segments = self._store.read_segments(new[start : start + SEGMENTS_PER_READ])
                kept.fold.feed(segments, parallel=True)
            return read_selection(kept.fold, kept.selection, asked)

    def _fold_of(self, asked: AskedUsage, charges: list[MeteredCharge]) -> _Kept:
        only = sorted(asked.question.only.items())
        key = msgspec.msgpack.encode((asked.subscription.id, _bounds(asked), charges, only))
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                fold = self._meter.usage_fold(streams=())
                selection = select(fold, asked, fold.plan(charges))
                kept = self._kept[key] = _Kept(fold, selection)
            self._kept.move_to_end(key)
            while len(self._kept) > FOLDS_MAX:
                self._kept.popitem(last=False)
        return kept


def select(fold: UsageFold, asked: AskedUsage, plan: int) -> int:
    """Add the events of a question to a fold; plan: the number of its charges there."""
    return fold.select(
        asked.organization.organization.id,
        asked.subscription.external_id,
        *_bounds(asked),
        plan,
        only=asked.question.only,
    )


def read_selection(fold: UsageFold, selection: int, asked: AskedUsage) -> Used:
    """What a fold has of a question, by charge."""
    totals = fold.read(
        selection,
        Period(micros(asked.end), asked.days),
        day_starts_us(asked.start, asked.end, asked.timezone),
    )
    used = {charge.id: list[BucketUsage]() for charge, _ in asked.charges}
    for total in totals:
        used[total.charge_id].append(bucket_usage(total))
    return used


def _bounds(asked: AskedUsage) -> tuple[int, int]:
    """The part of the window that lies in the subscription, half-open."""
    subscription = asked.subscription
    assert subscription.started_at is not None
    start = max(micros(asked.start), micros(subscription.started_at))
    end = micros(to_exclusive(asked.end))
    if subscription.terminated_at is not None:
        end = min(end, micros(subscription.terminated_at))
    return start, max(start, end)
