"""The log read again: the audit's replay, and how long a restart takes."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec

from benchmarks import servers
from benchmarks.report import Result
from benchmarks.world import ORGANIZATION_ID
from lago_engine.audit.segments import iter_segments
from lago_engine.metering import scan_events
from lago_engine.store.open import open_store

RUNS: Final = 3
CUSTOMERS: Final = 1_000
EVENTS: Final = 1_000_000
GOAL: Final = 500_000


class _Replayed(msgspec.Struct):
    """What `lago-engine replay --json` says, as far as it matters here."""

    usage_events: int
    facts: int
    seconds: float
    identical: bool


async def measure(folder: Path) -> AsyncIterator[Result]:
    """All figures of reading back."""
    data = await servers.make_world(folder, CUSTOMERS, EVENTS)
    floor = statistics.median(_read_only(data) for _ in range(RUNS))
    yield await _replay(data, floor)
    yield await _verify(data, floor)
    async with servers.floor() as server:
        nothing_s = server.started_s
    for name, keep in (("a snapshot", True), ("the whole log", False)):
        yield Result.of(
            f"restart from {name}",
            "s",
            [await _restart(data, keep_snapshot=keep) for _ in range(RUNS)],
            floor=nothing_s,
            note=f"process start included; {CUSTOMERS:,} customers, {EVENTS:,} usage events",
        )


def _read_only(data: Path) -> float:
    """Usage events per second when segments are read, unpacked and searched for an id that is not there."""
    store = open_store(data, None, read_only=True)
    try:
        began = perf_counter()
        found, _ = scan_events(ORGANIZATION_ID, iter_segments(store), transaction_id="nowhere")
        assert found == 0
        return EVENTS / (perf_counter() - began)
    finally:
        store.close()


async def _replay(data: Path, floor: float) -> Result:
    rates = []
    for _ in range(RUNS):
        replayed = msgspec.json.decode(await _cli("replay", data), type=_Replayed)
        if not replayed.identical or replayed.usage_events != EVENTS:
            raise RuntimeError(f"the replay is not what was written: {replayed}")
        rates.append(replayed.usage_events / replayed.seconds)
    return Result.of(
        "replay: usage events, with all facts and documents compared",
        "events/s",
        rates,
        floor=floor,
        goal=GOAL,
        note="floor: unpack and search the same segments",
    )


async def _verify(data: Path, floor: float) -> Result:
    rates = []
    for _ in range(RUNS):
        began = perf_counter()
        await _cli("verify", data)
        rates.append(EVENTS / (perf_counter() - began))
    return Result.of(
        "verify: usage events, every hash recomputed",
        "events/s",
        rates,
        floor=floor,
        note="process start included",
    )


async def _cli(command: str, data: Path) -> bytes:
    script = str(Path(sys.executable).with_name("lago-engine"))
    return await servers.run(script, command, "--data", str(data), "--json")


async def _restart(data: Path, *, keep_snapshot: bool) -> float:
    if not keep_snapshot:
        shutil.rmtree(data / "snapshots")
    async with servers.engine(data) as server:
        return server.started_s
