"""The answers of event ingestion, example by example from events.md §1-§4."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from lago_engine.metering import Ingest, Meter

ORGANIZATION = uuid.UUID(int=1)
NOW_US = 1_750_000_001_999_999
SECRET = b"0123456789abcdef"


@pytest.fixture
def meter() -> Meter:
    return Meter(SECRET)


def send(meter: Meter, event: Any) -> Ingest:
    return meter.ingest(
        ORGANIZATION, json.dumps({"event": event}).encode(), single=True, now_us=NOW_US
    )


def send_batch(meter: Meter, events: list[Any]) -> Ingest:
    return meter.ingest(
        ORGANIZATION, json.dumps({"events": events}).encode(), single=False, now_us=NOW_US
    )


def commit(meter: Meter) -> None:
    meter.seal(NOW_US)
    meter.confirm()


def validation_errors(details: Any) -> dict[str, Any]:
    return {
        "status": 422,
        "error": "Unprocessable Entity",
        "code": "validation_errors",
        "error_details": details,
    }


TAKEN = {"transaction_id": ["value_already_exist"]}


def test_the_event_object(meter: Meter) -> None:
    body = (
        b'{"event":{"transaction_id":"tx-001","external_subscription_id":"sub_42","code":"storage",'
        b'"timestamp":"1750000000.1239","precise_total_amount_cents":"1234.50",'
        b'"properties":{"gb": 12,"region":"eu"},"external_customer_id":"ignored"}}'
    )
    answer = meter.ingest(ORGANIZATION, body, single=True, now_us=NOW_US)
    assert (answer.status, answer.count, answer.batch, answer.wait_for) == (200, 1, 1, (1,))
    event = json.loads(answer.body)["event"]
    assert uuid.UUID(event.pop("lago_id")).version == 8
    assert list(event) == [
        "transaction_id", "lago_customer_id", "code", "timestamp", "precise_total_amount_cents",
        "properties", "lago_subscription_id", "external_subscription_id", "created_at",
    ]  # fmt: skip
    assert list(event.values()) == [
        "tx-001", None, "storage", "2025-06-15T15:06:40.123Z", "1234.5",
        {"gb": 12, "region": "eu"}, None, "sub_42", "2025-06-15T15:06:41Z",
    ]  # fmt: skip
    assert b'"properties":{"gb": 12,"region":"eu"}' in answer.body


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (1750000000, "2025-06-15T15:06:40.000Z"),
        ("1750000000", "2025-06-15T15:06:40.000Z"),
        (1750000000.123, "2025-06-15T15:06:40.123Z"),
        ("1.75e9", "2025-06-15T15:06:40.000Z"),
        (" 1750000000 ", "2025-06-15T15:06:40.000Z"),
        (-5, "1969-12-31T23:59:55.000Z"),
        (1750000000000, "57425-04-17T15:06:40.000Z"),
        (None, "2025-06-15T15:06:41.999Z"),
        (False, "2025-06-15T15:06:41.999Z"),
        ([], "2025-06-15T15:06:41.999Z"),
        ({}, "2025-06-15T15:06:41.999Z"),
    ],
)
def test_timestamps_that_are_accepted(meter: Meter, value: Any, rendered: str) -> None:
    answer = send(meter, {"transaction_id": "t", "code": "c", "timestamp": value})
    assert json.loads(answer.body)["event"]["timestamp"] == rendered


@pytest.mark.parametrize(
    "value", ["2025-06-15T15:06:40Z", "abc", "", True, "NaN", "Infinity", 1e18]
)
def test_timestamps_that_are_refused(meter: Meter, value: Any) -> None:
    answer = send(meter, {"timestamp": value})
    assert answer.status == 422
    assert json.loads(answer.body) == validation_errors({"timestamp": ["invalid_format"]})


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("140", "140.0"),
        (140, "140.0"),
        ("1.0000000000000005", "1.000000000000001"),
        ("-1.0000000000000005", "-1.000000000000001"),
        ("1.00000000000000049", "1.0"),
        ("1e3", "1000.0"),
        ("-0.00", "0.0"),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_precise_amounts(meter: Meter, value: Any, rendered: str | None) -> None:
    answer = send(meter, {"transaction_id": "t", "code": "c", "precise_total_amount_cents": value})
    assert json.loads(answer.body)["event"]["precise_total_amount_cents"] == rendered


@pytest.mark.parametrize("value", ["abc", "12abc", "1" + "0" * 25, "1e401"])
def test_precise_amounts_that_are_refused(meter: Meter, value: Any) -> None:
    answer = send(meter, {"transaction_id": "t", "code": "c", "precise_total_amount_cents": value})
    details = {"precise_total_amount_cents": ["invalid_format"]}
    assert json.loads(answer.body) == validation_errors(details)


def test_mandatory_fields_of_a_single_event(meter: Meter) -> None:
    answer = send(meter, {"external_subscription_id": "sub_42"})
    mandatory = ["value_is_mandatory"]
    expected = validation_errors({"transaction_id": mandatory, "code": mandatory})
    assert (answer.status, json.loads(answer.body)) == (422, expected)


@pytest.mark.parametrize("event", [None, {}, "", [], False, "text", 7])
def test_an_event_that_is_no_event(meter: Meter, event: Any) -> None:
    answer = send(meter, event)
    assert answer.status == 400
    assert answer.body == (
        b'{"status":400,"error":"BadRequest: param is missing or the value is empty or invalid: event"}'
    )


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b'{"event":{"code":"\xff"}}', b'{"event":{}} x']
)
@pytest.mark.parametrize("single", [True, False])
def test_malformed_bodies(meter: Meter, body: bytes, single: bool) -> None:
    answer = meter.ingest(ORGANIZATION, body, single=single, now_us=NOW_US)
    assert (answer.status, answer.body) == (400, b'{"status":400,"error":"Bad Request"}')


def test_number_of_events_in_a_batch() -> None:
    meter = Meter(SECRET, max_batch=2)
    event = {"code": "c", "transaction_id": "t"}
    for events, code in ([], "no_events"), ([event] * 3, "too_many_events"):
        answer = send_batch(meter, events)
        assert (answer.status, json.loads(answer.body)) == (
            422,
            validation_errors({"events": [code]}),
        )
    assert send_batch(meter, [event] * 2).status == 200


def test_a_batch_is_refused_as_a_whole_with_every_failing_index(meter: Meter) -> None:
    answer = send_batch(
        meter,
        [
            {"transaction_id": "a", "external_subscription_id": "s", "code": "c"},
            {"transaction_id": "b", "external_subscription_id": "s"},
            {"transaction_id": "c", "external_subscription_id": "s", "code": "c", "timestamp": "x"},
        ],
    )
    details = {"1": {"code": ["value_is_mandatory"]}, "2": {"timestamp": ["invalid_format"]}}
    assert json.loads(answer.body) == validation_errors(details)
    assert meter.stats().staged_events == 0


def test_duplicates_of_the_database_and_of_the_batch(meter: Meter) -> None:
    def event(transaction_id: str, subscription: str = "s") -> dict[str, str]:
        return {
            "transaction_id": transaction_id,
            "external_subscription_id": subscription,
            "code": "c",
        }

    assert send(meter, event("a")).status == 200
    commit(meter)
    again = send(meter, event("a"))
    assert (again.status, json.loads(again.body)) == (422, validation_errors(TAKEN))
    answer = send_batch(meter, [event("a"), event("b"), event("b")])
    assert json.loads(answer.body) == validation_errors({"0": TAKEN, "2": TAKEN})
    assert answer.wait_for == ()
    # The key is (organization, external_subscription_id, transaction_id).
    assert send_batch(meter, [event("a", "s2"), event("b"), event("b", "s2")]).status == 200
    other = uuid.UUID(int=2)
    body = json.dumps({"event": event("a")}).encode()
    assert meter.ingest(other, body, single=True, now_us=NOW_US).status == 200
    assert meter.stats().duplicates == 3


def test_events_without_a_subscription_are_never_duplicates(meter: Meter) -> None:
    event = {"transaction_id": "a", "code": "c"}
    assert send_batch(meter, [event, event]).status == 200
    commit(meter)
    assert send(meter, event).status == 200


def test_escapes_and_numbers_name_the_same_transaction(meter: Meter) -> None:
    def answer(transaction_id: str) -> Ingest:
        body = '{"event":{"transaction_id":%s,"external_subscription_id":"s","code":"c"}}'
        return meter.ingest(
            ORGANIZATION, (body % transaction_id).encode(), single=True, now_us=NOW_US
        )

    assert [answer(text).status for text in ('"12"', "12", r'"\u00312"', "12.0")] == [
        200,
        422,
        422,
        200,
    ]


def test_ids_depend_on_the_event_and_the_secret() -> None:
    def ids(secret: bytes) -> list[str]:
        meter = Meter(secret)
        sent = [
            {"transaction_id": t, "external_subscription_id": "s", "code": "c"} for t in ("a", "b")
        ]
        return [event["lago_id"] for event in json.loads(send_batch(meter, sent).body)["events"]]

    assert ids(SECRET) == ids(SECRET)
    assert len({*ids(SECRET), *ids(b"x" * 16)}) == 4
