"""`/webhook_endpoints` (api_conventions §9)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import BY_SORT_KEY, Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import (
    CreateWebhookEndpoint,
    DeleteWebhookEndpoint,
    UpdateWebhookEndpoint,
)
from lago_engine.domain.events import WebhookEndpointCreated

KIND = "webhook_endpoint"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    command = CreateWebhookEndpoint(organization_id=call.organization_id, input=given)
    event = event_of(await call.execute(command), WebhookEndpointCreated)
    assert event is not None
    return await call.answer(KIND, str(event.endpoint.id))


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "webhook_endpoints", order=BY_SORT_KEY)


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, str(call.uuid("lago_id", KIND)))


async def change(call: Call) -> web.Response:
    endpoint_id, given = call.uuid("lago_id", KIND), await call.input(KIND)
    await call.execute(
        UpdateWebhookEndpoint(
            organization_id=call.organization_id, endpoint_id=endpoint_id, input=given
        )
    )
    return await call.answer(KIND, str(endpoint_id))


async def destroy(call: Call) -> web.Response:
    endpoint_id = call.uuid("lago_id", KIND)
    endpoint = call.present(KIND, await call.stored(KIND, str(endpoint_id)))
    await call.execute(
        DeleteWebhookEndpoint(organization_id=call.organization_id, endpoint_id=endpoint_id)
    )
    return object_answer(KIND, endpoint)


ROUTES = (
    post("/webhook_endpoints", create),
    get("/webhook_endpoints", index),
    get("/webhook_endpoints/{lago_id}", show),
    *update("/webhook_endpoints/{lago_id}", change),
    delete("/webhook_endpoints/{lago_id}", destroy),
)
