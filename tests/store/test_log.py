"""The log and its commits, the same on every database."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from lago_engine.errors import ConflictError, CorruptionError, UnavailableError
from lago_engine.store import (
    USAGE_SEGMENT_TOPIC,
    USAGE_SEGMENTS,
    CommitBatch,
    DocumentChange,
    Store,
    StoredEvent,
)

ORGANIZATION = UUID(int=1)
OTHER = UUID(int=8)


def test_an_empty_store_has_no_commit(store: Store) -> None:
    assert store.last_commit() is None
    assert store.last_position() == 0
    assert store.read_log(0, 10) == []
    assert list(store.iter_log()) == []
    assert list(store.iter_commits()) == []
    assert store.commits() == []
    assert store.meta_get("cursor") is None
    assert store.healthy()


def test_rows_come_back_in_log_order_with_the_segment_last(store: Store, batch) -> None:
    events = [
        StoredEvent(OTHER, 1, "b.v1", b"\x00\xff"),
        StoredEvent(batch.stream, 1, "a.v1", b""),
        StoredEvent(OTHER, 2, "b.v1", b"two"),
    ]
    position = store.commit(batch.of(1, events=events, segment=b"usage", segment_no=5))

    rows = store.read_log(0, 10)
    assert [(row.stream_id, row.version, row.topic, row.state) for row in rows] == [
        (OTHER, 1, "b.v1", b"\x00\xff"),
        (batch.stream, 1, "a.v1", b""),
        (OTHER, 2, "b.v1", b"two"),
        (USAGE_SEGMENTS, 5, USAGE_SEGMENT_TOPIC, b"usage"),
    ]
    positions = [row.position for row in rows]
    assert positions == sorted(set(positions))
    assert position == positions[-1] == store.last_position()
    assert store.last_commit() == (1, batch.of(1).hash, position)
    assert store.read_log(positions[1], 1) == [rows[2]]
    assert store.read_log(0, 10, ["b.v1", USAGE_SEGMENT_TOPIC]) == [rows[0], rows[2], rows[3]]
    assert store.read_stream(OTHER) == [rows[0], rows[2]]
    assert store.read_stream(OTHER, after_version=1) == [rows[2]]


def test_versions_of_a_stream_may_have_gaps_for_the_library_too(store: Store, batch) -> None:
    for seq, version in enumerate((3, 10, 900_000_000_000), start=1):
        store.commit(batch.of(seq, events=[StoredEvent(OTHER, version, "a.v1", b"x")]))

    assert [row.version for row in store.read_stream(OTHER, 3)] == [10, 900_000_000_000]
    assert [e.originator_version for e in store.recorder.select_events(OTHER, gt=3)] == [
        10,
        900_000_000_000,
    ]
    notifications = store.recorder.select_notifications(start=1, limit=10)
    assert [n.id for n in notifications] == [row.position for row in store.iter_log()]
    assert {n.originator_id for n in notifications} == {OTHER}
    assert store.recorder.max_notification_id() == store.last_position()


def test_commits_are_listed_and_iterated_with_their_rows(store: Store, batch) -> None:
    sizes = [2, 0, 1, 3, 0]
    for seq, size in enumerate(sizes, start=1):
        events = [StoredEvent(OTHER, seq * 10 + n, "a.v1", b"%d" % n) for n in range(size)]
        store.commit(batch.of(seq, events=events))

    pairs = list(store.iter_commits())
    assert [commit.seq for commit, _ in pairs] == [1, 2, 3, 4, 5]
    assert [len(rows) for _, rows in pairs] == sizes
    assert [row for _, rows in pairs for row in rows] == list(store.iter_log())
    assert all(rows[-1].position == commit.last_position for commit, rows in pairs if rows)
    assert pairs[1][0].last_position == pairs[0][0].last_position
    assert list(store.iter_commits(after_seq=3)) == pairs[3:]
    assert store.commits(after_seq=1, limit=2) == [pairs[1][0], pairs[2][0]]
    assert pairs[0][0].hash == batch.of(1).hash
    assert pairs[0][0].recorded_at_us == 1_000_001


def test_iteration_pages_through_a_long_log(store: Store, batch) -> None:
    for seq in range(1, 4):
        events = [StoredEvent(OTHER, seq * 10_000 + n, "a.v1", b"") for n in range(1_250)]
        store.commit(batch.of(seq, events=events))

    versions = [row.version for row in store.iter_log()]
    assert versions == [seq * 10_000 + n for seq in (1, 2, 3) for n in range(1_250)]
    assert [len(rows) for _, rows in store.iter_commits()] == [1_250] * 3


def test_segments_are_read_by_number_in_the_order_asked_for(store: Store, batch) -> None:
    for number in range(1, 151):
        segment = b"segment %d" % number
        store.commit(batch.of(number, events=(), segment=segment, segment_no=number))

    wanted = [150, 1, *range(2, 120), 1]
    assert store.read_segments(wanted) == [b"segment %d" % number for number in wanted]
    assert store.read_segments([]) == []
    with pytest.raises(CorruptionError, match="151"):
        store.read_segments([1, 151])


def test_meta_is_overwritten_by_commits_and_alone(store: Store, batch) -> None:
    store.commit(batch.of(1, meta={"cursor": b"1", "other": b"\x00"}))
    store.commit(batch.of(2, meta={"cursor": b"2"}))
    assert store.meta_get("cursor") == b"2"
    store.meta_put("cursor", b"")
    assert store.meta_get("cursor") == b""
    assert store.meta_get("other") == b"\x00"


@pytest.mark.parametrize("seq", [1, 3])
def test_a_commit_must_follow_the_last_one(store: Store, batch, seq: int) -> None:
    store.commit(batch.of(1))
    with pytest.raises(ConflictError):
        store.commit(batch.of(seq, events=()))
    store.commit(batch.of(2))


def test_a_taken_version_leaves_nothing_of_its_batch(store: Store, batch) -> None:
    position = store.commit(batch.of(1))
    taken = StoredEvent(batch.stream, 1, "again.v1", b"")
    document = DocumentChange(organization_id=ORGANIZATION, kind="plan", key="p", body=b"{}")

    with pytest.raises(ConflictError):
        store.commit(
            batch.of(
                2,
                events=[StoredEvent(OTHER, 1, "new.v1", b""), taken],
                documents=[document],
                meta={"cursor": b"2"},
            )
        )

    assert store.read_stream(OTHER) == []
    assert store.documents.get(ORGANIZATION, "plan", "p") is None
    assert store.meta_get("cursor") is None
    assert store.last_commit() == (1, batch.of(1).hash, position)
    store.commit(batch.of(2))


def test_a_reopened_store_goes_on_where_it_stopped(home, batch) -> None:
    first = home.open()
    first.commit(batch.of(1))
    rows = list(first.iter_log())
    first.close()
    first.close()

    second = home.open()
    assert list(second.iter_log()) == rows
    second.commit(batch.of(2))
    assert [row.version for row in second.read_stream(batch.stream)] == [1, 2]


def test_a_closed_store_refuses_everything(store: Store, batch) -> None:
    store.close()
    assert not store.healthy()
    with pytest.raises(UnavailableError):
        store.commit(batch.of(1))
    with pytest.raises(UnavailableError):
        store.last_commit()
    with pytest.raises(UnavailableError):
        store.meta_put("cursor", b"")


def test_a_store_can_be_read_beside_its_owner(home, batch) -> None:
    with pytest.raises(UnavailableError, match="there is no store"):
        home.open(read_only=True)
    owner = home.open()
    owner.commit(batch.of(1))
    reader = home.open(read_only=True)
    owner.commit(batch.of(2))

    assert [row.version for row in reader.read_stream(batch.stream)] == [1, 2]
    assert reader.last_commit() == owner.last_commit()
    for write in (lambda: reader.commit(batch.of(3)), lambda: reader.meta_put("a", b"")):
        with pytest.raises(UnavailableError, match="reading only"):
            write()
    reader.checkpoint()
    reader.close()
    owner.commit(batch.of(3))
    assert owner.healthy()


class FailingDisk:
    """Fails before the commit, after it, or never; counts what it saw."""

    def __init__(self) -> None:
        self.fail_before = False
        self.seen: list[int] = []

    def before_commit(self, batch: CommitBatch) -> None:
        if self.fail_before:
            raise OSError(28, "No space left on device")

    def after_commit(self, batch: CommitBatch) -> None:
        self.seen.append(batch.seq)


def test_a_failed_commit_leaves_no_trace_and_can_be_repeated(home, batch) -> None:
    disk = FailingDisk()
    store = home.open(faults=disk)
    store.commit(batch.of(1))
    disk.fail_before = True
    again = batch.of(
        2,
        segment=b"usage",
        segment_no=1,
        documents=[DocumentChange(organization_id=ORGANIZATION, kind="plan", key="p", body=b"{}")],
        meta={"cursor": b"2"},
    )

    for _ in range(2):
        with pytest.raises(UnavailableError, match="No space left"):
            store.commit(again)
        assert len(list(store.iter_log())) == 1
        assert store.documents.get(ORGANIZATION, "plan", "p") is None
        assert store.meta_get("cursor") is None
        assert store.last_commit() == (1, batch.of(1).hash, store.last_position())
    disk.fail_before = False
    store.commit(again)

    assert disk.seen == [1, 2]
    assert store.read_segments([1]) == [b"usage"]
    assert store.documents.get(ORGANIZATION, "plan", "p") == b"{}"


def test_reads_from_many_threads_see_whole_commits(store: Store, batch) -> None:
    wrong: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            meta = int(store.meta_get("cursor") or b"0")
            seen = len(store.read_stream(batch.stream))
            if seen < meta:
                wrong.append((meta, seen))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for seq in range(1, 51):
        store.commit(batch.of(seq, meta={"cursor": b"%d" % seq}))
        assert store.read_stream(batch.stream, seq - 1)[0].version == seq
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
