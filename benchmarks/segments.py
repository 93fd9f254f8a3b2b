"""Two ways to lay usage on disk: one segment per commit, or one row per customer and commit (docs/adr/0002)."""

from __future__ import annotations

import random
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple
from uuid import UUID

from benchmarks.bodies import BATCH_EVENTS, METRICS, EventSource, batch
from benchmarks.report import Result
from benchmarks.world import ORGANIZATION_ID
from lago_engine.metering import Meter, MeteredCharge, MeteredSubscription, Window
from lago_engine.store.open import open_store
from lago_engine.store.port import CommitBatch, Store, StoredEvent

RUNS: Final = 3
COMMITS: Final = 40
EVENTS: Final = 3_000
"""Of one commit, which is what gathers while the one before is written."""
CUSTOMERS: Final = 10_000
SPREADS: Final = {"30 customers per commit": 30, "customers at random": CUSTOMERS}
CUSTOMERS_READ: Final = 20
SECRET: Final = bytes(16)
TOPIC: Final = "usage_recorded.v1"
PLAN: Final = UUID(int=1 << 64)
CHARGE: Final = MeteredCharge(
    charge_id=UUID(int=1 << 65), metric_code=METRICS[0], aggregation_type="count_agg"
)

Commit = dict[int, list[bytes]]
"""Event objects by customer."""


class _Layout(NamedTuple):
    """Commits as one way of packing lays them out. packing_s: what packing took. meter: what packed them."""

    meter: Meter
    commits: list[CommitBatch]
    packing_s: float


class _Figures(NamedTuple):
    """What is compared."""

    events_per_s: float
    bytes_per_event: float
    read_ms: float


async def measure(folder: Path) -> AsyncIterator[Result]:
    """Writing usage, and folding one customer's window from what was written, in both layouts."""
    for spread, customers in SPREADS.items():
        commits = list(_commits(customers))
        names = sorted({customer for commit in commits for customer in commit})
        read = names[:: len(names) // CUSTOMERS_READ]
        figures = {
            name: [
                _figures(lay_out(commits), read, folder / f"{name}_{customers}_{run}")
                for run in range(RUNS)
            ]
            for name, lay_out in (("segments", _as_segments), ("rows", _as_rows))
        }
        for number, (what, unit) in enumerate(
            (
                ("packed and committed", "events/s"),
                ("on disk", "bytes/event"),
                ("window folded from disk", "ms"),
            )
        ):
            yield Result.of(
                f"usage as segments, {spread}: {what}",
                unit,
                [each[number] for each in figures["segments"]],
                floor=statistics.median(each[number] for each in figures["rows"]),
                note="floor: a row per customer and commit",
            )


def _commits(customers: int) -> Iterator[Commit]:
    """Events by customer, commit by commit."""
    source, pick = EventSource("layout"), random.Random(customers)
    for _ in range(COMMITS):
        commit: Commit = {}
        active = [pick.randrange(CUSTOMERS) for _ in range(customers)]
        for _ in range(EVENTS):
            customer = pick.choice(active)
            commit.setdefault(customer, []).append(source.event(customer))
        yield commit


def _as_segments(commits: Sequence[Commit]) -> _Layout:
    """What the engine does."""
    meter, batches, packing_s = Meter(SECRET), [], 0.0
    for number, commit in enumerate(commits, 1):
        for events in commit.values():
            _ingest(meter, events)
        packed, seconds = _pack(meter)
        packing_s += seconds
        batches.append(
            CommitBatch(
                seq=number, hash=bytes(32), recorded_at_us=1, segment=packed, segment_no=number
            )
        )
    return _Layout(meter, batches, packing_s)


def _as_rows(commits: Sequence[Commit]) -> _Layout:
    """Each customer's events packed by themselves, and a row in the customer's own stream for them."""
    meter, batches, packing_s = Meter(SECRET), [], 0.0
    for number, commit in enumerate(commits, 1):
        rows = []
        for customer, events in commit.items():
            _ingest(meter, events)
            packed, seconds = _pack(meter)
            packing_s += seconds
            rows.append(StoredEvent(_stream(customer), number, TOPIC, packed))
        batches.append(CommitBatch(seq=number, hash=bytes(32), recorded_at_us=1, events=rows))
    return _Layout(meter, batches, packing_s)


def _stream(customer: int) -> UUID:
    return UUID(int=customer + 1)


def _ingest(meter: Meter, events: Sequence[bytes]) -> None:
    for start in range(0, len(events), BATCH_EVENTS):
        body = batch(events[start : start + BATCH_EVENTS])
        answer = meter.ingest(ORGANIZATION_ID, body, single=False, now_us=1)
        assert answer.status == 200


def _pack(meter: Meter) -> tuple[bytes, float]:
    began = perf_counter()
    packed = meter.seal(1).segment
    seconds = perf_counter() - began
    meter.confirm()
    assert packed is not None
    return packed, seconds


def _figures(layout: _Layout, customers: Sequence[int], folder: Path) -> _Figures:
    """Write the commits to a store of their own, then fold the windows of some customers from it."""
    folder.mkdir()
    store = open_store(folder, None)
    began = perf_counter()
    for commit in layout.commits:
        store.commit(commit)
    writing_s = perf_counter() - began
    store.checkpoint()
    size = sum(path.stat().st_size for path in folder.glob("*.sqlite3"))
    layout.meter.put_plan(PLAN, [CHARGE])
    began = perf_counter()
    for customer in customers:
        _fold(layout, store, customer)
    reading_s = perf_counter() - began
    store.close()
    events = COMMITS * EVENTS
    return _Figures(
        events / (layout.packing_s + writing_s),
        size / events,
        reading_s / len(customers) * 1000,
    )


def _fold(layout: _Layout, store: Store, customer: int) -> None:
    """What waking a customer costs whose window is not in memory."""
    meter, subscription = layout.meter, _stream(customer)
    meter.put_subscription(
        MeteredSubscription(
            subscription_id=subscription,
            organization_id=ORGANIZATION_ID,
            external_id=f"sub_{customer:05d}",
            stream_id=subscription,
            plan_key=PLAN,
            started_at_us=0,
        )
    )
    window = Window(subscription, 0, 1_000_000)
    assert not meter.open_window(window)
    if layout.commits[0].segment is None:
        packed = [row.state for row in store.read_stream(subscription)]
    else:
        packed = store.read_segments(meter.needed_segments(subscription))
    assert meter.fold_window(window, packed)
    assert meter.open_window(window)
