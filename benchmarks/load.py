"""A load generator: prepared requests over keep-alive connections, as little work per request as Python allows."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

import msgspec

HOST: Final = "127.0.0.1"
PREFIX: Final = "/api/v1"
CONNECTIONS: Final = 64
TIMEOUT_S: Final = 60
"""Of a whole round; a server that stopped answering ends the run."""


class Target(msgspec.Struct, frozen=True):
    """A server on this machine, and the API key it is asked with."""

    port: int
    key: str

    def post(self, path: str, bodies: Iterable[bytes]) -> list[bytes]:
        """Whole requests, head and body."""
        head = self._head("POST", path) + "Content-Type: application/json\r\nContent-Length: "
        encoded = head.encode()
        return [b"%b%d\r\n\r\n%b" % (encoded, len(body), body) for body in bodies]

    def get(self, paths: Iterable[str]) -> list[bytes]:
        return [(self._head("GET", path) + "\r\n").encode() for path in paths]

    def _head(self, method: str, path: str) -> str:
        return (
            f"{method} {PREFIX}{path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\n"
        )


class Round(msgspec.Struct):
    """What came back. latencies_s: per answered request, in the order of the answers. refusal: the last one."""

    seconds: float = 0.0
    latencies_s: list[float] = []
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    refusal: bytes = b""

    def per_second(self, things_per_request: int = 1) -> float:
        return sum(self.statuses.values()) * things_per_request / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    def expect(self, *statuses: int) -> Round:
        """Itself, if nothing else was answered; a benchmark of refusals would be none."""
        if not set(self.statuses) <= set(statuses):
            raise RuntimeError(f"unexpected answers: {dict(self.statuses)}: {self.refusal!r}")
        return self


class Connection(asyncio.Protocol):
    """One connection with at most one request under way; says when the answer is complete."""

    def __init__(self, round_: Round, answered: Callable[[Connection], None]) -> None:
        self._round = round_
        self._answered = answered
        self._head = b""
        self._missing = 0
        self._since = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, since: float) -> None:
        """`since`: where the latency of the request begins."""
        self._since = since
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = end + 4 + _content_length(self._head, end) - len(self._head)
        if not self._missing:
            self._complete()

    def _complete(self) -> None:
        answer, self._head = self._head, b""
        status = int(answer[9:12])
        if status >= 400:
            self._round.refusal = answer
        self._round.latencies_s.append(perf_counter() - self._since)
        self._round.statuses[status] += 1
        self._answered(self)


def _content_length(head: bytes, end: int) -> int:
    start = head.index(b"Content-Length: ") + 16
    assert start < end
    return int(head[start : head.index(b"\r\n", start)])


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection of this process inside a measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _connect(
    target: Target, count: int, round_: Round, answered: Callable[[Connection], None]
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(count):
        made = await loop.create_connection(lambda: Connection(round_, answered), HOST, target.port)
        opened.append(made[1])
    return opened


async def send(target: Target, requests: Sequence[bytes], connections: int = CONNECTIONS) -> Round:
    """Send all requests as fast as the answers come; each connection has one under way."""
    round_, waiting = Round(), iter(requests)
    finished = asyncio.Event()

    def send_next(connection: Connection) -> None:
        request = next(waiting, None)
        if request is not None:
            connection.send(request, perf_counter())
        elif sum(round_.statuses.values()) == len(requests):
            finished.set()

    opened = await _connect(target, connections, round_, send_next)
    with undisturbed():
        started = perf_counter()
        for connection in opened:
            send_next(connection)
        async with asyncio.timeout(TIMEOUT_S):
            await finished.wait()
        round_.seconds = perf_counter() - started
    for connection in opened:
        connection.close()
    return round_


async def trickle(
    target: Target, requests: Sequence[bytes], per_second: int, stop: asyncio.Event
) -> Round:
    """Send at a steady rate until `stop` or the end; what is sent late, counts from when it was due."""
    round_ = Round()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    opened = await _connect(target, CONNECTIONS, round_, free.put_nowait)
    for connection in opened:
        free.put_nowait(connection)
    started = perf_counter()
    async with asyncio.timeout(TIMEOUT_S):
        for number, request in enumerate(requests):
            due = started + number / per_second
            await asyncio.sleep(due - perf_counter())
            if stop.is_set():
                break
            (await free.get()).send(request, due)
        for _ in opened:
            (await free.get()).close()
    round_.seconds = perf_counter() - started
    return round_
