"""Starts with a large log: after a kill, without the index, and from the log alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import servers
from benchmarks.bodies import EventSource
from benchmarks.load import send
from benchmarks.report import Result

CUSTOMERS: Final = 10_000
EVENTS: Final = 20_000_000
GOAL_S: Final = 5
RATE_GOAL: Final = 2_000_000
RUNS: Final = 3


async def measure(folder: Path) -> AsyncIterator[Result]:
    """From the start of the process to the first acknowledgement. Takes minutes: the log has to be made first."""
    data = folder / "large"
    arguments = (str(data), str(CUSTOMERS), str(EVENTS), "--kill")
    await servers.run(sys.executable, "-m", "benchmarks.world", *arguments, killed=True)
    kept = folder / "kept"
    for part in ("snapshots", "index"):
        shutil.copytree(data / part, kept / part)
    async with servers.floor() as server:
        nothing_s = server.started_s

    def as_killed() -> None:
        for part in ("snapshots", "index"):
            shutil.rmtree(data / part, ignore_errors=True)
            shutil.copytree(kept / part, data / part)

    def without_index() -> None:
        as_killed()
        shutil.rmtree(data / "index")

    def from_the_log() -> None:
        without_index()
        shutil.rmtree(data / "snapshots")

    starts = (
        ("after SIGKILL", as_killed, RUNS),
        ("without the index", without_index, RUNS),
        ("without index and snapshot", from_the_log, 1),
    )
    for name, prepare, runs in starts:
        measured = [await _start(data, prepare) for _ in range(runs)]
        yield Result.of(
            f"restart {name}",
            "s",
            [seconds for seconds, _ in measured],
            floor=nothing_s,
            goal=GOAL_S if prepare is as_killed else None,
            note=f"{EVENTS:,} usage events, {CUSTOMERS:,} customers; to the first acknowledgement",
        )
        yield Result.of(
            f"restart {name}, CPU", "s", [cpu_s for _, cpu_s in measured], note="all threads"
        )
        if prepare is not as_killed:
            yield Result.of(
                f"restart {name}: usage events read",
                "events/s",
                [EVENTS / (seconds - nothing_s) for seconds, _ in measured],
                goal=RATE_GOAL,
                note="the time a server needs that does nothing is subtracted",
            )


async def _start(data: Path, prepare: Callable[[], None]) -> tuple[float, float]:
    """Seconds and CPU seconds; ends by a kill, so that the start after it finds the same."""
    prepare()
    began = perf_counter()
    async with servers.engine(data) as server:
        body = EventSource(f"restart {began}").singles(1, CUSTOMERS)
        (await send(server.target, server.target.post("/events", body), 1)).expect(200)
        measured = perf_counter() - began, server.cpu_s()
        server.process.kill()
    return measured
