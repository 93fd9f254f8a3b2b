"""`/organizations` (api_conventions §7): the organization of the API key."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.call import Call
from lago_engine.api.routes import get, update
from lago_engine.domain.commands import UpdateOrganization

KIND = "organization"


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, str(call.organization_id))


async def change(call: Call) -> web.Response:
    given = await call.input(KIND)
    await call.execute(UpdateOrganization(organization_id=call.organization_id, input=given))
    return await show(call)


ROUTES = (get("/organizations", show), *update("/organizations", change))
