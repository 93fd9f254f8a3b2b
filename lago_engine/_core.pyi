"""Metering core in Rust. Import it through `lago_engine.metering` only.

Ids (`org`, streams, subscriptions, plans, charges) are 16 bytes; instants are microseconds since the
Unix epoch as int; hashes are 32 bytes. A wrong argument (length, order of calls, unknown plan) raises
ValueError or RuntimeError: a programmer's mistake. Stored bytes that are not what was written raise
`lago_engine.errors.CorruptionError`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Final, Literal, TypeAlias, final

__all__ = [
    "BUILD_PROFILE",
    "ChainVerifier",
    "Core",
    "EventScan",
    "Expression",
    "Ingest",
    "LogFold",
    "Refold",
    "RepetitionCheck",
    "Sealed",
    "USAGE_TOPIC",
    "UsageErrors",
]

BUILD_PROFILE: Final[Literal["release", "dev"]]
USAGE_TOPIC: Final[str]
"""Topic of a packed usage record in its stream's hash chain: `usage_recorded.v1`."""

# (filter_id, (key, values) pairs, pricing group keys)
_FilterSpec: TypeAlias = tuple[bytes, Sequence[tuple[str, Sequence[str]]], Sequence[str]]
# (charge_id, metric_code, aggregation_type, field_name, recurring, pricing group keys, filters in order)
_ChargeSpec: TypeAlias = tuple[bytes, str, str, str | None, bool, Sequence[str], Sequence[_FilterSpec]]
# (charge_id, values of events, changes for proration, amounts of events, presentation keys)
_KeepSpec: TypeAlias = tuple[bytes, bool, bool, bool, Sequence[str]]
_Group: TypeAlias = tuple[str | None, ...]
# (units carried over, (units, days) of successive changes)
_Prorated: TypeAlias = tuple[str, list[tuple[str, int]]]
# (values with the number of successive equal ones, changes, Σ amounts in minor units, units by presentation tuple)
_Kept: TypeAlias = tuple[list[tuple[str, int]], _Prorated | None, str | None, list[tuple[_Group, str]]]
# (charge_id, filter_id, group, units, events_count, total_aggregated_units if it is not the units, what is kept)
_UsageRow: TypeAlias = tuple[bytes, bytes | None, _Group, str, int, str | None, _Kept | None]

# (segment, event in the segment, charge of the event)
_Place: TypeAlias = tuple[int, int, int]
# (from_us, to_us, delta, units, events_count)
_Change: TypeAlias = tuple[int, int, str, str, int]
# (place, charge_id, filter_id, group, timestamp_us, transaction_id, precise_total_amount_cents, change)
_PendingRow: TypeAlias = tuple[
    _Place, bytes, bytes | None, tuple[str | None, ...], int, str, str | None, _Change | None
]

@final
class Ingest:
    """Answer to one HTTP body of usage events."""

    @property
    def status(self) -> int:
        """200, 400 or 422."""
    @property
    def batch(self) -> int:
        """Newest batch the answer depends on; 0 = answer at once."""
    @property
    def wait_for(self) -> tuple[int, ...]:
        """Every batch, ascending, that must commit before the answer may be sent; `()` = at once.

        When one of them rolls back the answer does not hold: send 503. Two entries happen only for a body that
        repeats events of the sealed and of the open batch.
        """
    @property
    def count(self) -> int:
        """Accepted events; 0 unless status is 200."""
    @property
    def body(self) -> bytes:
        """The whole JSON answer."""

@final
class Sealed:
    """What one commit has to store, all at once or not at all."""

    @property
    def batch(self) -> int:
        """Number of the batch that was closed."""
    @property
    def commit_seq(self) -> int:
        """1, 2, 3, … without gaps."""
    @property
    def commit_hash(self) -> bytes: ...
    @property
    def versions(self) -> list[int]:
        """Stream version of each fact, in the order given."""
    @property
    def hashes(self) -> list[bytes]:
        """Chain hash of each fact, in the order given."""
    @property
    def segment(self) -> bytes | None:
        """All usage of the commit, packed; None when nothing was staged."""
    @property
    def segment_no(self) -> int:
        """1, 2, 3, … without gaps; 0 when `segment` is None."""
    @property
    def usage_events(self) -> int: ...

@final
class Core:
    """Usage of one partition: index of seen events, stream heads, usage windows. Safe to share between threads."""

    def __new__(
        cls, secret: bytes, max_batch: int = 100, index: PathLike[str] | str | None = None
    ) -> Core:
        """secret: 16 bytes, fixed for the life of the data. max_batch: most events in one batch body.

        index: directory of the fingerprints that memory need not hold; None: it holds all, `spill` and `merge` do
        nothing. Raises `lago_engine.errors.IndexDamaged` when what is there cannot be used, OSError when it cannot be read.
        """
    @staticmethod
    def restore(
        secret: bytes,
        snapshot: bytes,
        max_batch: int = 100,
        index: PathLike[str] | str | None = None,
    ) -> Core:
        """The core that wrote `snapshot`. Raises CorruptionError when it is damaged or of another secret.

        Fingerprints are not part of a snapshot. While `index_head` is behind the commit it was taken at, `ingest` and
        `seal` raise RuntimeError: `catch_up` first.
        """
    @staticmethod
    def remove_index(index: PathLike[str] | str) -> None:
        """Throw the index in a directory away."""

    # Usage in, commits out.
    def ingest(
        self, org: bytes, body: bytes, single: bool, now_us: int, partial: bool = False
    ) -> Ingest:
        """Parse, validate, de-duplicate and stage one body, all or nothing (events.md §2-§4).

        single: `POST /events` (`{"event":{…}}`), else `POST /events/batch` (`{"events":[…]}`).
        now_us: reception time; default of `timestamp`, and `created_at`. partial: of a batch, every event for itself.
        """
    def seal(self, recorded_at_us: int, facts: Sequence[tuple[bytes, str, bytes]]) -> Sealed:
        """Close the open batch and prepare its commit. facts: (stream_id, topic, body) in order, before the usage.

        Follow it by `confirm` or `rollback`; a second `seal` before that raises RuntimeError.
        """
    def confirm(self) -> None:
        """The sealed batch is stored: heads advance, its events are folded into the open windows."""
    def rollback(self) -> None:
        """The sealed batch was not stored: it leaves no trace."""

    # Registry, fed by the events of plans and subscriptions.
    def put_plan(
        self,
        plan_key: bytes,
        charges: Sequence[_ChargeSpec],
        in_advance: Sequence[bytes] = ...,
        kept: Sequence[_KeepSpec] = ...,
    ) -> None:
        """Register one plan version; immutable. in_advance: ids of the charges whose events wait to be billed at once.
        kept: what the buckets of some charges keep beside totals.

        aggregation_type: count_agg, or sum_agg, max_agg, latest_agg, unique_count_agg, weighted_sum_agg, which need a
        field_name; recurring: sum, unique count and weighted sum only. A filter has at least one key, and values for
        each; "all values" is expanded. Values are kept of sums and maxima, changes of recurring sums and unique counts.
        Anything else raises ValueError.
        """
    def put_metric(
        self, org: bytes, code: str, field_name: str | None, expression: str | None
    ) -> None:
        """Compute properties[field_name] of the organization's events on this code at ingestion (events.md §4.1).

        None for either removes it. Raises ValueError if the expression does not parse. The computed value is stored
        beside the event as sent, in answers it takes the property's place.
        """
    def put_subscription(
        self,
        subscription_id: bytes,
        org: bytes,
        external_id: str,
        stream_id: bytes,
        plan_key: bytes,
        started_at_us: int,
        terminated_at_us: int | None,
    ) -> None:
        """Insert or update. Only plan and instants may change; windows that a change touches become incomplete.

        An event belongs to it when trunc_ms(started_at) ≤ timestamp < trunc_ms(terminated_at) (events.md §5, §6).
        """
    def open_window(self, subscription_id: bytes, from_us: int, to_us: int) -> bool:
        """Register the half-open window [trunc_ms(from), trunc_ms(to)). True = complete.

        False: feed `needed_segments` to `fold_window`. Asking again answers whether it is complete by now.
        """
    def needed_segments(self, subscription_id: bytes) -> list[int]:
        """Ascending numbers of the segments that may hold events of this subscription."""
    def fold_window(
        self, subscription_id: bytes, from_us: int, to_us: int, segments: Sequence[bytes]
    ) -> bool:
        """Complete a registered window from the log; segments committed since its opening may be among them.

        False: the subscription or window changed meanwhile; ask for `needed_segments` and try again.
        A needed segment that is not given raises ValueError.
        """
    def begin_refold(self, subscription_id: bytes, from_us: int, to_us: int) -> Refold | None:
        """The same piece by piece; None: the window is not registered."""
    def is_incomplete(self, subscription_id: bytes, from_us: int, to_us: int) -> bool:
        """Whether the window is registered and must be folded before it can be read."""
    def take_incomplete(self) -> list[tuple[bytes, int, int]]:
        """Windows that became incomplete since the last call, and are so still; after `restore`, all incomplete ones."""
    def finish_refold(self, refold: Refold) -> bool:
        """Answers as `fold_window`; once per refold."""
    def log_fold(self, streams: Sequence[bytes] | None = None) -> LogFold:
        """A fold of the log beside the windows. streams: only their entries are read; None: all."""
    def streams_of(self, org: bytes, external_subscription_id: str) -> list[bytes]:
        """Streams that ever stored events of this external subscription id."""
    def close_window(self, subscription_id: bytes, from_us: int, to_us: int) -> None:
        """Forget a window; unknown ones are fine."""
    def read_window(
        self,
        subscription_id: bytes,
        from_us: int,
        to_us: int,
        period: tuple[int, int] | None = None,
        day_starts: Sequence[int] | None = None,
    ) -> list[_UsageRow] | None:
        """Totals per charge, filter and group; None = not registered or not complete.

        Plan order; filters in order, the default bucket (None) last; groups by text, null last, or one group of nulls
        when there is none yet. units, total_aggregated_units: plain decimals, no exponent, no trailing zeros.
        period: (last instant in µs, days of the full period), needed by weighted sums (ValueError).
        day_starts: the first instant of each local day of the window but the first, ascending; needed where changes
        are kept (ValueError). Values come in order of their timestamps, of one instant as received; changes of one
        direction with the same number of paid days as one; a removal of a distinct value is paid for 0 days.
        """

    # Charges that are paid in advance.
    def pending_subscriptions(self, limit: int) -> list[bytes]:
        """Subscriptions with usage that waits to be billed, at most `limit` of them."""
    def pending_usage(
        self, subscription_id: bytes, after: _Place | None, limit: int
    ) -> list[_PendingRow]:
        """The first `limit` records after a place, in the order in which they must be billed: that of the log.

        change: None when no complete window held the event as it was committed; see `trace_window`.
        """
    def drop_pending(self, subscription_id: bytes, until: _Place) -> None:
        """Everything up to and including a place is billed."""
    def trace_window(
        self, subscription_id: bytes, from_us: int, to_us: int, segments: Sequence[bytes]
    ) -> None:
        """Find in the log what the pending events of a window changed in it; the window need not be registered.

        Needs `needed_segments`; one that is missing raises ValueError. A record whose charge counts the event no more is dropped.
        """
    def probe_window(
        self, subscription_id: bytes, from_us: int, to_us: int, event: bytes, timestamp_us: int
    ) -> list[_PendingRow] | None:
        """What an event (a JSON object as sent) would change, per charge that bills it; None: the window is not complete."""

    # Recovery: feed the log in order.
    def apply_fact(self, stream_id: bytes, version: int, hash: bytes) -> None: ...
    def apply_facts(self, entries: Sequence[tuple[bytes, int, bytes]]) -> None:
        """(stream_id, version, hash) in log order. A version that is not the next one raises CorruptionError."""
    def apply_segment(self, segment: bytes) -> None:
        """Heads, index, fingerprints and windows as if it had been confirmed here."""
    def apply_usage(self, commits: Sequence[tuple[bytes, int, bytes]]) -> None:
        """(segment, seq, hash) of commits that follow one another and hold usage only; uses all cores."""
    def apply_commit(self, seq: int, hash: bytes) -> None: ...
    def catch_up(self, seq: int, hash: bytes, segment: bytes | None) -> None:
        """Only the fingerprints of the next commit after `index_head`."""
    def snapshot(self) -> bytes:
        """Everything committed but fingerprints, in one piece; staged usage is not part of it."""

    # The index of fingerprints on disk. Any thread; several at once do not harm.
    @property
    def index_head(self) -> tuple[int, bytes]:
        """(seq, hash) of the newest commit whose fingerprints, and those of all before it, are known."""
    def spill(self, at_least: int) -> bool:
        """Move the fingerprints in memory into a run on disk if there are so many.

        False: there are not, or another spill is under way. OSError: they stay in memory, the next call tries again.
        """
    def pretend(self, keys: int) -> None:
        """For measurements: a run of made-up fingerprints, as if so many other events had been seen."""
    def merge(self) -> bool:
        """Make one run of several if there are too many. Raises IndexDamaged; then the next opening begins anew."""

    # Looking in.
    def head(self, stream_id: bytes) -> tuple[int, bytes]:
        """(version, hash) of the newest committed entry; (0, 32 zero bytes) for an unknown stream."""
    def segments_of(self, org: bytes, external_subscription_id: str) -> list[int]:
        """Ascending numbers of the segments that may hold events of this external subscription id."""
    def segments_of_org(
        self,
        org: bytes,
        from_us: int | None = None,
        to_us: int | None = None,
        received_from_us: int | None = None,
        received_to_us: int | None = None,
    ) -> list[int]:
        """Ascending numbers of the segments that may hold events of the organization in these spans, bounds inclusive."""
    def take_repetitions(self) -> RepetitionCheck | None:
        """Refused repetitions whose originals are committed or gone, to be compared with them; None: there are none."""
    def settle_repetitions(
        self, comparison: RepetitionCheck | None
    ) -> list[tuple[bytes, str, str]]:
        """Counts what a check found. Gives the differences found since the last call, on the way in too.

        (org, external subscription id, transaction id); at most 100 are kept.
        """
    def all_segments(self) -> int:
        """How many segments are committed; their numbers are 1 … this."""
    def stats(self) -> dict[str, int]:
        """events, duplicates (since start), staged_bytes, staged_events, fingerprints, windows, window_bytes (about), subscriptions, streams,
        pending_in_advance;
        since start: repetitions_same, repetitions_different, repetitions_not_compared, far_timestamps.
        """
    @property
    def staged_bytes(self) -> int:
        """Bytes of usage waiting for their commit, the sealed batch included; for back-pressure."""
    @property
    def pending_in_advance(self) -> int:
        """How many records wait to be billed."""
    @property
    def open_batch(self) -> int:
        """Number of the batch that `ingest` fills now."""
    @property
    def commit_seq(self) -> int: ...
    @property
    def commit_hash(self) -> bytes: ...

@final
class Refold:
    """A registered window on its way from the log."""

    @property
    def needed(self) -> list[int]:
        """Ascending numbers of the segments that are still to be fed."""
    def feed(self, segments: Sequence[bytes]) -> None:
        """In ascending order; segments that are not needed are ignored."""

@final
class LogFold:
    """Totals of stored usage under any plan; several selections of events in one pass."""

    def plan(self, charges: Sequence[_ChargeSpec], kept: Sequence[_KeepSpec] = ...) -> int:
        """Number of a plan for `add`."""
    def add(
        self,
        core: Core,
        org: bytes,
        external_id: str,
        from_us: int,
        to_us: int,
        plan: int,
        only: Sequence[tuple[str, Sequence[str]]] = ...,
    ) -> int:
        """Number of a selection: the events of one external id in [trunc_ms(from), trunc_ms(to)).

        only: (property, texts); of each property the event must have one of the texts. All selections are added
        before the first segment is fed (RuntimeError).
        """
    def add_streams(self, streams: Sequence[bytes]) -> None:
        """Entries of these streams are read from now on, too."""
    def feed(self, segments: Sequence[bytes], parallel: bool = False) -> None:
        """Fold segments, ascending and newer than those before (ValueError). parallel: on two threads."""
    @property
    def fed(self) -> int:
        """Number of the newest segment that was fed; 0 = none yet."""
    def read(
        self,
        selection: int,
        period: tuple[int, int] | None = None,
        day_starts: Sequence[int] | None = None,
    ) -> list[_UsageRow]:
        """Totals so far, as `Core.read_window` gives them."""

@final
class Expression:
    """A parsed expression of a billable metric (metrics.md §5)."""

    def __new__(cls, text: str) -> Expression:
        """Raises ValueError saying why and where the text is no expression; at most 4096 bytes and 64 levels."""
    def evaluate(
        self, code: str, timestamp_us: int, properties: bytes
    ) -> tuple[str | None, str | None]:
        """(value, None) or (None, error); properties: a JSON object, else ValueError.

        Numbers are plain decimals with at least one fractional digit.
        """

@final
class ChainVerifier:
    """Recomputes every hash of a log from its first entry; any difference raises CorruptionError."""

    def __new__(cls) -> ChainVerifier: ...
    def feed_fact(self, stream_id: bytes, version: int, topic: str, body: bytes, hash: bytes) -> None: ...
    def feed_segment(self, segment: bytes) -> None: ...
    def feed_commit(self, recorded_at_us: int, hash: bytes) -> None:
        """Ends a commit: everything fed since the last one belongs to it."""
    def head(self, stream_id: bytes) -> tuple[int, bytes]: ...
    @property
    def commit_seq(self) -> int: ...
    @property
    def commit_hash(self) -> bytes: ...
    @property
    def usage_events(self) -> int: ...

@final
class RepetitionCheck:
    """Refused repetitions on their way past the log; made by `Core.take_repetitions`, counted by `settle_repetitions`."""

    @property
    def segments(self) -> list[int]:
        """Numbers of the segments to feed, newest first; at most 256."""
    def feed(self, segment: bytes) -> bool:
        """True: every original is found."""

@final
class UsageErrors:
    """Accepted events that will not be billed as meant, per hour of their reception (events.md §5.3)."""

    def __new__(
        cls,
        org: bytes,
        received_from_us: int,
        received_to_us: int,
        metrics: Sequence[
            tuple[str, str, str | None, Sequence[tuple[str, Sequence[str]]]]
        ],
    ) -> UsageErrors:
        """received_from_us, received_to_us: inclusive. metrics: (code, aggregation_type, field_name, filters), live ones."""
    def feed(self, segment: bytes) -> None:
        """Segments come in the order of the log."""
    def finish(self) -> list[tuple[int, list[str], list[str], list[str], bool]]:
        """(hour, invalid_code, missing_aggregation_property, invalid_filter_values, cut) of the hours with errors.

        Ascending; hour in µs; distinct transaction ids in log order; cut: a list is longer than the 256 KiB kept of it.
        """

@final
class EventScan:
    """Filters the stored events of one organization, newest timestamp first, then transaction_id (events.md §8, §9)."""

    def __new__(
        cls,
        org: bytes,
        *,
        code: str | None = None,
        external_subscription_id: str | None = None,
        transaction_id: str | None = None,
        from_us: int | None = None,
        to_us: int | None = None,
        offset: int = 0,
        limit: int = 100,
        as_sent: bool = False,
    ) -> EventScan:
        """from_us, to_us: inclusive bounds of the timestamp. Keeps only the best offset + limit events.

        as_sent: properties as they came, without what expressions computed.
        """
    def feed(self, segment: bytes) -> None: ...
    def finish(self) -> tuple[int, bytes]:
        """(number of all matches, JSON array of the page's event objects)."""
