"""`/taxes` (customers §7.1)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import BY_SORT_KEY, Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import CreateTax, DeleteTax, UpdateTax
from lago_engine.domain.events import TaxCreated, TaxUpdated

KIND = "tax"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    events = await call.execute(CreateTax(organization_id=call.organization_id, input=given))
    event = event_of(events, TaxCreated)
    assert event is not None
    return await call.answer(KIND, event.tax.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "taxes", order=BY_SORT_KEY)


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    command = UpdateTax(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), TaxUpdated)
    return await call.answer(KIND, event.tax.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    tax = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeleteTax(organization_id=call.organization_id, code=code))
    return object_answer(KIND, tax)


ROUTES = (
    post("/taxes", create),
    get("/taxes", index),
    get("/taxes/{code}", show),
    *update("/taxes/{code}", change),
    delete("/taxes/{code}", destroy),
)
