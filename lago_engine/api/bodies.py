"""Request bodies: bounded, decoded without floats, and taken out of their wrapper (api_conventions §2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from lago_engine.errors import BadRequest

NESTING_MAX = 64
EXPONENT_MAX = 400
"""Numbers beyond 10^±EXPONENT_MAX mean nothing here and would make arithmetic on them expensive."""


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError("number out of range")
    return number


_decoder = msgspec.json.Decoder(float_hook=_number)


async def read_body(request: web.Request) -> bytes:
    """The whole body. Raises HTTPRequestEntityTooLarge, before reading where the length is given,
    and RequestPayloadError for a body that cannot be read to its end.
    """
    limit = request.client_max_size
    length = request.content_length
    if length is not None and length > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=length)
    try:
        return await request.read()
    except ConnectionResetError as error:
        raise web.RequestPayloadError("the client hung up") from error


def decode(body: bytes) -> Any:
    """The JSON value; numbers with a fraction or exponent are Decimals, NULs in text are dropped.

    Raises BadRequest for what is not JSON in UTF-8 or is nested deeper than NESTING_MAX.
    """
    try:
        value = _decoder.decode(body)
    except (ValueError, RecursionError):
        raise BadRequest from None
    if _nesting(value) > NESTING_MAX:
        raise BadRequest
    return _without_nuls(value) if b"\\u0000" in body else value


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty body and any other JSON value are an empty object."""
    if not body.strip():
        return {}
    value = decode(body)
    return value if isinstance(value, dict) else {}


def unwrap(payload: Mapping[str, Any], wrapper: str) -> dict[str, Any]:
    """The object under the wrapper key. Raises BadRequest when it is missing or empty."""
    value = payload.get(wrapper)
    if not isinstance(value, dict) or not value:
        raise BadRequest(f"param is missing or the value is empty or invalid: {wrapper}")
    return value


def as_text(value: object) -> str:
    """A natural key in a body; numbers count as their digits, other shapes as nothing."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _nesting(value: Any) -> int:
    depth, level = 0, [value]
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [
            child for node in level for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth


def _without_nuls(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nuls(item) for item in value]
    if isinstance(value, dict):
        return {_without_nuls(key): _without_nuls(item) for key, item in value.items()}
    return value
