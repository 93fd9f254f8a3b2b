"""Tables of routes, and how a handler of a `Call` becomes one of aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from lago_engine.api.call import Call

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CallHandler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A method and a path; `{name}` in the path stands for anything but a slash.

    often: requests come by the thousand, so only a debug log shows them.
    """

    method: str
    path: str
    handler: RequestHandler
    often: bool = False


def authenticated(handler: CallHandler) -> RequestHandler:
    """The handler behind an API key; without one the answer is 401."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return await handler(Call(request))

    return serve


def get(path: str, handler: CallHandler) -> Route:
    return Route("GET", path, authenticated(handler))


def post(path: str, handler: CallHandler) -> Route:
    return Route("POST", path, authenticated(handler))


def put(path: str, handler: CallHandler) -> Route:
    return Route("PUT", path, authenticated(handler))


def delete(path: str, handler: CallHandler) -> Route:
    return Route("DELETE", path, authenticated(handler))


def update(path: str, handler: CallHandler) -> tuple[Route, Route]:
    """An update, which `PUT` and `PATCH` both mean."""
    return put(path, handler), Route("PATCH", path, authenticated(handler))
