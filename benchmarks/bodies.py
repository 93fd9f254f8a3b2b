"""Request bodies of usage events, made before anything is timed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

BATCH_EVENTS: Final = 100
METRICS: Final = ("storage", "traffic", "requests", "seats")
"""The billable metrics of the benchmarks: the first two sum `gb`, the others count."""

_EVENT: Final = (
    b'{"transaction_id":"%b-%010d","external_subscription_id":"sub_%05d","code":"%b",'
    b'"properties":{"gb":%d,"region":"eu-central-1"}}'
)
_CODES: Final = tuple(code.encode() for code in METRICS)


def batch(events: Iterable[bytes]) -> bytes:
    """A body of `POST /events/batch`."""
    return b'{"events":[%b]}' % b",".join(events)


class EventSource:
    """Usage events whose ids no source of another name gives out."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._made = 0
        self._random = random.Random(name)

    def event(self, subscription: int) -> bytes:
        """An event object of about 150 bytes; the metrics take turns."""
        number = self._made
        self._made += 1
        code = _CODES[number % len(_CODES)]
        return _EVENT % (self._name, number, subscription, code, number % 97 + 1)

    def singles(self, count: int, subscriptions: int) -> list[bytes]:
        """Bodies of `POST /events`, each event for a random subscription."""
        pick = self._random.randrange
        return [b'{"event":%b}' % self.event(pick(subscriptions)) for _ in range(count)]

    def batches_for_one(self, count: int, subscriptions: int) -> list[bytes]:
        """Batches; all events of one are for the same random subscription."""
        picks = [self._random.randrange(subscriptions) for _ in range(count)]
        return [batch(self.event(pick) for _ in range(BATCH_EVENTS)) for pick in picks]

    def batches_for_all(self, count: int, subscriptions: int) -> list[bytes]:
        """Batches; each event is for a random subscription."""
        pick = self._random.randrange
        return [
            batch(self.event(pick(subscriptions)) for _ in range(BATCH_EVENTS))
            for _ in range(count)
        ]

    def batches_of_each(self, subscriptions: int) -> list[bytes]:
        """Batches that give every subscription one event of every metric."""
        events = [self.event(number) for number in range(subscriptions) for _ in METRICS]
        return [
            batch(events[start : start + BATCH_EVENTS])
            for start in range(0, len(events), BATCH_EVENTS)
        ]
