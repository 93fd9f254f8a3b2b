"""Usage in: single events and batches over HTTP, every answer after its commit was synced."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import servers
from benchmarks.bodies import BATCH_EVENTS, EventSource
from benchmarks.load import CONNECTIONS, Round, Target, send
from benchmarks.report import Result
from benchmarks.servers import Server

SUBSCRIPTIONS: Final = 10_000
RUNS: Final = 3
SLOW_SYNC_S: Final = 0.002
SINGLES_ALONE: Final = 1_000
REPEATED_EVERY: Final = 100
SINGLE_GOAL: Final = 0.4
"""Of the floor."""


class Shape(NamedTuple):
    """A way to send usage. events: of each request. goal: events/s; None: `SINGLE_GOAL`."""

    name: str
    path: str
    make: Callable[[EventSource, int, int], list[bytes]]
    requests: int
    events: int
    goal: float | None


SINGLE: Final = Shape("single events", "/events", EventSource.singles, 10_000, 1, None)
FOR_ONE: Final = Shape(
    "batches of 100 for one subscription",
    "/events/batch",
    EventSource.batches_for_one,
    3_000,
    BATCH_EVENTS,
    150_000,
)
FOR_ALL: Final = Shape(
    "batches of 100 over 10,000 subscriptions",
    "/events/batch",
    EventSource.batches_for_all,
    2_000,
    BATCH_EVENTS,
    50_000,
)
SHAPES: Final = (SINGLE, FOR_ONE, FOR_ALL)


class Measured(NamedTuple):
    """cpu_us: of the server, per event."""

    rounds: list[Round]
    cpu_us: float


Floors = Mapping[str, Measured]


async def measure(folder: Path) -> AsyncIterator[Result]:
    """All figures of the way in."""
    source = EventSource("floor")
    async with servers.floor() as server:
        floors = {shape.name: await _rounds(server, shape, source) for shape in SHAPES}
        alone = await send(
            server.target, _requests(server.target, SINGLE, source, SINGLES_ALONE), 1
        )
    data = await servers.make_world(folder, SUBSCRIPTIONS)
    source = EventSource("fast")
    async with servers.engine(data) as server:
        for shape in SHAPES:
            measured = await _rounds(server, shape, source)
            for result in _results(shape, measured, floors):
                yield result
        yield await _alone(server.target, source, alone)
        for result in await _repeated(server.target, source, floors):
            yield result
    data = await servers.make_world(folder, SUBSCRIPTIONS)
    async with servers.engine(data, "--sync-delay-s", str(SLOW_SYNC_S)) as server:
        for shape in SHAPES:
            measured = await _rounds(server, shape, source)
            for result in _results(shape, measured, floors, slow=True):
                yield result


def _requests(target: Target, shape: Shape, source: EventSource, count: int) -> list[bytes]:
    return target.post(shape.path, shape.make(source, count, SUBSCRIPTIONS))


async def _rounds(server: Server, shape: Shape, source: EventSource) -> Measured:
    target = server.target
    await send(target, _requests(target, shape, source, shape.requests // 10))  # Warms up.
    cpu_s, rounds = server.cpu_s(), list[Round]()
    for _ in range(RUNS):
        requests = _requests(target, shape, source, shape.requests)
        rounds.append((await send(target, requests)).expect(200))
    events = RUNS * shape.requests * shape.events
    return Measured(rounds, (server.cpu_s() - cpu_s) / events * 1e6)


def _per_second(shape: Shape, rounds: Sequence[Round]) -> list[float]:
    return [round_.per_second(shape.events) for round_ in rounds]


def _floor(shape: Shape, floors: Floors) -> float:
    return statistics.median(_per_second(shape, floors[shape.name].rounds))


def _results(
    shape: Shape, measured: Measured, floors: Floors, *, slow: bool = False
) -> list[Result]:
    rounds, floor = measured.rounds, floors[shape.name]
    name = shape.name + (", sync 2 ms slower" if slow else "")
    goal = None if slow else shape.goal or SINGLE_GOAL * _floor(shape, floors)
    rate = Result.of(
        f"ingest: {name}",
        "events/s",
        _per_second(shape, rounds),
        floor=_floor(shape, floors),
        goal=goal,
        note=f"{CONNECTIONS} connections; CPU per event: {measured.cpu_us:.1f} µs, "
        f"floor {floor.cpu_us:.1f} µs",
    )
    return [rate] + [
        Result.of(
            f"ingest: {name}, p{percent}",
            "ms",
            [round_.percentile_ms(percent) for round_ in rounds],
            floor=statistics.median(r.percentile_ms(percent) for r in floor.rounds),
            note="per request, at that rate",
        )
        for percent in (50, 99)
    ]


async def _alone(target: Target, source: EventSource, floor: Round) -> Result:
    """The answer time of a server with nothing else to do."""
    rounds = [
        (await send(target, _requests(target, SINGLE, source, SINGLES_ALONE), 1)).expect(200)
        for _ in range(RUNS)
    ]
    return Result.of(
        "ingest: single events one after the other, p50",
        "ms",
        [round_.percentile_ms(50) for round_ in rounds],
        floor=floor.percentile_ms(50),
        note="1 connection: one sync per event",
    )


async def _repeated(target: Target, source: EventSource, floors: Floors) -> list[Result]:
    """Clients that send again: every hundredth request, then every request."""
    some, all_ = list[Round](), list[Round]()
    for _ in range(RUNS):
        requests = _requests(target, SINGLE, source, SINGLE.requests)
        requests[1::REPEATED_EVERY] = requests[::REPEATED_EVERY]
        some.append((await send(target, requests)).expect(200, 422))
        all_.append((await send(target, requests)).expect(422))
    batches = _requests(target, FOR_ALL, source, FOR_ALL.requests)
    (await send(target, batches)).expect(200)
    again = [(await send(target, batches)).expect(422) for _ in range(RUNS)]
    return [
        Result.of(
            f"ingest: {name}",
            "events/s",
            _per_second(shape, rounds),
            floor=_floor(shape, floors),
            note=note,
        )
        for name, shape, rounds, note in (
            ("single events, 1 % of them repeated", SINGLE, some, "repetitions get 422"),
            ("single events, all repeated", SINGLE, all_, "all get 422, nothing is stored"),
            ("batches over 10,000 subscriptions, all repeated", FOR_ALL, again, "all get 422"),
        )
    ]
