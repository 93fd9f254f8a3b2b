"""The index of usage events seen, beside the log: opened, brought up to the log, kept small in the background.

It is a function of the log, never the authority. One that is damaged, missing, of another log or ahead of this one
(a backup was restored) is thrown away and made again from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from lago_engine.errors import IndexDamaged
from lago_engine.metering import Meter
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, Store

log = structlog.get_logger(__name__)

Progress = Callable[[str, int, int], None]
"""Told what is read from the log, the position reached, and the last position."""

LOOK_EVERY_S: Final = 0.5


def open_with_index(make: Callable[[], Meter], index: Path, store: Store) -> Meter:
    """What `make` gives, its index in `index` being one of this log. Raises CorruptionError as `make` does."""
    try:
        meter = make()
        if _is_of(store, *meter.index_head):
            return meter
        reason = "not of this log"
    except IndexDamaged as error:
        reason = str(error)
    log.warning("index_unusable", reason=reason, path=str(index))
    Meter.remove_index(index)
    return make()


def _is_of(store: Store, seq: int, commit_hash: bytes) -> bool:
    if seq == 0:
        return True
    commit = next(iter(store.commits(seq - 1, 1)), None)
    return commit is not None and (commit.seq, commit.hash) == (seq, commit_hash)


def catch_up(meter: Meter, store: Store, in_memory_max: int, progress: Progress | None) -> None:
    """Give the index what it misses of the commits that the meter stands for."""
    have, (target, _) = meter.index_head[0], meter.commit_head
    if have >= target:
        return
    last = store.last_position()
    log.info("index_catches_up", from_commit=have, to_commit=target)
    for commit, rows in store.iter_commits(have):
        segment = next((row.state for row in rows if row.topic == USAGE_SEGMENT_TOPIC), None)
        meter.catch_up(commit.seq, commit.hash, segment)
        keep_small(meter, in_memory_max)
        if progress is not None:
            progress("index of usage events", commit.last_position, last)
        if commit.seq == target:
            return


def keep_small(meter: Meter, in_memory_max: int) -> None:
    """Move fingerprints out of memory, if there are more than `in_memory_max`, and merge what became too many runs."""
    while meter.spill(in_memory_max) or meter.merge():
        pass


class IndexUpkeep:
    """Moves fingerprints out of memory, and merges their runs, while the engine runs; commits wait for neither."""

    def __init__(self, meter: Meter, in_memory_max: int) -> None:
        self._meter = meter
        self._in_memory_max = in_memory_max
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`. Raises IndexDamaged; an index that cannot be written is tried again, memory grows meanwhile."""
        spilling = self._repeat(lambda: self._meter.spill(self._in_memory_max))
        merging = self._repeat(self._meter.merge)
        await asyncio.gather(spilling, merging)

    def stop(self) -> None:
        """End after the step that is under way."""
        self._stopping.set()

    async def _repeat(self, step: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            again = False
            try:
                again = await asyncio.to_thread(step)
            except OSError as error:
                log.warning("index_not_written", error=str(error))
            if not again:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._stopping.wait()
        except TimeoutError:
            return
