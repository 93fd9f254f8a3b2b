"""Usage nobody should send, case by case over real HTTP: what is answered, what is stored, and that others do not notice.

Rules: events.md §2, §3; api_conventions §2; metrics.md §4.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from api.client import Api

MIB = 1024 * 1024
BASE = '"transaction_id":"t","external_subscription_id":"sub","code":"storage"'
MALFORMED: Mapping[str, bytes] = {
    "NaN": b'{"gb":NaN}',
    "infinity": b'{"gb":Infinity}',
    "minus infinity": b'{"gb":-Infinity}',
    "a plus sign": b'{"gb":+1}',
    "a leading zero": b'{"gb":01}',
    "a bare point": b'{"gb":.5}',
    "hexadecimal": b'{"gb":0x1F}',
    "a lone high surrogate": rb'{"gb":"\ud800"}',
    "a lone low surrogate": rb'{"gb":"\udc00"}',
    "surrogates in the wrong order": rb'{"gb":"\udc00\ud800"}',
    "an encoded surrogate": b'{"gb":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"gb":"\xc0\xaf"}',
    "cut UTF-8": b'{"gb":"\xe2\x82"}',
    "Latin-1": b'{"gb":"caf\xe9"}',
    "a raw NUL": b'{"gb":"\x00"}',
    "a raw newline": b'{"gb":"\n"}',
    "an unknown escape": rb'{"gb":"\x41"}',
    "64 levels below the properties": b'{"a":' * 64 + b"1" + b"}" * 64,
    "a million levels": b"[" * MIB,
    "a trailing comma": b'{"gb":1,}',
    "a comment": b'{"gb":1/*one*/}',
    "single quotes": b"{'gb':1}",
}


@pytest.fixture
def shop(api: Api) -> Iterator[Api]:
    """A metered subscription with one event, which every test leaves as it is."""
    metric = api.metric()
    api.plan(
        charges=[
            {
                "billable_metric_id": metric["lago_id"],
                "charge_model": "standard",
                "properties": {"amount": "1"},
            }
        ]
    )
    api.customer()
    api.subscription(subscription_at="2024-03-01T00:00:00Z")
    api.event("before", properties={"gb": 5})
    yield api
    api.event("after", properties={"gb": 1})
    assert api("GET", "/events/{}", "before")["event"]["properties"] == {"gb": 5}


def units(api: Api) -> str:
    query = {"external_subscription_id": "sub"}
    usage = api("GET", "/customers/{}/current_usage", "acme", query=query)["customer_usage"]
    return str(usage["charges_usage"][0]["units"])


def body(members: str) -> bytes:
    return f'{{"event":{{{BASE},{members}}}}}'.encode()


def total(api: Api) -> int:
    return int(api("GET", "/events")["meta"]["total_count"])


# --- bodies that are no JSON -------------------------------------------------------------------


@pytest.mark.parametrize("properties", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_is_refused_whole(shop: Api, properties: bytes) -> None:
    """given a proper event beside a broken one / then 400, and neither is stored"""
    good = b'{"transaction_id":"good","external_subscription_id":"sub","code":"storage"}'
    broken = b"{" + BASE.encode() + b',"properties":' + properties + b"}"
    for path, content in (
        ("/events", b'{"event":' + broken + b"}"),
        ("/events/batch", b'{"events":[' + good + b"," + broken + b"]}"),
    ):
        for query in ({}, {"partial": "true"}):
            response = shop.send("POST", path, content=content, query=query)
            assert response.status_code == 400, response.text
            assert response.json() == {"status": 400, "error": "Bad Request"}
    assert total(shop) == 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_body_is_refused(shop: Api, share: float) -> None:
    whole = body('"properties":{"gb":12,"text":"é😀"}')
    response = shop.send("POST", "/events", content=whole[: int(len(whole) * share)])
    assert (response.status_code, total(shop)) == (400, 1)


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/events", b'{"events":[{"code":"c"}]}', 400),
        ("/events", b'[{"code":"c"}]', 400),
        ("/events", b'"event"', 400),
        ("/events", b'{"Event":{"code":"c"}}', 400),
        ("/events", b'{"event":[]}', 400),
        ("/events", b'{"event":"x"}', 400),
        ("/events/batch", b'{"event":{"code":"c"}}', 422),
        ("/events/batch", b'{"events":{"0":{"code":"c"}}}', 422),
        ("/events/batch", b"[]", 400),
        ("/events/batch", b'{"events":"x"}', 422),
        ("/events/batch", b'{"events":[null]}', 422),
    ],
)
def test_a_wrong_root_is_refused(shop: Api, path: str, content: bytes, status: int) -> None:
    assert shop.send("POST", path, content=content).status_code == status
    assert total(shop) == 1


# --- odd but proper JSON -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "shown", "expected"),
    [
        ("9" * 400, None, "5.0"),
        ("9" * 61, None, "5.0"),
        ("9" * 60, None, f"1{'0' * 59}4.0"),
        ("0." + "0" * 398 + "1", None, None),
        ("1e400", None, None),
        ("1e-400", None, None),
        ('"1e3"', "1e3", "5.0"),
        ('"NaN"', "NaN", "5.0"),
        ('"Infinity"', "Infinity", "5.0"),
        ("-0", None, "5.0"),
    ],
)
def test_numbers_of_any_size_are_stored_as_they_were_sent(
    shop: Api, number: str, shown: str | None, expected: str | None
) -> None:
    """Nothing on the way is a binary float: 400 digits stay 400 digits. Beyond 10^60 they count as no number."""
    response = shop.send("POST", "/events", content=body(f'"properties":{{"gb":{number}}}'))
    assert response.status_code == 200, response.text
    assert f'"properties":{{"gb":{number}}}' in response.text
    stored = shop.send("GET", "/events/{}", "t")
    assert f'"gb":{number}' in stored.text.replace(" ", "")
    if shown is not None:
        assert stored.json()["event"]["properties"] == {"gb": shown}
    if expected is not None:
        assert units(shop) == expected


@pytest.mark.parametrize("number", ["1e401", "1e999999999", "1e-999999999"])
def test_an_exponent_beyond_the_limit_is_text(shop: Api, number: str) -> None:
    """Written out it would be a body of its own: it is kept as sent and counts as no number."""
    response = shop.send("POST", "/events", content=body(f'"properties":{{"gb":{number}}}'))
    assert response.status_code == 200
    assert units(shop) == "5.0"


def test_the_last_of_duplicate_keys_counts(shop: Api) -> None:
    content = (
        b'{"event":{"code":"x","transaction_id":"u","transaction_id":"v","code":"storage",'
        b'"external_subscription_id":"sub","properties":{"gb":100,"gb":2}},"event":{"code":"storage",'
        b'"external_subscription_id":"sub","transaction_id":"w","properties":{"gb":100,"gb":2}}}'
    )
    sent = shop.send("POST", "/events", content=content).json()["event"]
    assert (sent["transaction_id"], sent["properties"]) == ("w", {"gb": 2})
    assert units(shop) == "7.0"


def test_an_escaped_nul_is_a_character(shop: Api) -> None:
    content = rb'{"event":{"transaction_id":"a\u0000b","external_subscription_id":"sub","code":"storage"}}'
    sent = shop.send("POST", "/events", content=content).json()["event"]
    assert sent["transaction_id"] == "a\0b"
    assert shop.send("POST", "/events", content=content).status_code == 422


@pytest.mark.parametrize(
    ("timestamp", "status"),
    [
        ('"NaN"', 422), ('"Infinity"', 422), ('"-Infinity"', 422), ("1e400", 422), ('"1e400"', 422), (f'"{"9" * 400}"', 422),
        ('"2024-03-15T10:00:00Z"', 422), ('"soon"', 422), ("true", 422), ('""', 422), ("null", 200), ("[]", 200), ("false", 200),
        ("-62135596801", 200), ('" 1710500000 "', 200), ('"1.7105e9"', 200),
    ],
)  # fmt: skip
def test_timestamps(shop: Api, timestamp: str, status: int) -> None:
    response = shop.send("POST", "/events", content=body(f'"timestamp":{timestamp}'))
    assert response.status_code == status, response.text
    if status == 422:
        assert response.json()["error_details"] == {"timestamp": ["invalid_format"]}


def test_a_far_timestamp_is_accepted_and_counted(shop: Api) -> None:
    """Milliseconds lie in a far year, as in Lago; whoever watches the figure finds the sender."""

    def counted() -> float:
        lines = shop.http.get("/metrics").text.splitlines()
        return float(
            next(
                line for line in lines if line.startswith("lago_usage_far_timestamps_total")
            ).split()[1]
        )

    before = counted()
    milliseconds = shop.send("POST", "/events", content=body('"timestamp":1710500000000'))
    assert milliseconds.json()["event"]["timestamp"] == "56173-08-02T16:53:20.000Z"
    sent = shop.event("ms", timestamp=253_402_300_799, properties={"gb": 7})
    assert sent["timestamp"] == "9999-12-31T23:59:59.000Z"
    assert (counted(), units(shop)) == (before + 2, "5.0")


def test_properties_up_to_the_limit_of_a_body_are_kept(shop: Api) -> None:
    """given almost 10 MiB of properties / then they come back whole; one byte over the limit is 413"""
    head, tail = body('"properties":{"gb":1,"blob":"@"}').split(b"@")
    room = 10 * MIB - len(head) - len(tail)
    sent = shop.send("POST", "/events", content=head + b"x" * room + tail)
    assert sent.status_code == 200
    assert len(sent.json()["event"]["properties"]["blob"]) == room
    too_long = shop.send("POST", "/events", content=head + b"x" * (room + 1) + tail)
    assert too_long.status_code == 413
    assert units(shop) == "6.0"


def test_ten_thousand_members_and_the_deepest_nesting(shop: Api) -> None:
    wide = {f"key-{n}": n for n in range(10_000)} | {"gb": 1}
    shop.event("wide", properties=wide)
    deep = b'{"a":' * 62 + b"1" + b"}" * 62
    content = b'{"event":{' + BASE.encode() + b',"properties":' + deep + b"}}"
    assert shop.send("POST", "/events", content=content).status_code == 200
    assert units(shop) == "6.0"


@pytest.mark.parametrize("properties", ["null", "[]", '"x"', "7", "true"])
def test_properties_of_another_kind_are_dropped(shop: Api, properties: str) -> None:
    sent = shop.send("POST", "/events", content=body(f'"properties":{properties}'))
    assert (sent.status_code, sent.json()["event"]["properties"]) == (200, {})


# --- the transport -----------------------------------------------------------------------------


def test_a_chunked_body_is_taken_as_any_other(shop: Api) -> None:
    def chunks() -> Iterator[bytes]:
        whole = body('"properties":{"gb":3,"text":"é😀"}')
        for start in range(0, len(whole), 7):
            yield whole[start : start + 7]

    response = shop.http.post(
        "/api/v1/events", content=chunks(), headers={"Authorization": f"Bearer {shop.key}"}
    )
    assert response.status_code == 200
    assert units(shop) == "8.0"


@pytest.mark.parametrize(
    "request_text",
    [
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /api/v1/events HTTP/9.9\r\n\r\n",
        b"\x00" * 100,
    ],
)
def test_broken_http_costs_its_own_connection_only(shop: Api, request_text: bytes) -> None:
    async def answer() -> bytes:
        host, port = shop.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_text)
        writer.write_eof()
        line = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return line

    first_line = asyncio.run(answer()).split(b"\r\n")[0]
    assert first_line == b"" or first_line.split()[1] in (b"400", b"401")
    assert total(shop) == 1


def test_many_bad_bodies_at_once_do_not_hold_up_good_ones(shop: Api) -> None:
    """given a stream of the worst bodies / when good events come between / then each good one is stored"""
    deep = b"[" * MIB
    for number in range(20):
        assert shop.send("POST", "/events/batch", content=deep).status_code == 400
        shop.event(f"good-{number}", properties={"gb": 1})
    assert units(shop) == "25.0"


def test_a_content_type_changes_nothing(shop: Api) -> None:
    for number, kind in enumerate(("text/plain", "application/x-www-form-urlencoded", "")):
        event: dict[str, Any] = {"transaction_id": f"k{number}", "code": "storage"}
        content = json.dumps({"event": event | {"external_subscription_id": "sub"}}).encode()
        response = shop.send("POST", "/events", content=content, headers={"Content-Type": kind})
        assert response.status_code == 200
