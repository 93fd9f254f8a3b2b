"""Commands waiting for the next tick; bounded, so that a flood is refused instead of queued."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from lago_engine.domain.commands import CustomerCommand, OrganizationCommand
from lago_engine.domain.customer.decision import Recorded
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.domain.events import DomainEvent
from lago_engine.errors import UnavailableError

Command = OrganizationCommand | CustomerCommand


class Waiting(msgspec.Struct, eq=False):
    """A command, who sent it, and where its answer goes.

    batch: the batch that took usage in when the command came. windows: those registered for its decision.
    """

    command: Command
    actor: str
    correlation_id: str
    answer: asyncio.Future[Sequence[DomainEvent]]
    batch: int
    recorded: Sequence[Recorded] = ()
    windows: list[UsageWindow] = []

    def succeed(self) -> None:
        """Answer with what the command made happen."""
        if not self.answer.done():
            self.answer.set_result([recorded.event for recorded in self.recorded])

    def reject(self, error: Exception) -> None:
        """Answer with the reason why nothing happened."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Mailbox:
    """First in, first out, of at most `limit` commands."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting, *, aside: int = 0) -> None:
        """Add a command; a full mailbox refuses it with 429. aside: commands that count as well."""
        if len(self._waiting) + aside >= self._limit:
            raise UnavailableError("too many commands are waiting", status=429, retry_after_s=1)
        self._waiting.append(waiting)

    def put_first(self, waiting: Waiting) -> None:
        """Add a command of the engine itself, before those of others and however many they are."""
        self._waiting.appendleft(waiting)

    def take(self, limit: int) -> list[Waiting]:
        """Up to `limit` commands, oldest first."""
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def put_back(self, taken: Sequence[Waiting]) -> None:
        """Return commands that were taken; they are the oldest again."""
        self._waiting.extendleft(reversed(taken))
