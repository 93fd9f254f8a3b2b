"""Completing usage windows from the log in the background: what was asked for last comes first.

A change of a plan, charge, filter or metric makes the windows of all its subscriptions incomplete, and an incomplete
window is never read. Which ones there are is known to metering alone, and is part of its snapshot.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import structlog

from lago_engine.actors.usage import UsageWindows
from lago_engine.metering import Window

log = structlog.get_logger(__name__)

WORKERS: Final = 2
"""Folds at a time; each runs outside the interpreter's lock."""


class RefoldProgress(NamedTuple):
    """Windows that wait for a fold, are being folded, and were folded since the start."""

    waiting: int
    folding: int
    folded: int


class Refolder:
    """Folds of one partition. All calls come from its event loop."""

    def __init__(self, usage: UsageWindows) -> None:
        self._usage = usage
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="refold")
        self._jobs: dict[Window, asyncio.Future[None]] = {}
        self._waiting: OrderedDict[Window, None] = OrderedDict()
        """The last one is next."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._folded = 0
        self._began: float | None = None
        self.stopping = False

    @property
    def progress(self) -> RefoldProgress:
        return RefoldProgress(len(self._waiting), len(self._tasks), self._folded)

    def follow(self) -> None:
        """Begin to fold what became incomplete since the last call."""
        self.want(self._usage.take_incomplete())

    def want(self, windows: Iterable[Window]) -> None:
        """Fold these when nothing else is asked for."""
        for window in windows:
            if window not in self._jobs:
                self._add(window)
                self._waiting.move_to_end(window, last=False)
        self._pump()

    def ready(self, window: Window) -> asyncio.Future[None]:
        """Fold this window next; done when it is complete, or when it could not be folded."""
        if window not in self._jobs:
            self._add(window)
        if window in self._waiting:
            self._waiting.move_to_end(window)
        job = self._jobs[window]
        self._pump()
        return job

    async def stop(self) -> None:
        """Leave what waits; it is incomplete after the next start, too."""
        self.stopping = True
        self._usage.stop_folding()
        await asyncio.gather(*self._tasks)
        for window in list(self._waiting):
            self._jobs.pop(window).cancel()
        self._waiting.clear()
        self._pool.shutdown(wait=True)

    def _add(self, window: Window) -> None:
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        self._jobs[window] = asyncio.get_running_loop().create_future()
        self._waiting[window] = None

    def _pump(self) -> None:
        while self._waiting and len(self._tasks) < WORKERS and not self.stopping:
            window, _ = self._waiting.popitem()
            task = asyncio.create_task(self._fold(window), name="refold")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()
        if not self._jobs and self._began is not None:
            took = asyncio.get_running_loop().time() - self._began
            self._began = None
            log.info("usage_windows_complete", folded=self._folded, seconds=round(took, 3))

    async def _fold(self, window: Window) -> None:
        loop = asyncio.get_running_loop()
        failure: Exception | None = None
        try:
            await loop.run_in_executor(self._pool, self._usage.refold, window)
        except Exception as error:  # It stays incomplete; whoever asks again tries again.
            log.exception("usage_window_not_folded")
            failure = error
        # It was changed again while the thread came to its end, or all folding stops.
        if failure is None and self._usage.is_incomplete(window):
            self._waiting[window] = None
            return
        self._folded += failure is None
        job = self._jobs.pop(window)
        if job.done():
            return
        if failure is None:
            job.set_result(None)
        else:
            job.set_exception(failure)
            job.exception()  # Perhaps nobody waits for it.
