"""JSON bodies of the pretended PSP's requests and responses."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from lago_engine_fakepay.psp import Refused

T = TypeVar("T")


async def body_of(request: web.Request, kind: type[T]) -> T:
    """The request's body; raises `Refused` (422) when it is not a `kind`."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise Refused(422, "invalid_body", str(error)) from None


def answer(body: object, *, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
