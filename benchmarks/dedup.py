"""De-duplication with many known ids: what 100 million of them cost in memory and in speed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import servers
from benchmarks.bodies import EventSource
from benchmarks.ingest import FOR_ALL, FOR_ONE, RUNS, SINGLE, SUBSCRIPTIONS, Shape
from benchmarks.load import Round, send
from benchmarks.report import Result
from benchmarks.servers import Server
from lago_engine.bootstrap import fingerprint_secret
from lago_engine.metering import Meter
from lago_engine.store.open import open_store

RUN_SIZES: Final = (51_200_000, 12_800_000, 12_800_000, 12_800_000, 3_200_000, 3_200_000, 3_200_000)
"""The runs that so many ids end up in, as few and as large as merging makes them."""

KNOWN: Final = sum(RUN_SIZES)
ONE_PERCENT: Final = 100


async def measure(folder: Path) -> AsyncIterator[Result]:
    """Memory and speed with an empty index and a full one; the empty one is the floor."""
    empty = await servers.make_world(folder, SUBSCRIPTIONS)
    async with servers.engine(empty) as server:
        floor_bytes = _resident(server)
        floors = {shape.name: await _rounds(server, shape, "empty") for shape in _SHAPES}
        floors |= await _repeating(server, "empty")
    data = await servers.make_world(folder, SUBSCRIPTIONS)
    seconds = _fill(data)
    yield Result.of(
        "dedup: writing runs", "ids/s", [KNOWN / seconds], note="sorted, filtered, summed, synced"
    )
    async with servers.engine(data) as server:
        known = f"{KNOWN / 1e6:.1f} million known ids"
        yield Result.of(f"dedup: start with {known}", "s", [server.started_s])
        rates = {shape.name: await _rounds(server, shape, "full") for shape in _SHAPES}
        rates |= await _repeating(server, "full")
        for name, values in rates.items():
            floor = sorted(floors[name])[len(floors[name]) // 2]
            yield Result.of(
                f"dedup: {name}, {known}",
                "events/s",
                values,
                floor=floor,
                goal=0.8 * floor,
                note="floor: the same with an index that began empty",
            )
        yield Result.of(
            f"dedup: resident memory with {known}",
            "MB",
            [_resident(server) / 1e6],
            floor=floor_bytes / 1e6,
            note=f"{(_resident(server) - floor_bytes) / KNOWN:.2f} bytes more per id, "
            "those of this run and its 10,000 subscriptions included",
        )


_SHAPES: Final = (SINGLE, FOR_ONE, FOR_ALL)


def _fill(data: Path) -> float:
    """Seconds it took to write runs of made-up fingerprints into the index of a data directory."""
    store = open_store(data, None)
    try:
        meter = Meter(fingerprint_secret(store), index=data / "index")
    finally:
        store.close()
    began = perf_counter()
    for size in RUN_SIZES:
        meter.pretend(size)
    return perf_counter() - began


async def _rounds(server: Server, shape: Shape, name: str) -> list[float]:
    source = EventSource(f"{name} {shape.name}")
    rates = []
    for _ in range(RUNS):
        bodies = shape.make(source, shape.requests, SUBSCRIPTIONS)
        answered = await send(server.target, server.target.post(shape.path, bodies))
        rates.append(answered.expect(200).per_second(shape.events))
    return rates


async def _repeating(server: Server, name: str) -> dict[str, list[float]]:
    """Batches sent again: all of them, and one in a hundred among new ones."""
    source = EventSource(f"{name} again")
    target = server.target
    sent = target.post(FOR_ALL.path, FOR_ALL.make(source, FOR_ALL.requests, SUBSCRIPTIONS))
    (await send(target, sent)).expect(200)
    again: list[Round] = [(await send(target, sent)).expect(422) for _ in range(RUNS)]
    some: list[Round] = []
    for _ in range(RUNS):
        requests = target.post(FOR_ALL.path, FOR_ALL.make(source, FOR_ALL.requests, SUBSCRIPTIONS))
        requests[::ONE_PERCENT] = sent[: len(requests[::ONE_PERCENT])]
        some.append((await send(target, requests)).expect(200, 422))
    return {
        "batches, all repeated": [round_.per_second(FOR_ALL.events) for round_ in again],
        "batches, 1 % repeated": [round_.per_second(FOR_ALL.events) for round_ in some],
    }


def _resident(server: Server) -> int:
    """Bytes of physical memory the server's process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
