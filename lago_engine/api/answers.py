"""Answers: documents as stored, lists with their meta, and errors (api_conventions §3, §4)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from lago_engine.errors import (
    BadRequest,
    ConflictError,
    DomainError,
    ExpressionFailed,
    LagoError,
    UnavailableError,
    ValidationFailed,
)
from lago_engine.projecting.wire import encode


def json_bytes(body: bytes, status: int = 200) -> web.Response:
    """A finished JSON body."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def json_answer(value: Any, status: int = 200) -> web.Response:
    """Any value as JSON."""
    return json_bytes(encode(value), status)


def empty() -> web.Response:
    """200 without a body, the answer of actions that only set something going."""
    return web.Response(status=200)


def object_answer(wrapper: str, value: Any) -> web.Response:
    """One object under its name."""
    return json_answer({wrapper: value})


# --- errors ------------------------------------------------------------------------------------


def error_answer(status: int, code: str | None = None, **more: object) -> web.Response:
    """The error object; `error` is the status' phrase where Lago has no other word for it."""
    names = {413: "Content Too Large", 422: "Unprocessable Entity"}
    error = names.get(status) or HTTPStatus(status).phrase
    head = {"status": status, "error": error}
    return json_answer(head | ({"code": code} if code else {}) | more, status)


def lago_error_answer(error: LagoError) -> web.Response:
    """The wire form of everything this package raises on purpose."""
    match error:
        case BadRequest():
            return _bad_request(str(error))
        case ValidationFailed() | ExpressionFailed():
            return error_answer(422, error.code, error_details=error.details)
        case DomainError():
            return error_answer(error.status, error.code)
        case UnavailableError():
            return _unavailable(error)
        case ConflictError():
            return error_answer(409, "conflict")
        case _:
            return error_answer(500)


def _bad_request(message: str) -> web.Response:
    return json_answer(
        {"status": 400, "error": f"BadRequest: {message}" if message else "Bad Request"}, 400
    )


def _unavailable(error: UnavailableError) -> web.Response:
    code = "rate_limit_exceeded" if error.status == 429 else "unavailable"
    response = error_answer(error.status, code)
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response


_HTTP_CODES = {
    404: "resource_not_found",
    405: "method_not_allowed",
    413: "content_too_large",
}


def http_error_answer(error: web.HTTPException) -> web.Response:
    """What the HTTP layer refuses: unknown routes, wrong methods, bodies that are too long."""
    response = error_answer(error.status, _HTTP_CODES.get(error.status))
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response
