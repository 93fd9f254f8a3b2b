"""`POST /events/batch?partial=true` in the core: each event for itself, as durable and as unique as in the default mode."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from lago_engine.metering import Ingest, Meter

ORGANIZATION = uuid.UUID(int=1)
NOW_US = 1_750_000_001_999_999
TAKEN = {"transaction_id": ["value_already_exist"]}


@pytest.fixture
def meter() -> Meter:
    return Meter(b"0123456789abcdef")


def event(transaction_id: str, **members: Any) -> dict[str, Any]:
    return {
        "transaction_id": transaction_id,
        "external_subscription_id": "s",
        "code": "c",
    } | members


def send(meter: Meter, *events: Any, partial: bool = True) -> Ingest:
    body = json.dumps({"events": events}).encode()
    return meter.ingest(ORGANIZATION, body, single=False, now_us=NOW_US, partial=partial)


def statuses(answer: Ingest) -> list[str]:
    results = json.loads(answer.body)["events"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return [result["status"] for result in results]


def commit(meter: Meter) -> None:
    meter.seal(NOW_US)
    meter.confirm()


def test_good_wrong_and_repeated_events_in_one_body(meter: Meter) -> None:
    send(meter, event("known"))
    commit(meter)
    answer = send(
        meter,
        event("new"),
        event("x", code=None),
        event("known"),
        event("new"),
        event("y", timestamp="soon"),
        7,
    )
    assert (answer.status, answer.count, answer.wait_for) == (200, 1, (2,))
    body = json.loads(answer.body)
    assert body["meta"] == {"accepted_count": 1, "duplicate_count": 2, "refused_count": 3}
    accepted, *others = body["events"]
    assert accepted["event"]["transaction_id"] == "new"
    assert others == [
        {"index": 1, "status": "refused", "error_details": {"code": ["value_is_mandatory"]}},
        {"index": 2, "status": "duplicate", "error_details": TAKEN},
        {"index": 3, "status": "duplicate", "error_details": TAKEN},
        {"index": 4, "status": "refused", "error_details": {"timestamp": ["invalid_format"]}},
        {
            "index": 5,
            "status": "refused",
            "error_details": {"transaction_id": ["value_is_mandatory"], "code": ["value_is_mandatory"]},
        },
    ]  # fmt: skip
    assert meter.stats().staged_events == 1


def test_an_expression_that_fails_refuses_its_event_only(meter: Meter) -> None:
    meter.put_metric(ORGANIZATION, "net", "gb", "event.properties.mb / 1000")
    answer = send(meter, event("a", code="net", properties={"mb": 5}), event("b", code="net"))
    first, second = json.loads(answer.body)["events"]
    assert first["event"]["properties"] == {"mb": 5, "gb": "0.005"}
    assert second["error_details"] == "expression_evaluation_failed: Variable: mb not found"


@pytest.mark.parametrize(
    ("events", "code"), [([], "no_events"), ([event("a")] * 101, "too_many_events")]
)
def test_a_body_that_is_no_batch_is_refused_whole(meter: Meter, events: Any, code: str) -> None:
    answer = send(meter, *events)
    assert (answer.status, answer.wait_for) == (422, ())
    assert json.loads(answer.body)["error_details"] == {"events": [code]}


def test_a_repetition_waits_for_the_commit_of_its_original(meter: Meter) -> None:
    """given originals in the sealed and in the open batch / then the answer depends on both"""
    send(meter, event("sealed"))
    meter.seal(NOW_US)
    send(meter, event("open"))
    repeated = send(meter, event("sealed"), event("open"))
    assert (statuses(repeated), repeated.wait_for) == (["duplicate"] * 2, (1, 2))
    mixed = send(meter, event("sealed"), event("new"))
    assert (statuses(mixed), mixed.wait_for) == (["duplicate", "accepted"], (1, 2))


def test_a_failed_commit_frees_what_the_body_held(meter: Meter) -> None:
    """given accepted and repeated events / when their commit fails / then the same body is accepted in full"""
    first = [event("a"), event("a"), event("b")]
    assert statuses(send(meter, *first)) == ["accepted", "duplicate", "accepted"]
    meter.seal(NOW_US)
    meter.rollback()
    assert statuses(send(meter, *first)) == ["accepted", "duplicate", "accepted"]
    commit(meter)
    assert statuses(send(meter, *first)) == ["duplicate"] * 3
    assert meter.stats().events == 2


def test_events_that_name_no_subscription_never_collide(meter: Meter) -> None:
    nameless = event("a", external_subscription_id=None)
    assert statuses(send(meter, nameless, nameless)) == ["accepted", "accepted"]


def test_nothing_accepted_and_nothing_repeated_answers_at_once(meter: Meter) -> None:
    answer = send(meter, event("a", code=""))
    assert (answer.status, answer.wait_for, statuses(answer)) == (200, (), ["refused"])


def test_the_default_stays_all_or_nothing(meter: Meter) -> None:
    answer = send(meter, event("a"), event("a"), partial=False)
    assert json.loads(answer.body)["error_details"] == {"1": TAKEN}
    assert meter.stats().staged_events == 0
