"""Batches on their way into a commit: what waits for what, what a rollback leaves, what a restart sees."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from decimal import Decimal

import pytest

from lago_engine.metering import (
    BucketUsage,
    Ingest,
    Meter,
    MeteredCharge,
    MeteredSubscription,
    Window,
)

ORGANIZATION = uuid.UUID(int=1)
PLAN, OTHER_PLAN = uuid.UUID(int=2), uuid.UUID(int=3)
COUNT, SUM = uuid.UUID(int=4), uuid.UUID(int=5)
SUBSCRIPTION, STREAM = uuid.UUID(int=6), uuid.UUID(int=7)
SECOND_US = 1_000_000
WINDOW = Window(SUBSCRIPTION, 100 * SECOND_US, 200 * SECOND_US)


@pytest.fixture
def meter() -> Meter:
    meter = Meter(b"0123456789abcdef")
    count = MeteredCharge(charge_id=COUNT, metric_code="storage", aggregation_type="count_agg")
    total = MeteredCharge(
        charge_id=SUM, metric_code="storage", aggregation_type="sum_agg", field_name="gb"
    )
    meter.put_plan(PLAN, [count, total])
    meter.put_plan(OTHER_PLAN, [total])
    return meter


def subscribe(
    meter: Meter,
    started_at_us: int = 0,
    terminated_at_us: int | None = None,
    plan: uuid.UUID = PLAN,
) -> None:
    meter.put_subscription(
        MeteredSubscription(
            subscription_id=SUBSCRIPTION,
            organization_id=ORGANIZATION,
            external_id="s",
            stream_id=STREAM,
            plan_key=plan,
            started_at_us=started_at_us,
            terminated_at_us=terminated_at_us,
        )
    )


def send(meter: Meter, *transactions: str, at: float = 150, gb: str = "1.5") -> Ingest:
    events = [
        {"transaction_id": t, "external_subscription_id": "s", "code": "storage", "timestamp": str(at), "properties": {"gb": gb}}
        for t in transactions
    ]  # fmt: skip
    body = json.dumps({"events": events}).encode()
    return meter.ingest(ORGANIZATION, body, single=False, now_us=SECOND_US)


def commit(meter: Meter) -> bytes:
    sealed = meter.seal(SECOND_US)
    meter.confirm()
    return sealed.segment or b""


def whole(charge_id: uuid.UUID, units: Decimal, count: int) -> BucketUsage:
    """Usage of a charge without filters and groups."""
    return BucketUsage(charge_id, None, (), units, count, units)


def totals(count: int, units: str) -> list[BucketUsage]:
    return [whole(COUNT, Decimal(count), count), whole(SUM, Decimal(units), count)]


def test_usage_counts_from_its_confirmation_on(meter: Meter) -> None:
    subscribe(meter)
    assert meter.open_window(WINDOW)
    send(meter, "a", "b")
    assert meter.read_window(WINDOW) == totals(0, "0")
    meter.seal(SECOND_US)
    assert meter.read_window(WINDOW) == totals(0, "0")
    meter.confirm()
    assert meter.read_window(WINDOW) == totals(2, "3")


def test_a_duplicate_waits_for_its_original(meter: Meter) -> None:
    assert send(meter, "a").wait_for == (1,)
    meter.seal(SECOND_US)
    assert send(meter, "b").wait_for == (2,)
    both = send(meter, "a", "b", "c")
    assert (both.status, both.batch, both.wait_for, both.count) == (422, 2, (1, 2), 0)
    meter.confirm()
    assert send(meter, "a", "b").wait_for == (2,)
    assert send(meter, "a").wait_for == ()


def test_a_rollback_leaves_no_trace_and_spares_the_open_batch(meter: Meter) -> None:
    subscribe(meter)
    meter.open_window(WINDOW)
    send(meter, "a")
    first = meter.seal(SECOND_US, [(STREAM, "fact.v1", b"x")])
    send(meter, "b")
    assert meter.stats().staged_events == 2
    meter.rollback()
    assert meter.head(STREAM) == (0, bytes(32))
    assert send(meter, "a").wait_for == (2,)
    assert send(meter, "b").wait_for == (2,)
    second = meter.seal(SECOND_US)
    meter.confirm()
    assert (second.commit_seq, second.segment_no) == (first.commit_seq, first.segment_no) == (1, 1)
    assert meter.read_window(WINDOW) == totals(2, "3")
    assert meter.staged_bytes == 0


def test_calls_out_of_order_are_refused(meter: Meter) -> None:
    with pytest.raises(RuntimeError):
        meter.confirm()
    with pytest.raises(RuntimeError):
        meter.rollback()
    meter.seal(SECOND_US)
    with pytest.raises(RuntimeError):
        meter.seal(SECOND_US)
    with pytest.raises(RuntimeError):
        meter.apply_commit(1, bytes(32))
    meter.rollback()
    send(meter, "a")
    with pytest.raises(RuntimeError):
        meter.apply_facts([])


def test_commit_chain_over_facts(meter: Meter) -> None:
    """Versions count over facts and usage; the hashes are those of the documented bytes."""
    subscribe(meter)
    facts = [(STREAM, "a.v1", b"one"), (uuid.UUID(int=9), "b.v1", b""), (STREAM, "c.v1", b"two")]
    sealed = meter.seal(-5, facts)
    assert (sealed.versions, sealed.segment, sealed.segment_no) == ([1, 1, 2], None, 0)
    heads: dict[uuid.UUID, bytes] = {}
    commit_bytes = bytes(32) + (-5).to_bytes(8, "little", signed=True)
    for (stream, topic, body), version, stored in zip(
        facts, sealed.versions, sealed.hashes, strict=True
    ):
        place = stream.bytes + version.to_bytes(8, "little")
        named = len(topic).to_bytes(2, "little") + topic.encode()
        heads[stream] = hashlib.sha256(heads.get(stream, bytes(32)) + place + named + body).digest()
        assert stored == heads[stream]
        commit_bytes += place + stored
    assert sealed.commit_hash == hashlib.sha256(commit_bytes).digest()
    meter.confirm()
    assert meter.commit_head == (1, sealed.commit_hash)
    send(meter, "a")
    commit(meter)
    assert meter.head(STREAM)[0] == 3


def test_usage_of_a_later_subscription_is_folded_from_the_log(meter: Meter) -> None:
    segments = []
    for transaction in "abc":
        send(meter, transaction)
        segments.append(commit(meter))
    subscribe(meter)
    assert not meter.open_window(WINDOW)
    assert meter.read_window(WINDOW) is None
    # Committed after the opening: folded at once, and not again from the log.
    send(meter, "d")
    segments.append(commit(meter))
    assert meter.needed_segments(SUBSCRIPTION) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="segment 2"):
        meter.fold_window(WINDOW, [segments[0], segments[2]])
    assert meter.fold_window(WINDOW, segments[::-1])
    assert meter.read_window(WINDOW) == totals(4, "6")
    assert meter.fold_window(WINDOW, segments)
    assert meter.read_window(WINDOW) == totals(4, "6")
    assert not meter.fold_window(Window(SUBSCRIPTION, 0, 1), segments)


def test_a_closed_window_comes_back_from_the_log(meter: Meter) -> None:
    subscribe(meter)
    assert meter.open_window(WINDOW)
    send(meter, "a")
    segment = commit(meter)
    meter.close_window(WINDOW)
    assert not meter.open_window(WINDOW)
    assert meter.fold_window(WINDOW, [segment])
    assert meter.read_window(WINDOW) == totals(1, "1.5")


def test_another_plan_folds_the_window_anew(meter: Meter) -> None:
    subscribe(meter)
    meter.open_window(WINDOW)
    send(meter, "a", gb="-7")
    segment = commit(meter)
    subscribe(meter, plan=OTHER_PLAN)
    assert meter.read_window(WINDOW) is None
    assert not meter.open_window(WINDOW)
    assert meter.fold_window(WINDOW, [segment])
    assert meter.read_window(WINDOW) == [whole(SUM, Decimal(-7), 1)]


def test_a_termination_takes_later_usage_away(meter: Meter) -> None:
    subscribe(meter)
    meter.open_window(WINDOW)
    send(meter, "a", at=150)
    send(meter, "b", at=160)
    segment = commit(meter)
    subscribe(meter, terminated_at_us=170 * SECOND_US)
    assert meter.read_window(WINDOW) == totals(2, "3")
    subscribe(meter, terminated_at_us=160 * SECOND_US)
    assert meter.read_window(WINDOW) is None
    assert meter.fold_window(WINDOW, [segment])
    assert meter.read_window(WINDOW) == totals(1, "1.5")


def test_bounds_are_cut_to_the_millisecond(meter: Meter) -> None:
    subscribe(meter, started_at_us=150 * SECOND_US + 500)
    meter.open_window(WINDOW)
    send(meter, "a", at=150)
    send(meter, "b", at=149.9999)
    commit(meter)
    assert meter.read_window(WINDOW) == totals(1, "1.5")


def test_next_periods_open_complete_whatever_came_before(meter: Meter) -> None:
    """One event in the far future, one in the past and a closed period do not force a fold."""
    subscribe(meter)
    meter.open_window(WINDOW)
    for transaction, at in ("a", 150), ("b", 1_750_000_000_000), ("c", -5):
        send(meter, transaction, at=at)
    commit(meter)
    meter.close_window(WINDOW)
    assert meter.open_window(Window(SUBSCRIPTION, 200 * SECOND_US, 300 * SECOND_US))


def test_a_snapshot_holds_what_is_committed_only(meter: Meter) -> None:
    subscribe(meter)
    meter.open_window(WINDOW)
    send(meter, "a")
    segment = commit(meter)
    send(meter, "b")
    meter.seal(SECOND_US, [(STREAM, "fact.v1", b"x")])
    send(meter, "c")
    restored = Meter.restore(b"0123456789abcdef", meter.snapshot())
    for refused in (lambda: send(restored, "a"), lambda: commit(restored)):
        with pytest.raises(RuntimeError, match="not at the end of the log"):
            refused()
    restored.catch_up(*restored.commit_head, segment)
    assert restored.index_head == restored.commit_head
    assert restored.read_window(WINDOW) == totals(1, "1.5")
    assert restored.commit_head == (1, meter.commit_head[1])
    assert restored.head(STREAM)[0] == 1
    assert send(restored, "a").status == 422
    assert send(restored, "b", "c").wait_for == (1,)
    commit(restored)
    assert restored.read_window(WINDOW) == totals(3, "4.5")


def test_ingestion_goes_on_while_commits_are_made(meter: Meter) -> None:
    """Two senders, one of them repeating the other's events, against a committing thread."""
    subscribe(meter)
    meter.open_window(WINDOW)
    accepted = [0, 0]

    def sender(number: int) -> None:
        for index in range(300):
            accepted[number] += send(meter, *(f"{index}-{item}" for item in range(20))).count

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        commit(meter)
    for thread in threads:
        thread.join()
    commit(meter)
    assert sum(accepted) == 6_000
    assert meter.read_window(WINDOW) == totals(6_000, "9000")
    assert meter.stats().duplicates == 6_000
