"""`/pricing_units`, which Lago keeps in its dashboard (charges §10, test_clocks §10)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import get, post, update
from lago_engine.domain.commands import CreatePricingUnit, UpdatePricingUnit
from lago_engine.domain.events import PricingUnitCreated

KIND = "pricing_unit"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    command = CreatePricingUnit(organization_id=call.organization_id, input=given)
    event = event_of(await call.execute(command), PricingUnitCreated)
    assert event is not None
    return await call.answer(KIND, event.pricing_unit.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "pricing_units")


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    await call.execute(
        UpdatePricingUnit(organization_id=call.organization_id, code=code, input=given)
    )
    return await call.answer(KIND, code)


ROUTES = (
    post("/pricing_units", create),
    get("/pricing_units", index),
    get("/pricing_units/{code}", show),
    *update("/pricing_units/{code}", change),
)
