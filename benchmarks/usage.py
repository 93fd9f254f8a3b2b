"""Current usage over HTTP: how long the price of a running period takes."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.load import CONNECTIONS, Round, Target, send
from benchmarks.report import Result
from benchmarks.world import external_id

CUSTOMERS: Final = 10_000
EVENTS: Final = 100_000
RUNS: Final = 3
REQUESTS: Final = {1: 2_000, CONNECTIONS: 6_000}
SPREAD: Final = 7_919
"""A prime: consecutive requests are for customers far apart."""


async def measure(folder: Path) -> AsyncIterator[Result]:
    """Latency with one and with many connections, and the rate."""
    async with servers.floor() as server:
        floors = {count: await _rounds(server.target, count) for count in REQUESTS}
    data = await servers.make_world(folder, CUSTOMERS, EVENTS)
    async with servers.engine(data) as server:
        await send(server.target, _requests(server.target, CUSTOMERS))  # Every customer wakes.
        for connections in REQUESTS:
            rounds = await _rounds(server.target, connections)
            for result in _results(connections, rounds, floors[connections]):
                yield result


def _requests(target: Target, count: int) -> list[bytes]:
    numbers = [number * SPREAD % CUSTOMERS for number in range(count)]
    return target.get(
        f"/customers/{external_id(number)}/current_usage?external_subscription_id=sub_{number:05d}"
        for number in numbers
    )


async def _rounds(target: Target, connections: int) -> list[Round]:
    requests = _requests(target, REQUESTS[connections])
    return [(await send(target, requests, connections)).expect(200) for _ in range(RUNS)]


def _results(connections: int, rounds: list[Round], floors: list[Round]) -> list[Result]:
    plural = "s" if connections > 1 else ""
    name = f"current usage of 4 charges, {connections} connection{plural}"
    return [
        Result.of(
            name,
            "requests/s",
            [round_.per_second() for round_ in rounds],
            floor=statistics.median(round_.per_second() for round_ in floors),
        )
    ] + [
        Result.of(
            f"{name}, p{percent}",
            "ms",
            [round_.percentile_ms(percent) for round_ in rounds],
            floor=statistics.median(round_.percentile_ms(percent) for round_ in floors),
        )
        for percent in (50, 99)
    ]
