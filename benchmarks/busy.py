"""One customer with ten million events in the running period: current usage over HTTP, and the log folded again.

Takes about two minutes, most of them to write the events.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter
from typing import Final

import uvloop

from benchmarks import servers
from benchmarks.bodies import BATCH_EVENTS, METRICS, EventSource
from benchmarks.load import Target, send
from benchmarks.report import Result
from benchmarks.world import NOW, ORGANIZATION_ID, external_id, fill
from lago_engine.audit.segments import iter_segments
from lago_engine.bootstrap import fingerprint_secret, open_engine
from lago_engine.clock import SystemClock
from lago_engine.domain import ids
from lago_engine.domain.timezones import micros
from lago_engine.metering import Meter, MeteredCharge, UsageFold, scan_events
from lago_engine.settings import Settings
from lago_engine.store.open import open_store
from lago_engine.store.port import Store

EVENTS: Final = 10_000_000
RUNS: Final = 3
WARM_REQUESTS: Final = 1_000
P99_GOAL_MS: Final = 5
FOLD_GOAL: Final = 3_300_000
AT_ONCE: Final = 200
SEGMENTS_PER_READ: Final = 64

_USAGE: Final = f"/customers/{external_id(0)}/current_usage?external_subscription_id=sub_00000"
_REGROUPED: Final = f"{_USAGE}&group[region]=eu-central-1"


async def measure(folder: Path) -> AsyncIterator[Result]:
    """Warm answers, then cold folds."""
    data = folder / "busy"
    await servers.run(sys.executable, "-m", "benchmarks.busy", str(data))
    async with servers.floor() as server:
        floor = await _warm(server.target, _USAGE)
    async with servers.engine(data) as server:
        target = server.target
        yield _latency("current usage, 10M events, warm", await _warm(target, _USAGE), floor)
        began = perf_counter()
        (await send(target, target.get([_REGROUPED]), 1)).expect(200)
        cold_s = perf_counter() - began
        yield Result.of(
            "usage of one group no charge knows, 10M events, first time",
            "s",
            [cold_s],
            note="folded from the log on two threads",
        )
        regrouped = await _warm(target, _REGROUPED)
        yield _latency("usage of one group no charge knows, asked again", regrouped, floor)
    for result in _folds(data):
        yield result


async def _warm(target: Target, path: str) -> list[float]:
    """p99 in ms of each run, one request at a time."""
    requests = target.get([path] * WARM_REQUESTS)
    rounds = [(await send(target, requests, 1)).expect(200) for _ in range(RUNS)]
    return [round_.percentile_ms(99) for round_ in rounds]


def _latency(name: str, values: list[float], floor: list[float]) -> Result:
    return Result.of(f"{name}, p99", "ms", values, floor=statistics.median(floor), goal=P99_GOAL_MS)


def _folds(data: Path) -> Iterator[Result]:
    store = open_store(data, None, read_only=True)
    try:
        floor = statistics.median(_search(store) for _ in range(RUNS))
        for threads, parallel in (("one thread", False), ("two threads", True)):
            yield Result.of(
                f"cold fold of 10M events, {threads}",
                "events/s",
                [_fold(store, parallel=parallel) for _ in range(RUNS)],
                floor=floor,
                goal=FOLD_GOAL,
                note="read from disk; floor: unpack, search for an id that is not there",
            )
    finally:
        store.close()


def _search(store: Store) -> float:
    began = perf_counter()
    found, _ = scan_events(ORGANIZATION_ID, iter_segments(store), transaction_id="nowhere")
    assert found == 0
    return EVENTS / (perf_counter() - began)


def _fold(store: Store, *, parallel: bool) -> float:
    began = perf_counter()
    fold: UsageFold = Meter(fingerprint_secret(store)).usage_fold()
    charges = [_metered(code) for code in METRICS]
    start = micros(NOW.replace(day=1, hour=0))
    month_us = 31 * 86_400_000_000
    number = fold.select(ORGANIZATION_ID, "sub_00000", start, start + month_us, fold.plan(charges))
    part: list[bytes] = []
    for segment in iter_segments(store):
        part.append(segment)
        if len(part) == SEGMENTS_PER_READ:
            fold.feed(part, parallel=parallel)
            part = []
    fold.feed(part, parallel=parallel)
    assert sum(bucket.events_count for bucket in fold.read(number)) == EVENTS
    return EVENTS / (perf_counter() - began)


def _metered(code: str) -> MeteredCharge:
    sums = code in METRICS[:2]
    return MeteredCharge(
        charge_id=ids.derive(ORGANIZATION_ID, code),
        metric_code=code,
        aggregation_type="sum_agg" if sums else "count_agg",
        field_name="gb" if sums else None,
    )


async def make(data: Path) -> None:
    """Write the data directory: one customer, all events."""
    source = EventSource("busy")
    batches = (source.batches_for_one(1, 1)[0] for _ in range(EVENTS // BATCH_EVENTS))
    settings = Settings(data=data, sandbox=True, document_workers=0, snapshot_every_s=0)
    async with open_engine(settings, SystemClock()) as opened:
        await fill(opened.engine, 1, 0)

        async def work() -> None:
            for body in batches:
                await opened.engine.ingest(ORGANIZATION_ID, body, single=False)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(make(Path(sys.argv[1])))
