"""Failures on the wire (api_conventions §4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from lago_engine.api.answers import http_error_answer, lago_error_answer
from lago_engine.errors import (
    BadRequest,
    ConflictError,
    DomainError,
    Forbidden,
    LagoError,
    NotAllowed,
    NotFound,
    UnavailableError,
    ValidationFailed,
)


def body_of(response: web.Response) -> Any:
    assert isinstance(response.body, bytes)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (BadRequest(), {"status": 400, "error": "Bad Request"}),
        (BadRequest("why"), {"status": 400, "error": "BadRequest: why"}),
        (
            Forbidden("feature_unavailable"),
            {"status": 403, "error": "Forbidden", "code": "feature_unavailable"},
        ),
        (NotFound("tax"), {"status": 404, "error": "Not Found", "code": "tax_not_found"}),
        (
            NotAllowed("not_voidable"),
            {"status": 405, "error": "Method Not Allowed", "code": "not_voidable"},
        ),
        (
            ValidationFailed({"code": ["value_is_mandatory"], "rate": ["is not a number"]}),
            {
                "status": 422,
                "error": "Unprocessable Entity",
                "code": "validation_errors",
                "error_details": {"code": ["value_is_mandatory"], "rate": ["is not a number"]},
            },
        ),
        (
            DomainError(),
            {"status": 422, "error": "Unprocessable Entity", "code": "unprocessable_entity"},
        ),
        (ConflictError("x"), {"status": 409, "error": "Conflict", "code": "conflict"}),
        (
            UnavailableError("full", status=429, retry_after_s=3),
            {"status": 429, "error": "Too Many Requests", "code": "rate_limit_exceeded"},
        ),
        (
            UnavailableError("down", retry_after_s=7),
            {"status": 503, "error": "Service Unavailable", "code": "unavailable"},
        ),
    ],
)
def test_errors_of_the_engine(error: LagoError, body: dict[str, Any]) -> None:
    response = lago_error_answer(error)
    assert response.status == body["status"]
    assert body_of(response) == body


@pytest.mark.parametrize(("status", "wait"), [(429, 3), (503, 7)])
def test_unavailable_says_when_to_try_again(status: int, wait: int) -> None:
    response = lago_error_answer(UnavailableError("x", status=status, retry_after_s=wait))
    assert response.headers["Retry-After"] == str(wait)


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (web.HTTPUnauthorized(), {"status": 401, "error": "Unauthorized"}),
        (web.HTTPNotFound(), {"status": 404, "error": "Not Found", "code": "resource_not_found"}),
        (
            web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2),
            {"status": 413, "error": "Content Too Large", "code": "content_too_large"},
        ),
        (
            web.HTTPMethodNotAllowed("PUT", ["POST", "GET"]),
            {"status": 405, "error": "Method Not Allowed", "code": "method_not_allowed"},
        ),
    ],
)
def test_errors_of_http(error: web.HTTPException, body: dict[str, Any]) -> None:
    response = http_error_answer(error)
    assert response.status == body["status"]
    assert body_of(response) == body


def test_a_wrong_method_learns_the_right_ones() -> None:
    response = http_error_answer(web.HTTPMethodNotAllowed("PUT", ["POST", "GET"]))
    assert response.headers["Allow"] == "GET, POST"
