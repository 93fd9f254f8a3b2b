"""Who waits for which batch of usage to become durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Batches:
    """Batches of usage somebody waits for, by the number the meter gave them."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[bool]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, batch: int) -> bool:
        return batch in self._waiting

    def wait_for(self, batches: Sequence[int]) -> Sequence[asyncio.Future[bool]]:
        """One future per batch: whether it became durable."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[bool]] = []
        for batch in batches:
            futures.append(loop.create_future())
            self._waiting.setdefault(batch, []).append(futures[-1])
        return futures

    def release(self, sealed_batch: int, *, committed: bool) -> None:
        """Tell who waits for the sealed batch; who waits for a later one waits on."""
        self._tell([batch for batch in self._waiting if batch <= sealed_batch], committed)

    def abandon(self) -> None:
        """No batch will be committed any more."""
        self._tell(list(self._waiting), committed=False)

    def _tell(self, batches: Sequence[int], committed: bool) -> None:
        for batch in batches:
            for future in self._waiting.pop(batch):
                if not future.done():
                    future.set_result(committed)
