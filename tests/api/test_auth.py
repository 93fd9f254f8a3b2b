"""API keys in `Authorization` headers (api_conventions §1.1)."""

from __future__ import annotations

import base64

import pytest

from lago_engine.api.auth import presented_key


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer key", "key"),
        ("bearer   key", "key"),
        ("Token key", "key"),
        ("Bearer key and more", "key"),
        (basic("key:"), "key"),
        (basic("key"), "key"),
        (basic("key:password:more"), "key"),
        (basic("key:").replace("Basic", "BASIC"), "key"),
    ],
)
def test_key_is_read(header: str, key: str) -> None:
    assert presented_key(header) == key


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "key", "Bearer", "Bearer ", "Basic ???", basic(""), basic(":password"),
     "Basic " + base64.b64encode(b"\xff\xfe:").decode(), "Basic Zm9"],
)  # fmt: skip
def test_no_key(header: str | None) -> None:
    assert presented_key(header) is None
