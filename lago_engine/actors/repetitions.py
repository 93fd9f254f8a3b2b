"""Refused repetitions, compared with their originals after the answer: the same id with another payload is a client's mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from lago_engine.errors import UnavailableError
from lago_engine.metering import Meter
from lago_engine.store.port import Store
from lago_engine.store.segments import stored_segments

log = structlog.get_logger(__name__)
T = TypeVar("T")

EVERY_S: Final = 1.0


class Repetitions:
    """Reports repetitions that say something else than what was accepted under their id.

    They are duplicates all the same, and the answer does not wait for the comparison: what the way in pays is one copy
    of a text it refuses.
    """

    def __init__(self, meter: Meter, store: Store) -> None:
        self._meter = meter
        self._store = store

    async def run(self, read: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Compare what was refused, now and then; read: runs a blocking function off the loop."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await read(self.compare)
            except (
                UnavailableError
            ) as error:  # Its repetitions are not compared, the next ones are.
                log.warning("repetitions_not_compared", error=str(error))

    def compare(self) -> None:
        """Compare everything that waits, and report the differences; blocks on reading segments."""
        check = self._meter.take_repetitions()
        if check is not None:
            for segment in stored_segments(self._store, check.segments):
                if check.feed(segment):
                    break
        for difference in self._meter.settle_repetitions(check):
            log.warning(
                "usage_repetition_differs",
                organization_id=str(difference.organization_id),
                external_subscription_id=difference.external_subscription_id,
                transaction_id=difference.transaction_id,
            )
