"""A billing day: every customer falls due at once and gets an invoice of a base fee and four charge fees."""

from __future__ import annotations

import asyncio
import http.client
import statistics
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec

from benchmarks import servers
from benchmarks.bodies import EventSource
from benchmarks.load import HOST, PREFIX, Round, Target, send, trickle
from benchmarks.report import Result
from benchmarks.world import ORGANIZATION_ID
from lago_engine.scheduling.scheduler import CHUNK
from lago_engine.store.base import SqlStore
from lago_engine.store.documents import DocumentChange
from lago_engine.store.open import open_store
from lago_engine.store.port import CommitBatch, StoredEvent

CUSTOMERS: Final = 1_000
RUNS: Final = 3
GOAL: Final = 500
TRICKLE_PER_SECOND: Final = 200
DOCUMENTS_OF_INVOICE: Final = (("invoice", 1), ("fee", 5))
FIRST_OF_MONTH: Final = tuple(f"2026-{month:02d}-01T00:00:00Z" for month in range(2, 8))


class _Clock(msgspec.Struct):
    actions: dict[str, int]


class _Advanced(msgspec.Struct):
    test_clock: _Clock


async def measure(folder: Path) -> AsyncIterator[Result]:
    """Invoices per second, and what usage waits for meanwhile."""
    data = await servers.make_world(folder, CUSTOMERS)
    async with servers.engine(data) as server:
        target, source = server.target, EventSource("month")
        idle = await _trickled(target, source, asyncio.create_task(asyncio.sleep(1.5)))
        rates, cpu_s = [], 0.0
        for day in FIRST_OF_MONTH[:RUNS]:
            await _use(target, source)
            cpu_s -= server.cpu_s()
            rates.append(await _bill(target, day))
            cpu_s += server.cpu_s()
        busy = []
        for day in FIRST_OF_MONTH[RUNS:]:
            await _use(target, source)
            busy.append(await _trickled(target, source, asyncio.create_task(_bill(target, day))))
    floor = statistics.median(_rows_only(data, folder))
    yield Result.of(
        "invoices finalized, 5 fees each",
        "invoices/s",
        rates,
        floor=floor,
        goal=GOAL,
        note=f"CPU per invoice: {cpu_s / RUNS / CUSTOMERS * 1000:.2f} ms; floor: the same rows "
        "committed, nothing computed",
    )
    for percent in (50, 99):
        yield Result.of(
            f"ingestion of single events while invoices are made, p{percent}",
            "ms",
            [round_.percentile_ms(percent) for round_ in busy],
            floor=idle.percentile_ms(percent),
            note=f"{TRICKLE_PER_SECOND} events/s offered; floor: without billing",
        )


async def _use(target: Target, source: EventSource) -> None:
    """Every charge of every customer has usage this month."""
    bodies = source.batches_of_each(CUSTOMERS)
    (await send(target, target.post("/events/batch", bodies), 8)).expect(200)


async def _bill(target: Target, day: str) -> float:
    """Invoices per second of the day on which everybody is billed."""
    began = perf_counter()
    answer = await asyncio.to_thread(_advance, target, day)
    seconds = perf_counter() - began
    made = answer.test_clock.actions["invoices"]
    if made != CUSTOMERS:
        raise RuntimeError(f"{made} invoices instead of {CUSTOMERS}")
    return made / seconds


def _advance(target: Target, day: str) -> _Advanced:
    connection = http.client.HTTPConnection(HOST, target.port, timeout=60)
    body = msgspec.json.encode({"test_clock": {"to": day}})
    headers = {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
    connection.request("POST", f"{PREFIX}/test_clock/advance", body, headers)
    answer = connection.getresponse().read()
    connection.close()
    return msgspec.json.decode(answer, type=_Advanced)


async def _trickled(target: Target, source: EventSource, work: asyncio.Task[object]) -> Round:
    """Single events at a steady rate for as long as the work takes."""
    requests = target.post("/events", source.singles(TRICKLE_PER_SECOND * 20, CUSTOMERS))
    stop = asyncio.Event()
    work.add_done_callback(lambda _: stop.set())
    round_ = await trickle(target, requests, TRICKLE_PER_SECOND, stop)
    await work
    return round_.expect(200)


def _rows_only(data: Path, folder: Path) -> list[float]:
    """Invoices per second when the rows that invoices were are written again to an empty store."""
    store = open_store(data, None, read_only=True)
    assert isinstance(store, SqlStore)
    try:
        commits = list(_commits(store))
    finally:
        store.close()
    rates = []
    for run in range(RUNS):
        target = folder / f"rows_{run}"
        target.mkdir()
        empty = open_store(target, None)
        began = perf_counter()
        for commit in commits:
            empty.commit(commit)
        rates.append(CUSTOMERS / (perf_counter() - began))
        empty.close()
    return rates


def _commits(store: SqlStore) -> Iterator[CommitBatch]:
    """The events and documents of the last billing day, in commits as large as the scheduler's."""
    finalized = store.read_log(0, 1_000_000, ("invoice_finalized.v1",))[-CUSTOMERS:]
    events = [StoredEvent(r.stream_id, r.version, r.topic, r.state) for r in finalized]
    changes = [
        DocumentChange(
            organization_id=ORGANIZATION_ID,
            kind=kind,
            key=key,
            parent=parent,
            sort_key=sort_key,
            body=body.encode(),
        )
        for kind, each in DOCUMENTS_OF_INVOICE
        for key, parent, sort_key, body in store.query(
            "SELECT key, parent, sort_key, body FROM documents WHERE kind = ?"
            " ORDER BY position DESC LIMIT ?",
            (kind, CUSTOMERS * each),
        )
    ]
    per_commit = CHUNK * len(changes) // CUSTOMERS
    for number, start in enumerate(range(0, CUSTOMERS, CHUNK)):
        yield CommitBatch(
            seq=number + 1,
            hash=bytes(32),
            recorded_at_us=number,
            events=events[start : start + CHUNK],
            documents=changes[number * per_commit : (number + 1) * per_commit],
        )
