"""The metering core alone: events per second of CPU of each step, for three spreads of customers.

Run: `python benchmarks/core_ingest.py`. Bodies of 100 events of about 165 bytes, 10,000 events per commit; one charge
that counts and one that sums. The floor in the same run is hashing the bodies with SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from lago_engine.metering import (
    BUILD_PROFILE,
    LogVerifier,
    Meter,
    MeteredCharge,
    MeteredSubscription,
    Sealed,
    Window,
    scan_events,
)

T = TypeVar("T")

SECRET = b"0123456789abcdef"
ORGANIZATION, PLAN = uuid.UUID(int=1), uuid.UUID(int=2)
NOW_US = 1_750_000_000_000_000
BODIES, BODIES_PER_COMMIT, EVENTS_PER_BODY = 3_000, 100, 100
COMMITS_TOGETHER = 8
EVENTS = BODIES * EVENTS_PER_BODY


def make_bodies(customers: int) -> list[bytes]:
    """Each body speaks of one customer when there is one, else of many."""

    def event(index: int) -> dict[str, object]:
        return {
            "transaction_id": f"tx-{index:012d}",
            "external_subscription_id": f"sub_{index * 7919 % customers:06d}",
            "code": "storage",
            "timestamp": 1_750_000_000 + index % 1000,
            "properties": {"gb": "12.5", "region": "eu-west-1"},
        }

    starts = range(0, EVENTS, EVENTS_PER_BODY)
    return [
        json.dumps(
            {"events": [event(start + i) for i in range(EVENTS_PER_BODY)]}, separators=(",", ":")
        ).encode()
        for start in starts
    ]


def register(meter: Meter, customers: int) -> None:
    count = MeteredCharge(
        charge_id=uuid.UUID(int=3), metric_code="storage", aggregation_type="count_agg"
    )
    total = MeteredCharge(
        charge_id=uuid.UUID(int=4),
        metric_code="storage",
        aggregation_type="sum_agg",
        field_name="gb",
    )
    meter.put_plan(PLAN, [count, total])
    for number in range(customers):
        subscription = MeteredSubscription(
            subscription_id=uuid.uuid4(),
            organization_id=ORGANIZATION,
            external_id=f"sub_{number:06d}",
            stream_id=uuid.uuid4(),
            plan_key=PLAN,
            started_at_us=0,
        )
        meter.put_subscription(subscription)
        assert meter.open_window(Window(subscription.subscription_id, 0, 2 * NOW_US))


class Stopwatch:
    """Seconds of CPU spent per step, all threads: other work on the machine changes them less than the time."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        result = work()
        self.spent[step] = self.spent.get(step, 0.0) + time.process_time() - start
        return result


def rebuild(meter: Meter, sealed: list[Sealed]) -> None:
    """As a start does it: fingerprints and windows, many commits at once."""
    usage = [(commit.segment or b"", commit.commit_seq, commit.commit_hash) for commit in sealed]
    for start in range(0, len(usage), COMMITS_TOGETHER):
        meter.apply_usage(usage[start : start + COMMITS_TOGETHER])


def measure(customers: int) -> None:
    meter, watch = Meter(SECRET), Stopwatch()
    register(meter, customers)
    bodies = make_bodies(customers)
    watch("floor: sha256", lambda: [hashlib.sha256(body).digest() for body in bodies])
    sealed = []
    for start in range(0, BODIES, BODIES_PER_COMMIT):
        batch = bodies[start : start + BODIES_PER_COMMIT]

        def ingest(batch: list[bytes] = batch) -> None:
            for body in batch:
                assert meter.ingest(ORGANIZATION, body, single=False, now_us=NOW_US).status == 200

        watch("ingest", ingest)
        sealed.append(watch("seal", lambda: meter.seal(NOW_US)))
        watch("confirm", meter.confirm)
    segments = [commit.segment or b"" for commit in sealed]
    recovered = Meter(SECRET)
    register(recovered, customers)
    watch("rebuild", lambda: rebuild(recovered, sealed))
    verifier = LogVerifier()
    for commit, segment in zip(sealed, segments, strict=True):
        watch("verify", lambda segment=segment: verifier.feed_segment(segment))
        verifier.feed_commit(NOW_US, commit.commit_hash)
    assert watch("scan", lambda: scan_events(ORGANIZATION, segments))[0] == EVENTS
    figures = "  ".join(
        f"{step} {EVENTS / seconds / 1e6:.2f}M/s" for step, seconds in watch.spent.items()
    )
    stored = sum(map(len, segments)) / EVENTS
    print(f"{customers:>6} customers, {stored:.0f} bytes stored per event:  {figures}")


if __name__ == "__main__":
    assert BUILD_PROFILE == "release", "a debug build says nothing about speed"
    for customers in (1, 100, 10_000):
        measure(customers)
