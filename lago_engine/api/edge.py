"""The edge: every request passes here once, failures become answers, and the log gets its line.

Handlers are wrapped when they are registered. aiohttp's middlewares would do the same for a tenth of
what a usage event may cost.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from time import perf_counter

import structlog
from aiohttp import web

from lago_engine.api.answers import error_answer, http_error_answer, lago_error_answer
from lago_engine.api.routes import RequestHandler, Route
from lago_engine.api.traffic import RouteTraffic, Traffic
from lago_engine.errors import ConflictError, DomainError, UnavailableError

log = structlog.get_logger(__name__)


def add_routes(
    app: web.Application, prefix: str, routes: Iterable[Route], traffic: Traffic
) -> None:
    """Register routes under a prefix, their requests counted in `traffic`; a `GET` answers `HEAD` too."""
    debugging = log.is_enabled_for(logging.DEBUG)
    for route in routes:
        path = prefix + re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
        quiet = route.often and not debugging
        seen = traffic.route(route.method, prefix + route.path)
        handler = answered(route.handler, seen) if quiet else logged(route.handler, seen)
        if route.method == "GET":
            app.router.add_get(path, handler)
        else:
            app.router.add_route(route.method, path, handler)


def answered(handler: RequestHandler, seen: RouteTraffic) -> RequestHandler:
    """The handler with an answer to everything it may raise, counted."""
    answer = _answering(handler)

    async def serve(request: web.Request) -> web.StreamResponse:
        started = perf_counter()
        response = await answer(request)
        seen.add(response.status, perf_counter() - started)
        return response

    return serve


def _answering(handler: RequestHandler) -> RequestHandler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (DomainError, UnavailableError, ConflictError) as error:
            return lago_error_answer(error)
        except web.HTTPException as error:
            return http_error_answer(error)
        except web.RequestPayloadError:
            return error_answer(400)
        except Exception:  # A defect costs its own request only.
            correlation_id = secrets.token_hex(8)
            log.exception("request_failed", path=request.path, correlation_id=correlation_id)
            return error_answer(500, correlation_id=correlation_id)

    return answer


def logged(handler: RequestHandler, seen: RouteTraffic) -> RequestHandler:
    """The handler with an answer to everything, counted, and a line in the log for each."""
    answer = _answering(handler)

    async def serve_and_log(request: web.Request) -> web.StreamResponse:
        started = perf_counter()
        response = await answer(request)
        duration_s = perf_counter() - started
        seen.add(response.status, duration_s)
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            duration_ms=round(duration_s * 1000, 1),
        )
        return response

    return serve_and_log


async def unmatched(request: web.Request) -> web.StreamResponse:
    """What no route takes: a known path with a wrong method, or an unknown path."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods
    allowed.discard("*")
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise web.HTTPNotFound
