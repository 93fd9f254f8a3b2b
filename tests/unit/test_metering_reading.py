"""Reading a stored log back: search, verification, and what damage does."""

from __future__ import annotations

import json
import uuid
import zlib
from typing import NamedTuple

import pytest

from lago_engine.errors import CorruptionError
from lago_engine.metering import LogVerifier, Meter, Sealed, scan_events

SECRET = b"0123456789abcdef"
ORGANIZATION, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
STREAM = uuid.UUID(int=7)


class Commit(NamedTuple):
    recorded_at_us: int
    body: bytes
    sealed: Sealed

    @property
    def segment(self) -> bytes:
        assert self.sealed.segment is not None
        return self.sealed.segment


class History(NamedTuple):
    meter: Meter
    commits: list[Commit]
    events: list[dict[str, object]]

    @property
    def segments(self) -> list[bytes]:
        return [commit.segment for commit in self.commits]


@pytest.fixture
def history() -> History:
    """Three commits with one fact and three events each."""
    meter, commits, events = Meter(SECRET), [], []
    for number in range(3):
        sent = [
            {
                "transaction_id": f"t{number}-{subscription}",
                "external_subscription_id": subscription,
                "code": "storage" if number else "calls",
                "timestamp": 1_750_000_000 + number * 60,
                "properties": {"n": number},
            }
            for subscription in ("s2", "s1")
        ]
        body = json.dumps({"events": sent}).encode()
        answer = meter.ingest(
            ORGANIZATION, body, single=False, now_us=1_750_000_500_000_000 + number
        )
        events += json.loads(answer.body)["events"]
        meter.ingest(OTHER, body, single=False, now_us=0)
        sealed = meter.seal(1_000 + number, [(STREAM, "fact.v1", b"%d" % number)])
        meter.confirm()
        commits.append(Commit(1_000 + number, b"%d" % number, sealed))
    events.sort(key=lambda event: str(event["transaction_id"]))
    events.sort(key=lambda event: str(event["timestamp"]), reverse=True)
    return History(meter, commits, events)


def verify(commits: list[Commit]) -> LogVerifier:
    verifier = LogVerifier()
    for commit in commits:
        sealed = commit.sealed
        verifier.feed_fact(STREAM, sealed.versions[0], "fact.v1", commit.body, sealed.hashes[0])
        verifier.feed_segment(commit.segment)
        verifier.feed_commit(commit.recorded_at_us, sealed.commit_hash)
    return verifier


def test_a_scan_gives_the_objects_of_the_answers(history: History) -> None:
    total, page = scan_events(ORGANIZATION, history.segments)
    assert (total, json.loads(page)) == (6, history.events)


def test_filters_and_pages(history: History) -> None:
    segments = history.segments
    total, page = scan_events(ORGANIZATION, segments[::-1], offset=2, limit=3)
    assert (total, json.loads(page)) == (6, history.events[2:5])
    total, page = scan_events(ORGANIZATION, segments, code="storage", external_subscription_id="s1")
    assert total == 2
    assert [event["transaction_id"] for event in json.loads(page)] == ["t2-s1", "t1-s1"]
    middle = 1_750_000_060_000_000
    assert scan_events(ORGANIZATION, segments, from_us=middle, to_us=middle)[0] == 2
    assert scan_events(ORGANIZATION, segments, from_us=middle + 1)[0] == 2
    assert scan_events(ORGANIZATION, segments, transaction_id="t1-s2")[0] == 1
    assert scan_events(ORGANIZATION, segments, offset=6) == (6, b"[]")
    assert scan_events(ORGANIZATION, segments, limit=0) == (6, b"[]")
    assert scan_events(uuid.UUID(int=3), segments) == (0, b"[]")


def test_an_untouched_log_verifies(history: History) -> None:
    verifier = verify(history.commits)
    assert verifier.commit_head == history.meter.commit_head
    assert verifier.head(STREAM) == history.meter.head(STREAM)
    assert verifier.usage_events == history.meter.stats().events == 12


def test_an_altered_fact_is_named(history: History) -> None:
    first, second, third = history.commits
    with pytest.raises(CorruptionError, match=f"commit 2, stream {STREAM}, version 2"):
        verify([first, second._replace(body=b"x"), third])


def test_missing_and_reordered_commits_are_found(history: History) -> None:
    first, second, third = history.commits
    for commits in ([first, third], [second], [first, third, second]):
        with pytest.raises(CorruptionError, match="commit"):
            verify(commits)
    with pytest.raises(CorruptionError, match=r"commit 1: .* another time"):
        verify([first._replace(recorded_at_us=5)])


def test_a_change_under_a_recomputed_checksum_is_found(history: History) -> None:
    """The CRC finds accidents; the chain finds someone who recomputes the CRC."""
    segment = bytearray(history.segments[0])
    directory_end = 40 + 88 * int.from_bytes(segment[24:28], "little") + 12
    for position in (8, 16, 32, 40 + 24, 40 + 56, 40 + 72, 40 + 80):
        changed = segment.copy()
        changed[position] ^= 1
        changed[directory_end : directory_end + 4] = zlib.crc32(changed[:directory_end]).to_bytes(
            4, "little"
        )
        commit = history.commits[0]
        verifier = LogVerifier()
        verifier.feed_fact(STREAM, 1, "fact.v1", commit.body, commit.sealed.hashes[0])
        with pytest.raises(CorruptionError):  # noqa: PT012 - some changes show only at the commit.
            verifier.feed_segment(bytes(changed))
            verifier.feed_commit(commit.recorded_at_us, commit.sealed.commit_hash)


def test_damaged_segments_are_refused_everywhere(history: History) -> None:
    segment = history.segments[0]
    for position in range(0, len(segment), 7):
        damaged = segment[:position] + bytes([segment[position] ^ 4]) + segment[position + 1 :]
        with pytest.raises(CorruptionError):
            scan_events(ORGANIZATION, [damaged])
        with pytest.raises(CorruptionError):
            Meter(SECRET).apply_segment(damaged)


def test_recovery_wants_the_log_in_order(history: History) -> None:
    first, second, _ = history.segments
    meter = Meter(SECRET)
    with pytest.raises(CorruptionError, match="segment 2 follows segment 0"):
        meter.apply_segment(second)
    meter.apply_segment(first)
    with pytest.raises(CorruptionError, match="segment 1 follows segment 1"):
        meter.apply_segment(first)
    with pytest.raises(CorruptionError, match="version 2 follows version 0"):
        meter.apply_facts([(STREAM, 2, bytes(32))])
    with pytest.raises(CorruptionError, match="commit 2 follows commit 0"):
        meter.apply_commit(2, bytes(32))


def test_damaged_and_foreign_snapshots_are_refused(history: History) -> None:
    snapshot = history.meter.snapshot()
    assert Meter.restore(SECRET, snapshot).stats().events == 12
    for position in range(0, len(snapshot), 11):
        damaged = snapshot[:position] + bytes([snapshot[position] ^ 1]) + snapshot[position + 1 :]
        with pytest.raises(CorruptionError):
            Meter.restore(SECRET, damaged)
    for cut in (b"", snapshot[:10], snapshot[:-1], snapshot + b"x"):
        with pytest.raises(CorruptionError):
            Meter.restore(SECRET, cut)
    with pytest.raises(CorruptionError, match="another secret"):
        Meter.restore(b"x" * 16, snapshot)


def test_segments_of_a_subscription(history: History) -> None:
    assert history.meter.segments_of(ORGANIZATION, "s1") == [1, 2, 3]
    assert history.meter.segments_of(ORGANIZATION, "unknown") == []
    assert history.meter.segment_count == 3


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Meter(b"short")
    with pytest.raises(ValueError, match="not registered"):
        Meter(SECRET).needed_segments(STREAM)
