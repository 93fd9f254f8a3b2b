"""`/add_ons` (invoices §17)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import CreateAddOn, DeleteAddOn, UpdateAddOn
from lago_engine.domain.events import AddOnCreated, AddOnUpdated

KIND = "add_on"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    events = await call.execute(CreateAddOn(organization_id=call.organization_id, input=given))
    event = event_of(events, AddOnCreated)
    assert event is not None
    return await call.answer(KIND, event.add_on.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "add_ons")


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    command = UpdateAddOn(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), AddOnUpdated)
    return await call.answer(KIND, event.add_on.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    add_on = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeleteAddOn(organization_id=call.organization_id, code=code))
    return object_answer(KIND, add_on)


ROUTES = (
    post("/add_ons", create),
    get("/add_ons", index),
    get("/add_ons/{code}", show),
    *update("/add_ons/{code}", change),
    delete("/add_ons/{code}", destroy),
)
