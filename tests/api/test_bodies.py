"""Request bodies: no float, bounded nesting, wrappers (api_conventions §2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.api.bodies import NESTING_MAX, as_text, decode, decode_object, unwrap
from lago_engine.errors import BadRequest


def test_numbers_keep_every_digit() -> None:
    value = decode(b'{"rate": 19.123456789012345678901234567890, "big": 123456789012345678901234}')
    assert value == {
        "rate": Decimal("19.123456789012345678901234567890"),
        "big": 123456789012345678901234,
    }
    assert isinstance(value["rate"], Decimal)
    assert decode(b"1e2") == Decimal(100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b"nul",
        b"{'a':1}",
        b'{"a":"\xff"}',
        b'{"a":"\xc3\x28"}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999999999}',
        b'{"a":1e-999999999}',
        b'{"a":' + b"9" * 10_000 + b"}",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        decode(body)
    assert str(refused.value) == ""


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_is_bounded(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"

    def nested(depth: int) -> bytes:
        return opening * depth + b"1" + closing * depth

    assert decode(nested(NESTING_MAX))
    with pytest.raises(BadRequest):
        decode(nested(NESTING_MAX + 1))


def test_nuls_are_dropped_from_keys_and_values() -> None:
    assert decode(b'{"na\\u0000me": ["A\\u0000cme", {"x": "\\u0000"}]}') == {
        "name": ["Acme", {"x": ""}]
    }
    assert decode(rb'{"name": "a\\u0000"}') == {"name": r"a\u0000"}


def test_a_missing_body_and_other_values_are_empty_objects() -> None:
    for body in (b"", b"  \n", b"[]", b"1", b'"x"', b"null"):
        assert decode_object(body) == {}


@pytest.mark.parametrize("payload", [{}, {"tax": None}, {"tax": {}}, {"tax": []}, {"tax": "x"}])
def test_a_missing_wrapper_is_refused_with_its_name(payload: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        unwrap(payload, "tax")
    assert str(refused.value) == "param is missing or the value is empty or invalid: tax"


def test_unwrap_gives_the_object() -> None:
    assert unwrap({"tax": {"code": "vat"}, "other": 1}, "tax") == {"code": "vat"}


def test_as_text() -> None:
    assert [as_text(value) for value in ("a", 12, True, None, [], {})] == [
        "a",
        "12",
        "",
        "",
        "",
        "",
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    try:
        decode(body)
    except BadRequest:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_others_write_is_read_back(value: Any) -> None:
    import json

    def clean(item: Any) -> Any:
        match item:
            case str():
                return item.replace("\0", "")
            case list():
                return [clean(each) for each in item]
            case dict():
                return {clean(key): clean(each) for key, each in item.items()}
        return item

    assert decode(json.dumps(value).encode()) == clean(value)
