"""`/plans` (plans §1-§4, §12)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import CreatePlan, DeletePlan, UpdatePlan
from lago_engine.domain.events import PlanCreated, PlanUpdated

KIND = "plan"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    events = await call.execute(CreatePlan(organization_id=call.organization_id, input=given))
    event = event_of(events, PlanCreated)
    assert event is not None
    return await call.answer(KIND, event.plan.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "plans", omit=("fixed_charges",))


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    command = UpdatePlan(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), PlanUpdated)
    return await call.answer(KIND, event.plan.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    plan = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeletePlan(organization_id=call.organization_id, code=code))
    return object_answer(KIND, plan | {"pending_deletion": True})


ROUTES = (
    post("/plans", create),
    get("/plans", index),
    get("/plans/{code}", show),
    *update("/plans/{code}", change),
    delete("/plans/{code}", destroy),
)
