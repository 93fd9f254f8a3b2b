"""Where `now` comes from. Nothing else in the engine reads the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of instants in UTC."""

    def now(self) -> datetime: ...

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""


class SystemClock:
    """The machine's clock; never runs backwards within a process."""

    def __init__(self) -> None:
        self._last_us = 0

    def now_us(self) -> int:
        self._last_us = max(self._last_us, time.time_ns() // 1000)
        return self._last_us

    def now(self) -> datetime:
        return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=self.now_us())


class ManualClock:
    """A clock that stands still until it is moved; for tests and simulations."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def now_us(self) -> int:
        return (self._now - datetime.fromtimestamp(0, tz=UTC)) // timedelta(microseconds=1)

    def move_to(self, now: datetime) -> None:
        """Set the clock; backwards too."""
        self._now = now
