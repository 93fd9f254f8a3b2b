"""`/billable_metrics` (metrics §1)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import (
    CreateBillableMetric,
    DeleteBillableMetric,
    UpdateBillableMetric,
)
from lago_engine.domain.decimals import parse_decimal
from lago_engine.domain.events import BillableMetricCreated, BillableMetricUpdated
from lago_engine.domain.timezones import micros
from lago_engine.errors import ValidationFailed
from lago_engine.projecting.wire import encode

KIND = "billable_metric"
COUNTS = ("active_subscriptions_count", "draft_invoices_count", "plans_count")
"""Deprecated constants, in every answer but that to `GET` of one metric."""


async def create(call: Call) -> web.Response:
    given = _parsed(call, await call.input(KIND))
    command = CreateBillableMetric(organization_id=call.organization_id, input=given)
    event = event_of(await call.execute(command), BillableMetricCreated)
    assert event is not None
    return await call.answer(KIND, event.metric.code)


def _parsed(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """The input, if its expression is one, as text. Raises ValidationFailed."""
    expression = given.get("expression")
    if expression is None or isinstance(expression, bool | list | dict):
        return given
    text = str(expression)
    if text.strip() and call.engine.expression_problem(text):
        raise ValidationFailed.of("expression", "invalid_expression")
    return {**given, "expression": text}


async def evaluate(call: Call) -> web.Response:
    """`POST /billable_metrics/evaluate_expression` (metrics.md §5.5); the body has no wrapper."""
    given = await call.body()
    expression = given.get("expression")
    if not isinstance(expression, str) or not expression.strip():
        raise ValidationFailed.of("expression", "value_is_mandatory")
    _parsed(call, given)
    event = given.get("event")
    event = event if isinstance(event, dict) else {}
    properties = event.get("properties")
    timestamp_us = _timestamp_us(event.get("timestamp"), call.now)
    value, _ = call.engine.evaluate_expression(
        expression,
        code=str(event.get("code") or ""),
        timestamp_us=timestamp_us,
        properties=_stringified(properties if isinstance(properties, dict) else {}),
    )
    if value is None:
        raise ValidationFailed.of("event", "invalid_event")
    return object_answer("expression_result", {"value": value})


def _timestamp_us(value: object, now: datetime) -> int:
    """Seconds since the epoch, as of events; now when there is none."""
    if value is None:
        return micros(now)
    try:
        seconds = parse_decimal(value if isinstance(value, str | int) else str(value))
    except ValidationFailed:
        raise ValidationFailed.of("event", "invalid_event") from None
    timestamp_us = int(seconds * 1_000_000)
    if abs(timestamp_us) >= 2**63:
        raise ValidationFailed.of("event", "invalid_event")
    return timestamp_us


def _stringified(properties: dict[str, Any]) -> bytes:
    """Property values as text, as the contract has it; null stays null."""
    return encode(
        {
            name: value if value is None or isinstance(value, str) else _as_text(value)
            for name, value in properties.items()
        }
    )


def _as_text(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else encode(value).decode()


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "billable_metrics")


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"), omit=COUNTS)


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), _parsed(call, await call.input(KIND))
    command = UpdateBillableMetric(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), BillableMetricUpdated)
    return await call.answer(KIND, event.metric.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    metric = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeleteBillableMetric(organization_id=call.organization_id, code=code))
    return object_answer(KIND, metric)


ROUTES = (
    post("/billable_metrics", create),
    post("/billable_metrics/evaluate_expression", evaluate),
    get("/billable_metrics", index),
    get("/billable_metrics/{code}", show),
    *update("/billable_metrics/{code}", change),
    delete("/billable_metrics/{code}", destroy),
)
