"""De-duplication with many known ids: what 100 million of them cost in memory, CPU and speed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from benchmarks import servers
from benchmarks.bodies import EventSource
from benchmarks.ingest import FOR_ALL, FOR_ONE, RUNS, SINGLE, SUBSCRIPTIONS, Shape
from benchmarks.load import send
from benchmarks.report import Result
from benchmarks.servers import Server
from lago_engine.bootstrap import fingerprint_secret
from lago_engine.metering import Meter
from lago_engine.store.open import open_store

RUN_SIZES: Final = (51_200_000, 12_800_000, 12_800_000, 12_800_000, 3_200_000, 3_200_000, 3_200_000)
"""The runs that so many ids end up in: at most three of a magnitude."""

KNOWN: Final = sum(RUN_SIZES)
SHAPES: Final = (SINGLE, FOR_ONE, FOR_ALL)
ONE_PERCENT: Final = 100


class Load(NamedTuple):
    """Requests of one round after the other, their statuses, and events per request."""

    name: str
    bodies: Callable[[], list[bytes]]
    shape: Shape
    statuses: tuple[int, ...]


class Measured(NamedTuple):
    """cpu_us: of the server, per event; neighbours on the machine change it less than rates."""

    per_second: list[float]
    cpu_us: list[float]


async def measure(folder: Path) -> AsyncIterator[Result]:
    """An index that began empty is the floor; the full one follows, with the same loads."""
    data = await servers.make_world(folder, SUBSCRIPTIONS)
    async with servers.engine(data) as server:
        empty_bytes = _resident(server)
        floors = {load.name: await _rounds(server, load) for load in _loads("empty")}
    data = await servers.make_world(folder, SUBSCRIPTIONS)
    seconds = _fill(data)
    yield Result.of(
        "dedup: writing runs", "ids/s", [KNOWN / seconds], note="filtered, summed, synced"
    )
    known = f"{KNOWN / 1e6:.0f} million known ids"
    async with servers.engine(data) as server:
        yield Result.of(f"dedup: start with {known}", "s", [server.started_s])
        yield Result.of(
            f"dedup: resident memory with {known}",
            "MB",
            [_resident(server) / 1e6],
            floor=empty_bytes / 1e6,
            note=f"{(_resident(server) - empty_bytes) / KNOWN:.2f} bytes more per id",
        )
        for load in _loads("full"):
            measured, floor = await _rounds(server, load), floors[load.name]
            for unit, values, floor_values in (
                ("events/s", measured.per_second, floor.per_second),
                ("µs CPU/event", measured.cpu_us, floor.cpu_us),
            ):
                yield Result.of(
                    f"dedup: {load.name}, {known}, {unit}",
                    unit,
                    values,
                    floor=sorted(floor_values)[len(floor_values) // 2],
                    note="floor: the same with an index that began empty",
                )


def _loads(name: str) -> list[Load]:
    """New ids in each shape, the last shape sent again, and with one request in a hundred sent again."""

    def made(shape: Shape) -> Callable[[], list[bytes]]:
        source = EventSource(f"{name} {shape.name}")
        return lambda: shape.make(source, shape.requests, SUBSCRIPTIONS)

    again = EventSource(f"{name} again")
    sent = FOR_ALL.make(again, FOR_ALL.requests, SUBSCRIPTIONS)

    def some() -> list[bytes]:
        bodies = FOR_ALL.make(again, FOR_ALL.requests, SUBSCRIPTIONS)
        repeated = bodies[::ONE_PERCENT]
        bodies[::ONE_PERCENT] = sent[: len(repeated)]
        return bodies

    return [
        *(Load(shape.name, made(shape), shape, (200,)) for shape in SHAPES),
        Load("batches, first and repeated", lambda: sent, FOR_ALL, (200, 422)),
        Load("batches, all repeated", lambda: sent, FOR_ALL, (422,)),
        Load("batches, 1 % repeated", some, FOR_ALL, (200, 422)),
    ]


async def _rounds(server: Server, load: Load) -> Measured:
    measured = Measured([], [])
    events = load.shape.requests * load.shape.events
    for _ in range(RUNS):
        requests = server.target.post(load.shape.path, load.bodies())
        before = server.cpu_s()
        answered = (await send(server.target, requests)).expect(*load.statuses)
        measured.cpu_us.append((server.cpu_s() - before) / events * 1e6)
        measured.per_second.append(answered.per_second(load.shape.events))
    return measured


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


def _resident(server: Server) -> int:
    """Bytes of physical memory the server's process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
