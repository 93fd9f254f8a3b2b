"""Commands set aside until a usage window is folded, so that they hold up nobody but their own customer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from uuid import UUID

from lago_engine.actors.mailbox import Command, Mailbox, Waiting
from lago_engine.actors.open_windows import OpenWindows
from lago_engine.actors.refolding import Refolder
from lago_engine.domain.commands import CustomerCommand
from lago_engine.errors import UnavailableError
from lago_engine.metering import Window


class Aside:
    """By customer: the command that needs a window, and what the customer was sent after it, in order."""

    def __init__(
        self,
        refolder: Refolder,
        mailbox: Mailbox,
        windows: OpenWindows,
        wake: Callable[[], None],
    ) -> None:
        self._refolder = refolder
        self._windows = windows
        self._mailbox = mailbox
        self._wake = wake
        self._customers: dict[UUID, deque[Waiting]] = {}
        self._jobs: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._customers.values()))

    def takes(self, item: Waiting) -> bool:
        """Whether an earlier command of the same customer waits; this one then waits behind it."""
        customer_id = _customer(item.command)
        if customer_id is None or customer_id not in self._customers:
            return False
        self._customers[customer_id].append(item)
        return True

    def put(self, item: Waiting, window: Window) -> None:
        """Set a customer's command aside until the window is folded."""
        self.put_until(item, self._refolder.ready(window))

    def put_until(self, item: Waiting, job: asyncio.Future[None]) -> None:
        """Set a customer's command aside until a job is done; one that fails refuses the command."""
        customer_id = _customer(item.command)
        assert customer_id is not None
        assert customer_id not in self._customers
        self._customers[customer_id] = deque([item])

        def back(job: asyncio.Future[None]) -> None:
            items = self._customers.pop(customer_id, deque())
            failure = None if job.cancelled() else job.exception()
            if items and failure is not None:
                assert isinstance(failure, Exception)
                refused = items.popleft()
                refused.reject(failure)
                self._windows.borrow(customer_id, refused.windows)
            self._mailbox.put_back(items)
            self._wake()

        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(back)

    def refuse(self, error: UnavailableError) -> None:
        """Nothing will be decided any more."""
        for items in self._customers.values():
            for item in items:
                item.reject(error)
        self._customers.clear()


def _customer(command: Command) -> UUID | None:
    return command.customer_id if isinstance(command, CustomerCommand) else None
