"""What a start that takes long tells: a bar on a terminal, otherwise a line in the log every few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lago_engine.actors.index import Progress as Told

log = structlog.get_logger(__name__)

QUIET_S: Final = 1.0
LINE_EVERY_S: Final = 5.0


@contextmanager
def starting(console: Console | None = None) -> Iterator[Told]:
    """Gives what to tell while the log is read; nothing is shown of a quick start."""
    shown = console or Console(stderr=True)
    with ExitStack() as stack:
        if not shown.is_terminal:
            yield _Lines()
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        yield _Bar(Progress(*columns, console=shown, transient=True), stack)


class _Bar:
    def __init__(self, bar: Progress, stack: ExitStack) -> None:
        self._bar = bar
        self._stack = stack
        self._began = monotonic()
        self._task = bar.add_task("", total=None)

    def __call__(self, what: str, position: int, last: int) -> None:
        if not self._bar.live.is_started:
            if monotonic() - self._began < QUIET_S:
                return
            self._stack.enter_context(self._bar)
        self._bar.update(
            self._task, description=f"reading the {what}", completed=position, total=last
        )


class _Lines:
    def __init__(self) -> None:
        self._next = monotonic() + QUIET_S

    def __call__(self, what: str, position: int, last: int) -> None:
        if monotonic() < self._next:
            return
        self._next = monotonic() + LINE_EVERY_S
        log.info("reading_the_log", what=what, position=position, of=last)
