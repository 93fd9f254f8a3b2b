"""When snapshots are taken: often enough for a quick restart, seldom enough not to be noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from lago_engine.actors.partition import Partition
from lago_engine.actors.recovery import Recovered
from lago_engine.actors.snapshot import EngineSnapshot, write_snapshot
from lago_engine.errors import UnavailableError

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
SHARE_MAX: Final = 0.02
"""Of the time, at most this much is spent on snapshots, however large they are."""


class Snapshots:
    """Saves a partition's memory every `every_s` seconds, or `every_events` usage events if those come earlier."""

    def __init__(
        self,
        partition: Partition,
        recovered: Recovered,
        folder: Path,
        *,
        every_s: float,
        every_events: int,
    ) -> None:
        self._partition = partition
        self._recovered = recovered
        self._folder = folder
        self._every_s = every_s
        self._every_events = every_events
        self._saved_at = monotonic()
        self._saved_events = partition.meter.stats().events
        self._took_s = 0.0

    async def run(self) -> None:
        """Save now and then; for ever."""
        while self._every_s > 0:
            await asyncio.sleep(min(LOOK_EVERY_S, self._every_s))
            if self._is_due():
                await self._save(during=self._partition.between_commits)

    def _is_due(self) -> bool:
        passed = monotonic() - self._saved_at
        if passed < self._took_s / SHARE_MAX:
            return False
        if self._recovered.seq == self._partition.meter.commit_head[0]:
            return False
        events = self._partition.meter.stats().events - self._saved_events
        return passed >= self._every_s or events >= self._every_events

    async def save(self) -> None:
        """Save what memory holds now; no commit may be under way."""

        async def at_once(action: Callable[[], Awaitable[None]]) -> None:
            await action()

        await self._save(during=at_once)

    async def _save(
        self, during: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        """Commits wait only while the snapshot is taken, not while it is written."""
        began = monotonic()
        taken: list[EngineSnapshot] = []

        async def take() -> None:
            snapshot = await asyncio.to_thread(self._take)
            taken.extend([] if snapshot is None else [snapshot])

        try:
            await during(take)
            for snapshot in taken:
                await asyncio.to_thread(self._write, snapshot)
        except (OSError, UnavailableError) as error:
            # Without it the next start reads more of the log, nothing else.
            log.warning("snapshot_not_saved", error=str(error))
        self._saved_at = monotonic()
        self._took_s = self._saved_at - began

    def _take(self) -> EngineSnapshot | None:
        last = self._partition.store.last_commit()
        if last is None:
            return None
        seq, _, position = last
        self._saved_events = self._partition.meter.stats().events
        return self._recovered.captured(seq, position)

    def _write(self, snapshot: EngineSnapshot) -> None:
        """The index first, so that it stands for no less of the log than the snapshot."""
        self._partition.meter.spill(1)
        path = write_snapshot(self._folder, snapshot)
        self._recovered.seq, self._recovered.position = snapshot.seq, snapshot.position
        log.info("snapshot_saved", path=str(path), commit=snapshot.seq)
