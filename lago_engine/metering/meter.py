"""The meter of one partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID

from lago_engine._core import Core, Ingest, Refold, RepetitionCheck, Sealed
from lago_engine.metering.log_fold import UsageFold
from lago_engine.metering.registry import (
    BucketUsage,
    MeteredCharge,
    MeteredSubscription,
    PendingUsage,
    Period,
    Place,
    UsageChange,
    Window,
    charge_argument,
    keep_arguments,
    usage_of,
)

if TYPE_CHECKING:
    from lago_engine._core import _Change, _PendingRow


class MeterStats(NamedTuple):
    """Figures for metrics and health.

    duplicates: refused since the start of the process; so many repetitions_* said the same as their original, something
    different, or were not compared. far_timestamps: accepted since the start, beyond the year 2200.
    fingerprints_in_memory: those not yet in one of the fingerprint_runs on disk. fingerprint_bytes: memory of all
    fingerprints, about. window_bytes: memory of all totals, about; it grows with the number of groups and of distinct
    values. pending_in_advance: records that wait to be billed.
    """

    events: int
    duplicates: int
    staged_bytes: int
    staged_events: int
    fingerprints: int
    fingerprints_in_memory: int
    fingerprint_runs: int
    fingerprint_bytes: int
    windows: int
    window_bytes: int
    subscriptions: int
    streams: int
    pending_in_advance: int
    repetitions_same: int
    repetitions_different: int
    repetitions_not_compared: int
    far_timestamps: int


class Difference(NamedTuple):
    """A refused repetition that says something else than the event that was accepted under its id."""

    organization_id: UUID
    external_subscription_id: str
    transaction_id: str


class Meter:
    """Index of seen events, stream heads and usage windows of one partition; safe to share between threads.

    A commit is `seal`, then storing what it gives, then `confirm` or `rollback`. `ingest` goes on meanwhile.
    secret: 16 bytes, fixed for the life of the data. max_batch: most events in one batch body. index: directory of
    the fingerprints that `spill` moves out of memory; without one all of them stay there. Raises IndexDamaged.
    """

    def __init__(self, secret: bytes, *, max_batch: int = 100, index: Path | None = None) -> None:
        self._core = Core(secret, max_batch, index)

    @classmethod
    def restore(
        cls, secret: bytes, snapshot: bytes, *, max_batch: int = 100, index: Path | None = None
    ) -> Self:
        """The meter that took the snapshot; CorruptionError when it is damaged or of another secret.

        Fingerprints are not part of it: the index stands for itself, and may have to catch up with the log.
        """
        meter = cls.__new__(cls)
        meter._core = Core.restore(secret, snapshot, max_batch, index)
        return meter

    @staticmethod
    def remove_index(index: Path) -> None:
        """Throw the index in a directory away; it is made again from the log."""
        Core.remove_index(index)

    def ingest(
        self,
        organization_id: UUID,
        body: bytes,
        *,
        single: bool,
        now_us: int,
        partial: bool = False,
    ) -> Ingest:
        """Take one HTTP body of usage events, all or nothing (events.md §2-§4).

        single: `POST /events`, else `POST /events/batch`. partial: of a batch, every event for itself. Send the answer
        once every batch of its `wait_for` is committed; if one rolls back, answer 503 instead.
        """
        return self._core.ingest(organization_id.bytes, body, single, now_us, partial)

    def seal(self, recorded_at_us: int, facts: Iterable[tuple[UUID, str, bytes]] = ()) -> Sealed:
        """Close the open batch and prepare its commit; facts: (stream_id, topic, body) of its other events."""
        return self._core.seal(
            recorded_at_us, [(stream.bytes, topic, body) for stream, topic, body in facts]
        )

    def confirm(self) -> None:
        """The sealed batch is stored."""
        self._core.confirm()

    def rollback(self) -> None:
        """The sealed batch was not stored; it leaves no trace."""
        self._core.rollback()

    def put_plan(self, plan_key: UUID, charges: Sequence[MeteredCharge]) -> None:
        """Register one plan version; it never changes."""
        self._core.put_plan(
            plan_key.bytes,
            [charge_argument(charge) for charge in charges],
            [charge.charge_id.bytes for charge in charges if charge.pay_in_advance],
            keep_arguments(charges),
        )

    def put_metric(
        self, organization_id: UUID, code: str, field_name: str | None, expression: str | None
    ) -> None:
        """Set the expression that computes a metric's property at ingestion; None for either removes it.

        Events on hand keep what was computed. ValueError if the expression does not parse.
        """
        self._core.put_metric(organization_id.bytes, code, field_name, expression)

    def put_subscription(self, subscription: MeteredSubscription) -> None:
        """Insert, or change plan or instants; windows that a change touches become incomplete."""
        self._core.put_subscription(
            subscription.subscription_id.bytes,
            subscription.organization_id.bytes,
            subscription.external_id,
            subscription.stream_id.bytes,
            subscription.plan_key.bytes,
            subscription.started_at_us,
            subscription.terminated_at_us,
        )

    def open_window(self, window: Window) -> bool:
        """Register a window. False: it needs `fold_window` with the `needed_segments` first."""
        return self._core.open_window(window.subscription_id.bytes, window.from_us, window.to_us)

    def needed_segments(self, subscription_id: UUID) -> list[int]:
        """Ascending numbers of the segments that may hold events of this subscription."""
        return self._core.needed_segments(subscription_id.bytes)

    def fold_window(self, window: Window, segments: Sequence[bytes]) -> bool:
        """Complete a window from the log. False: it changed meanwhile; open it and ask for segments again."""
        return self._core.fold_window(
            window.subscription_id.bytes, window.from_us, window.to_us, segments
        )

    def begin_refold(self, window: Window) -> Refold | None:
        """The same piece by piece: feed what is `needed`, then `finish_refold`. None: it is not registered."""
        return self._core.begin_refold(window.subscription_id.bytes, window.from_us, window.to_us)

    def is_incomplete(self, window: Window) -> bool:
        """Whether the window is registered and must be folded before it can be read."""
        return self._core.is_incomplete(window.subscription_id.bytes, window.from_us, window.to_us)

    def take_incomplete(self) -> list[Window]:
        """Windows that became incomplete since the last call; the first time, all incomplete ones."""
        return [
            Window(UUID(bytes=subscription), from_us, to_us)
            for subscription, from_us, to_us in self._core.take_incomplete()
        ]

    def finish_refold(self, refold: Refold) -> bool:
        """Complete the window. False: it changed meanwhile; begin again."""
        return self._core.finish_refold(refold)

    def usage_fold(self, streams: Sequence[UUID] | None = None) -> UsageFold:
        """A fold of the log beside the windows. streams: no other one is read; None: all are."""
        ids = None if streams is None else [stream.bytes for stream in streams]
        return UsageFold(self._core, self._core.log_fold(ids))

    def streams_of(self, organization_id: UUID, external_subscription_id: str) -> list[UUID]:
        """Streams that ever stored events of this external subscription id."""
        streams = self._core.streams_of(organization_id.bytes, external_subscription_id)
        return [UUID(bytes=stream) for stream in streams]

    def close_window(self, window: Window) -> None:
        """Forget a window."""
        self._core.close_window(window.subscription_id.bytes, window.from_us, window.to_us)

    def read_window(
        self,
        window: Window,
        period: Period | None = None,
        day_starts_us: Sequence[int] | None = None,
    ) -> list[BucketUsage] | None:
        """Totals in plan order, then filters in order with the default bucket last, then groups by text, null last.

        None while the window is not registered or not complete. A bucket with group keys and without events has one
        group of nulls. period: needed if the plan has a weighted sum (ValueError). day_starts_us: the first instant of
        each local day of the window but the first, ascending; needed if a charge keeps changes (ValueError).
        """
        rows = self._core.read_window(
            window.subscription_id.bytes,
            window.from_us,
            window.to_us,
            period,
            day_starts_us,
        )
        return None if rows is None else [usage_of(*row) for row in rows]

    def pending_subscriptions(self, limit: int) -> list[UUID]:
        """Subscriptions with usage that waits to be billed, at most `limit` of them."""
        return [UUID(bytes=found) for found in self._core.pending_subscriptions(limit)]

    def pending_usage(
        self, subscription_id: UUID, *, after: Place | None, limit: int
    ) -> list[PendingUsage]:
        """The first records after a place, in the order in which they must be billed: that of the log."""
        rows = self._core.pending_usage(subscription_id.bytes, after, limit)
        return [_pending(subscription_id, row) for row in rows]

    def drop_pending(self, subscription_id: UUID, until: Place) -> None:
        """Everything up to and including a place is billed."""
        self._core.drop_pending(subscription_id.bytes, until)

    def trace_window(self, window: Window, segments: Sequence[bytes]) -> None:
        """Find in the log what the pending events of a window changed in it; needs the `needed_segments`."""
        self._core.trace_window(
            window.subscription_id.bytes, window.from_us, window.to_us, segments
        )

    def probe_window(
        self, window: Window, event: bytes, *, timestamp_us: int
    ) -> list[PendingUsage] | None:
        """What an event (a JSON object as sent) would change, per charge that bills it.

        None while the window is not complete.
        """
        rows = self._core.probe_window(
            window.subscription_id.bytes, window.from_us, window.to_us, event, timestamp_us
        )
        return None if rows is None else [_pending(window.subscription_id, row) for row in rows]

    def apply_facts(self, entries: Iterable[tuple[UUID, int, bytes]]) -> None:
        """Recovery: (stream_id, version, hash) of stored facts, in log order."""
        self._core.apply_facts(
            [(stream.bytes, version, hash_) for stream, version, hash_ in entries]
        )

    def apply_segment(self, segment: bytes) -> None:
        """Recovery: the usage of one commit, after its facts."""
        self._core.apply_segment(segment)

    def apply_usage(self, commits: Sequence[tuple[bytes, int, bytes]]) -> None:
        """Recovery: (segment, seq, hash) of commits that follow one another and hold usage only; uses all cores."""
        self._core.apply_usage(commits)

    def apply_commit(self, seq: int, commit_hash: bytes) -> None:
        """Recovery: the end of a commit."""
        self._core.apply_commit(seq, commit_hash)

    def catch_up(self, seq: int, commit_hash: bytes, segment: bytes | None) -> None:
        """Recovery: the fingerprints of the next commit after `index_head`, nothing else of it."""
        self._core.catch_up(seq, commit_hash, segment)

    @property
    def index_head(self) -> tuple[int, bytes]:
        """(seq, hash) of the commit up to which the index holds all fingerprints; (0, zeros) for an empty one."""
        return self._core.index_head

    def spill(self, at_least: int) -> bool:
        """Move the fingerprints in memory into a run on disk if there are so many; False if not.

        Takes a moment, mostly without the lock. OSError: they stay in memory until a later call succeeds.
        """
        return self._core.spill(at_least)

    def pretend(self, keys: int) -> None:
        """For measurements: one more run, of made-up fingerprints, as if so many other events had been seen."""
        self._core.pretend(keys)

    def merge(self) -> bool:
        """Make one run of several if there are too many; False if not. Seconds per 100 million fingerprints."""
        return self._core.merge()

    def snapshot(self) -> bytes:
        """Everything committed but fingerprints, staged usage not included."""
        return self._core.snapshot()

    def head(self, stream_id: UUID) -> tuple[int, bytes]:
        """(version, hash) of the newest committed entry of a stream; (0, zeros) for an unknown one."""
        return self._core.head(stream_id.bytes)

    def segments_of(self, organization_id: UUID, external_subscription_id: str) -> list[int]:
        """Ascending numbers of the segments that may hold events of this external subscription id."""
        return self._core.segments_of(organization_id.bytes, external_subscription_id)

    def segments_of_organization(
        self,
        organization_id: UUID,
        *,
        from_us: int | None = None,
        to_us: int | None = None,
        received_from_us: int | None = None,
        received_to_us: int | None = None,
    ) -> list[int]:
        """Ascending numbers of the segments that may hold its events with such timestamps and reception times.

        All bounds are inclusive, None is open.
        """
        return self._core.segments_of_org(
            organization_id.bytes, from_us, to_us, received_from_us, received_to_us
        )

    def take_repetitions(self) -> RepetitionCheck | None:
        """Refused repetitions that can be compared with their originals now; None: there are none."""
        return self._core.take_repetitions()

    def settle_repetitions(self, check: RepetitionCheck | None) -> list[Difference]:
        """Count what a check found; the differences found since the last call."""
        found = self._core.settle_repetitions(check)
        return [
            Difference(UUID(bytes=organization), external_id, transaction_id)
            for organization, external_id, transaction_id in found
        ]

    @property
    def segment_count(self) -> int:
        """Committed segments are numbered 1 … this."""
        return self._core.all_segments()

    @property
    def staged_bytes(self) -> int:
        """Bytes of usage waiting for their commit; takes no lock."""
        return self._core.staged_bytes

    @property
    def pending_in_advance(self) -> int:
        """How many records wait to be billed."""
        return self._core.pending_in_advance

    @property
    def open_batch(self) -> int:
        """Number of the batch that `ingest` fills now."""
        return self._core.open_batch

    @property
    def commit_head(self) -> tuple[int, bytes]:
        """(seq, hash) of the newest commit."""
        return self._core.commit_seq, self._core.commit_hash

    def stats(self) -> MeterStats:
        return MeterStats(**self._core.stats())


def _pending(subscription_id: UUID, row: _PendingRow) -> PendingUsage:
    place, charge_id, filter_id, group, timestamp_us, transaction_id, precise, change = row
    return PendingUsage(
        place=place,
        charge_id=UUID(bytes=charge_id),
        filter_id=None if filter_id is None else UUID(bytes=filter_id),
        group=group,
        timestamp_us=timestamp_us,
        transaction_id=transaction_id,
        precise_total_amount_cents=None if precise is None else Decimal(precise),
        change=None if change is None else _change(subscription_id, change),
    )


def _change(subscription_id: UUID, change: _Change) -> UsageChange:
    from_us, to_us, delta, units, events_count = change
    return UsageChange(
        window=Window(subscription_id, from_us, to_us),
        delta=Decimal(delta),
        units=Decimal(units),
        events_count=events_count,
    )
