"""Storage that fails when a test says so, and a calm engine with two customers to try it on."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine_kit import Home, Shop, instant, running

from lago_engine.clock import ManualClock
from lago_engine.store.port import CommitBatch

NOW = instant("2024-03-10T12:00:00Z")


class Disk:
    """Holds the commits that come while it is held; then lets them through, or fails them."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._held = threading.Event()
        self._error: OSError | None = None
        self._after: OSError | None = None
        self.commits = 0

    def hold(self) -> None:
        """The next commit waits until it is released or failed."""
        self._held.clear()
        self._open.clear()

    async def holds(self) -> None:
        """Return once a commit is waiting."""
        async with asyncio.timeout(5):
            while not self._held.is_set():
                await asyncio.sleep(0.005)

    def release(self) -> None:
        self._open.set()

    def fail(self, *, times: int = 1) -> None:
        """The commit that waits, and the next `times - 1`, find the disk full."""
        self._failures = times
        self._error = OSError(errno.ENOSPC, "No space left on device")
        self._open.set()

    def lose_confirmation(self) -> None:
        """The next commit is made durable, but nobody is told."""
        self._after = OSError(errno.EIO, "Input/output error")

    def before_commit(self, batch: CommitBatch) -> None:
        self._held.set()
        self._open.wait(30)
        if self._error is None:
            return
        error, self._failures = self._error, self._failures - 1
        if not self._failures:
            self._error = None
        raise error

    def after_commit(self, batch: CommitBatch) -> None:
        self.commits += 1
        if self._after is not None:
            error, self._after = self._after, None
            raise error


@asynccontextmanager
async def engine_on(disk: Disk, home: Home, **settings: Any) -> AsyncIterator[Shop]:
    """A running engine on the disk, with the customers `acme` and `other` on one plan."""
    async with running(home, ManualClock(NOW), faults=disk, **settings) as opened:
        shop = await Shop(opened).found()
        await shop.at(NOW)
        await shop.metric("calls")
        await shop.plan("basic", 1000, {"calls": "1"})
        for name in ("acme", "other"):
            await shop.customer(name)
            await shop.subscribe(name, "basic")
        yield shop


async def calls(shop: Shop, customer: str = "acme") -> int:
    """Calls counted in the running period."""
    (usage,) = (await shop.usage(customer))["charges_usage"]
    return int(usage["events_count"])


def trace(shop: Shop) -> dict[str, Any]:
    """Everything that a commit leaves behind, in memory and in the store."""
    partition = shop.engine.partition
    stats = partition.meter.stats()
    kinds = (
        "organization",
        "billable_metric",
        "plan",
        "customer",
        "subscription",
        "invoice",
        "fee",
    )
    return {
        "last commit": shop.engine.store.last_commit(),
        "log": shop.engine.store.last_position(),
        "documents": {kind: shop.documents(kind) for kind in kinds},
        "events": stats.events,
        "fingerprints": stats.fingerprints,
        "windows": stats.windows,
        "streams": stats.streams,
        "staged": (stats.staged_events, stats.staged_bytes),
        "heads": partition.meter.commit_head,
        "organizations": dict(partition.residents.organizations),
        "due": sorted(partition.due.entries()),
        "directory": partition.directory.entries(),
    }
