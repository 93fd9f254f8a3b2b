"""Refused repetitions: whether they say the same as their original is found out after the answer."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from lago_engine.metering import Difference, Meter

ORGANIZATION = uuid.UUID(int=1)
NOW_US = 1_750_000_001_999_999
SECRET = b"0123456789abcdef"


class Ledger:
    """A meter with the segments it committed."""

    def __init__(self) -> None:
        self.meter = Meter(SECRET)
        self.segments: list[bytes] = []

    def send(self, *events: Any, partial: bool = False) -> int:
        body = json.dumps({"events": events}).encode()
        return self.meter.ingest(
            ORGANIZATION, body, single=False, now_us=NOW_US, partial=partial
        ).status

    def commit(self) -> None:
        sealed = self.meter.seal(NOW_US)
        if sealed.segment is not None:
            self.segments.append(sealed.segment)
        self.meter.confirm()

    def compare(self) -> list[Difference]:
        check = self.meter.take_repetitions()
        for number in [] if check is None else check.segments:
            assert check is not None
            if check.feed(self.segments[number - 1]):
                break
        return self.meter.settle_repetitions(check)

    def figures(self) -> tuple[int, int, int]:
        stats = self.meter.stats()
        return (
            stats.repetitions_same,
            stats.repetitions_different,
            stats.repetitions_not_compared,
        )


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def event(transaction_id: str = "t", **members: Any) -> dict[str, Any]:
    base = {"transaction_id": transaction_id, "external_subscription_id": "s", "code": "c"}
    return base | {"timestamp": 1_750_000_000, "properties": {"gb": 1, "on": True}} | members


DIFFERENCE = Difference(ORGANIZATION, "s", "t")


@pytest.mark.parametrize(
    ("repetition", "same"),
    [
        (event(), True),
        (event(properties={"on": True, "gb": 1}), True),
        (event(timestamp="1750000000.000"), True),
        (event(unknown="member"), True),
        (event(properties={"gb": 2, "on": True}), False),
        (event(properties={"gb": "1", "on": True}), False),
        (event(code="d"), False),
        (event(timestamp=1_750_000_001), False),
        (event(timestamp=None), False),
        (event(precise_total_amount_cents="1"), False),
    ],
)
def test_a_repetition_is_compared_with_what_was_stored(
    ledger: Ledger, repetition: dict[str, Any], same: bool
) -> None:
    ledger.send(event())
    ledger.commit()
    assert ledger.send(repetition) == 422
    assert ledger.compare() == ([] if same else [DIFFERENCE])
    assert ledger.figures() == ((1, 0, 0) if same else (0, 1, 0))
    assert ledger.compare() == []


def test_the_original_is_found_in_any_segment(ledger: Ledger) -> None:
    for number in range(10):
        ledger.send(event(f"t{number}"))
        ledger.commit()
    ledger.send(event("t0"), event("t9", code="d"), event("t5", code="d"))
    assert {found.transaction_id for found in ledger.compare()} == {"t9", "t5"}
    assert ledger.figures() == (1, 2, 0)


def test_a_repetition_of_an_event_in_flight_waits_for_its_commit(ledger: Ledger) -> None:
    ledger.send(event())
    assert ledger.send(event(code="d")) == 422
    assert ledger.compare() == []
    assert ledger.figures() == (0, 0, 0)
    ledger.commit()
    assert ledger.compare() == [DIFFERENCE]


def test_an_original_that_was_not_stored_cannot_be_compared(ledger: Ledger) -> None:
    ledger.send(event())
    ledger.send(event(code="d"))
    ledger.meter.seal(NOW_US)
    ledger.meter.rollback()
    assert ledger.compare() == []
    assert ledger.figures() == (0, 0, 1)


@pytest.mark.parametrize("partial", [False, True])
def test_a_repetition_inside_the_body_is_compared_with_the_first(
    ledger: Ledger, partial: bool
) -> None:
    ledger.send(event("other"), event(), event(), event(code="d"), partial=partial)
    assert ledger.figures() == (1, 1, 0)
    assert ledger.compare() == [DIFFERENCE]


def test_what_waits_is_bounded(ledger: Ledger) -> None:
    ledger.send(event())
    ledger.commit()
    for _ in range(1_100):
        ledger.send(event())
    assert ledger.figures() == (0, 0, 100)
    ledger.compare()
    assert ledger.figures() == (1_000, 0, 100)
