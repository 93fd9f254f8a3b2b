"""The core's answer to one body equals the oracle's, whatever the bytes."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference.metering_oracle import Number, Oracle, parse_json

from lago_engine._core import Core

NOW_US = 1_750_000_000_123_456
ORGANIZATION = b"o" * 16

TEXTS = [
    '""', '" "', '"a"', '"é😀"', '"\u00a0\u3000"', r'"a\\\"b"', f'"{"x" * 65_536}"', f'"{"x" * 65_537}"',
    r'"\u0061"', r'"\ud83d\ude00"', r'"\/\n"', r'"\u0020"', "12", "-0", "1.50", "1e3",
]  # fmt: skip
SECONDS = [
    "1750000000", "-5", "1.75e9", "1750000000.1234567", "-0.0000001", "-1750000000.1234561", " 17 ", "+5", ".5",
    "5.", "", "abc", "1e18", "1e-9", "9223372036854.775807", "9223372036854.775808", "-9223372036854.775808",
    "-9223372036854.775809", "253402300800", "-62135596801", "NaN", "Infinity", "1_000", "2025-06-15T15:06:40Z",
]  # fmt: skip
AMOUNTS = [
    "140", "1234.5", "-0", "1.0000000000000005", "-1.0000000000000005", "1.00000000000000049", "1e24", "1e25",
    "9999999999999999999999999.9999999999999995", "1e400", "1e401", "1e-400", "12abc", "+5", " 7 ", "  ", "0.10",
    "9" * 1001,
]  # fmt: skip
OTHERS = ["null", "true", "false", "[]", "{}", "[1]", '{"a":{"b":[]}}', "[" * 61 + "]" * 61]
BROKEN = [
    r'"\ud800"', r'"\udc00x"', r'"\x"', '"\x01"', "01", "1.", "-", "1e", "nul", "[1,]", "[" * 62 + "]" * 62, "NaN",
    '"\ud800"', "{a:1}",
]  # fmt: skip


def spelled(numbers: list[str]) -> list[str]:
    """As strings, and as JSON numbers where they are such."""
    return [f'"{number}"' for number in numbers] + [
        n for n in numbers if n[:1] in set("-0123456789")
    ]


usual = {
    "transaction_id": st.sampled_from(['"t1"', '"t2"', "3"]),
    "external_subscription_id": st.sampled_from(['"s1"', r'"s\u0031"', '"s2"', "null"]),
    "code": st.just('"storage"'),
    "timestamp": st.sampled_from(["null", "1750000000.5", '"-1"']),
    "properties": st.just('{"gb":12.50,"region":"eu"}'),
    "precise_total_amount_cents": st.just('"140"'),
}
pools = {
    "transaction_id": TEXTS + OTHERS,
    "external_subscription_id": TEXTS + OTHERS,
    "code": TEXTS + OTHERS,
    r"co\u0064e": TEXTS,
    "timestamp": spelled(SECONDS) + OTHERS,
    "properties": [*OTHERS, '{"a":1,"a":2}', '{ "a" : "\\u0061" }', '"text"', "7"],
    "precise_total_amount_cents": spelled(AMOUNTS) + OTHERS,
    "ignored": TEXTS + OTHERS,
}
blanks = st.sampled_from(["", "", " ", "\n\t", "\r"])


@st.composite
def oddities(draw: st.DrawFn) -> tuple[str, str]:
    key = draw(st.sampled_from(sorted(pools)))
    pool = BROKEN if draw(st.integers(0, 15)) == 0 else pools[key]
    return key, draw(st.sampled_from(pool))


@st.composite
def events(draw: st.DrawFn) -> str:
    """Mostly a proper event, with a few odd members before or after the proper ones."""
    present = draw(st.sets(st.sampled_from(sorted(usual)), max_size=6)) | {"transaction_id", "code"}
    if draw(st.integers(0, 9)) == 0:
        present.discard(draw(st.sampled_from(["transaction_id", "code"])))
    members = [(key, draw(usual[key])) for key in sorted(present)]
    members = (
        draw(st.lists(oddities(), max_size=1)) + members + draw(st.lists(oddities(), max_size=2))
    )
    blank = draw(blanks)
    return "{" + ",".join(f'{blank}"{key}"{blank}:{value}{blank}' for key, value in members) + "}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bool]:
    single = draw(st.booleans())
    item = events() if draw(st.integers(0, 5)) else st.sampled_from([*OTHERS, *BROKEN])
    if single:
        root = '{"event":' + draw(item) + "}"
    else:
        root = '{"events":[' + ",".join(draw(st.lists(item, max_size=4))) + "]}"
    if draw(st.integers(0, 9)) == 0:
        root = root[:-1] + "," + draw(st.sampled_from(['"events":[]', '"event":1', '"a":{}'])) + "}"
    return root.encode("utf-8", "surrogatepass"), single


@st.composite
def damaged_bodies(draw: st.DrawFn) -> tuple[bytes, bool]:
    body, single = draw(bodies())
    at = draw(st.integers(0, len(body)))
    pieces = st.sampled_from([b'"', b"}", b"]", b",", b"\\", b"\xff", b"\xc3", b"0", b"\x00", b" "])
    piece = draw(st.one_of(st.binary(max_size=2), pieces))
    return body[:at] + piece + body[at + draw(st.integers(0, 2)) :], single


def check_and_strip_ids(body: Any) -> Any:
    """Every event object has a UUID; which one the oracle cannot know."""
    found = body.get("events", [body["event"]] if "event" in body else [])
    if "meta" in body:
        found = [result["event"] for result in found if result["status"] == "accepted"]
    for event in found:
        assert uuid.UUID(event.pop("lago_id")).version == 8
    return body


def assert_equals_oracle(body: bytes, single: bool, *, partial: bool = False) -> None:
    core, oracle = Core(b"s" * 16, 3), Oracle(3)
    answer = core.ingest(ORGANIZATION, body, single, NOW_US, partial)
    if partial and not single:
        expected = oracle.ingest_partial(ORGANIZATION, body, NOW_US)
    else:
        expected = oracle.ingest(ORGANIZATION, body, single, NOW_US)
    assert (answer.status, answer.wait_for) == (expected.status, expected.wait_for)
    got = parse_json(answer.body)
    if isinstance(got.get("status"), Number):
        got["status"] = int(got["status"].text)
    assert check_and_strip_ids(got) == expected.body
    assert answer.count == len(oracle.open)
    assert core.stats()["staged_events"] == len(oracle.open)


@settings(max_examples=600, deadline=None)
@given(bodies())
@example((b"", True))
@example((b"", False))
@example((b" ", False))
@example((b"[]", False))
@example((b"\xef\xbb\xbf{}", True))
@example((b'{"event":{"code":"c","transaction_id":"t","properties":{"a":1,"a":{}}}}', True))
def test_answers_equal_the_oracle(case: tuple[bytes, bool]) -> None:
    assert_equals_oracle(*case)


@settings(max_examples=400, deadline=None)
@given(st.one_of(bodies(), damaged_bodies()))
def test_partial_answers_equal_the_oracle(case: tuple[bytes, bool]) -> None:
    assert_equals_oracle(*case, partial=True)


@settings(max_examples=600, deadline=None)
@given(damaged_bodies())
def test_answers_to_damaged_bodies_equal_the_oracle(case: tuple[bytes, bool]) -> None:
    assert_equals_oracle(*case)
