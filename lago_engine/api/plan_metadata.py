"""`/plans/:code/metadata` (plans §10, api_conventions §5)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import Route, delete, post, update
from lago_engine.domain import commands as c
from lago_engine.domain.events import PlanUpdated
from lago_engine.errors import BadRequest


async def replace(call: Call) -> web.Response:
    given = await _given(call)
    return await _answer(
        call,
        c.ReplacePlanMetadata(
            organization_id=call.organization_id, plan_code=call.path("code"), input=given
        ),
    )


async def merge(call: Call) -> web.Response:
    given = await _given(call)
    return await _answer(
        call,
        c.MergePlanMetadata(
            organization_id=call.organization_id, plan_code=call.path("code"), input=given
        ),
    )


async def remove(call: Call) -> web.Response:
    return await _answer(
        call,
        c.DeletePlanMetadata(organization_id=call.organization_id, plan_code=call.path("code")),
    )


async def remove_key(call: Call) -> web.Response:
    return await _answer(
        call,
        c.DeletePlanMetadata(
            organization_id=call.organization_id,
            plan_code=call.path("code"),
            key=call.path("key"),
        ),
    )


async def _given(call: Call) -> dict[str, Any] | None:
    """Here an empty object and null say something. Raises BadRequest for anything else."""
    body = await call.body()
    given = body.get("metadata")
    if "metadata" not in body or not (given is None or isinstance(given, dict)):
        raise BadRequest("param is missing or the value is empty or invalid: metadata")
    return given


async def _answer(call: Call, command: c.PlanPartCommand) -> web.Response:
    event = event_of(await call.execute(command), PlanUpdated)
    assert event is not None
    return object_answer("metadata", event.plan.metadata)


ROUTES: tuple[Route, ...] = (
    post("/plans/{code}/metadata", replace),
    *update("/plans/{code}/metadata", merge),
    delete("/plans/{code}/metadata", remove),
    delete("/plans/{code}/metadata/{key}", remove_key),
)
