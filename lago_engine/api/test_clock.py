"""`/test_clock`: the virtual clock of a test organization (test_clocks §2-§5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from lago_engine.api.answers import empty, json_answer, object_answer
from lago_engine.api.call import Call
from lago_engine.api.routes import CallHandler, get, post, put
from lago_engine.domain.commands import SetClock
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.timezones import from_micros
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.projecting.wire import instant
from lago_engine.store.outbox import OutboxRow

KIND = "test_clock"

TASKS = frozenset(
    {
        "billing",
        "free_trials",
        "usage",
        "draft_refresh",
        "finalization",
        "terminations",
        "activations",
        "expirations",
        "wallets",
        "wallet_rules",
        "wallet_expirations",
        "coupon_expirations",
        "payment_overdue",
        "dunning",
        "usage_errors",
    }
)


def of_test_organization(handler: CallHandler) -> CallHandler:
    """The handler for test organizations; to any other the route does not exist."""

    async def serve(call: Call) -> web.StreamResponse:
        if not call.is_test:
            raise NotFound("resource")
        return await handler(call)

    return serve


def clock_object(call: Call) -> dict[str, Any]:
    """The clock as shown; it is frozen while a virtual instant is set."""
    return {"now": instant(call.now), "frozen": call.organization.clock is not None}


async def show(call: Call) -> web.Response:
    return object_answer(KIND, clock_object(call))


async def set_clock(call: Call) -> web.Response:
    given = await call.input(KIND)
    now = None if given.get("now", "") is None else read_instant(given, "now")
    rewind = given.get("rewind") is True
    await call.execute(SetClock(organization_id=call.organization_id, now=now, rewind=rewind))
    return await show(call)


def read_instant(given: Mapping[str, Any], field: str) -> datetime:
    """An instant of the body. Raises ValidationFailed."""
    if given.get(field) in (None, ""):
        raise ValidationFailed.of(field, "value_is_mandatory")
    value = parse_instant(given[field])
    if value is None:
        raise ValidationFailed.of(field, "invalid_date")
    return value


async def run(call: Call) -> web.Response:
    tasks = (await call.input(KIND)).get("tasks")
    if not isinstance(tasks, list):
        raise ValidationFailed.of("tasks", "must_be_array")
    if not all(isinstance(task, str) and task in TASKS for task in tasks):
        raise ValidationFailed.of("tasks", "value_is_invalid")
    await call.engine.run_tasks(call.organization_id, tasks)
    await call.engine.settle(call.organization_id)
    return empty()


async def advance(call: Call) -> web.Response:
    to = read_instant(await call.input(KIND), "to")
    actions = await call.engine.advance(call.organization_id, to)
    await call.engine.settle(call.organization_id)
    return object_answer(KIND, {"now": instant(call.now), "actions": actions})


async def webhook_index(call: Call) -> web.Response:
    after = max(call.params.integer("after") or 0, 0)
    limit = call.params.page.size
    rows = await call.read(call.engine.store.outbox.list, call.organization_id, after, limit)
    return json_answer({"webhooks": [delivery_object(row) for row in rows]})


def delivery_object(row: OutboxRow) -> dict[str, Any]:
    """One emitted webhook; `payload` is the body exactly as posted."""
    return {
        "sequence": row.org_sequence,
        "webhook_type": row.webhook_type,
        "object_type": row.object_type,
        "webhook_url": row.webhook_url,
        "created_at": instant(from_micros(row.created_at_us)),
        "payload": msgspec.Raw(row.payload),
    }


ROUTES = (
    get("/test_clock", of_test_organization(show)),
    put("/test_clock", of_test_organization(set_clock)),
    post("/test_clock/run", of_test_organization(run)),
    post("/test_clock/advance", of_test_organization(advance)),
    get("/test_clock/webhooks", of_test_organization(webhook_index)),
)
