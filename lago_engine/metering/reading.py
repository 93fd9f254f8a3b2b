"""Reading a stored log back: verification of its hash chains, search in its usage events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from lago_engine._core import ChainVerifier, EventScan, UsageErrors


class LogVerifier:
    """Recomputes every hash of a log from its first entry; a difference raises CorruptionError saying where.

    Feed each commit in order: its facts, its segment if it has one, then `feed_commit`.
    """

    def __init__(self) -> None:
        self._verifier = ChainVerifier()

    def feed_fact(
        self, stream_id: UUID, version: int, topic: str, body: bytes, stored_hash: bytes
    ) -> None:
        self._verifier.feed_fact(stream_id.bytes, version, topic, body, stored_hash)

    def feed_segment(self, segment: bytes) -> None:
        self._verifier.feed_segment(segment)

    def feed_commit(self, recorded_at_us: int, stored_hash: bytes) -> None:
        self._verifier.feed_commit(recorded_at_us, stored_hash)

    def head(self, stream_id: UUID) -> tuple[int, bytes]:
        """(version, hash) up to which the stream is verified."""
        return self._verifier.head(stream_id.bytes)

    @property
    def commit_head(self) -> tuple[int, bytes]:
        """(seq, hash) of the last verified commit."""
        return self._verifier.commit_seq, self._verifier.commit_hash

    @property
    def usage_events(self) -> int:
        return self._verifier.usage_events


def scan_events(
    organization_id: UUID,
    segments: Iterable[bytes],
    *,
    code: str | None = None,
    external_subscription_id: str | None = None,
    transaction_id: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    offset: int = 0,
    limit: int = 100,
    as_sent: bool = False,
) -> tuple[int, bytes]:
    """Stored usage events of one organization: (number of matches, JSON array of one page of event objects).

    Newest timestamp first, then transaction_id (events.md §8, §9). from_us, to_us: inclusive bounds of the timestamp.
    as_sent: properties as they came, without what expressions computed.
    """
    scan = EventScan(
        organization_id.bytes,
        code=code,
        external_subscription_id=external_subscription_id,
        transaction_id=transaction_id,
        from_us=from_us,
        to_us=to_us,
        offset=offset,
        limit=limit,
        as_sent=as_sent,
    )
    for segment in segments:
        scan.feed(segment)
    return scan.finish()


class MetricRule(NamedTuple):
    """What the events of a live metric must have; filters: (key, declared values)."""

    code: str
    aggregation_type: str
    field_name: str | None
    filters: Sequence[tuple[str, Sequence[str]]]


class HourErrors(NamedTuple):
    """Distinct transaction ids of one hour of reception, by what is wrong (events.md §5.3).

    cut: a list is longer than the 256 KiB that are kept of it.
    """

    hour_us: int
    invalid_code: list[str]
    missing_aggregation_property: list[str]
    invalid_filter_values: list[str]
    cut: bool


def usage_errors(
    organization_id: UUID,
    segments: Iterable[bytes],
    metrics: Sequence[MetricRule],
    *,
    received_from_us: int,
    received_to_us: int,
) -> list[HourErrors]:
    """The hours with errors among events received in the span (bounds inclusive); segments: in log order."""
    errors = UsageErrors(organization_id.bytes, received_from_us, received_to_us, metrics)
    for segment in segments:
        errors.feed(segment)
    return [HourErrors(*hour) for hour in errors.finish()]
