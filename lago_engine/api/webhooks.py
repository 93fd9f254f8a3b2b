"""Keys that verify our webhooks (api_conventions §10.1), and webhooks of payment providers (payments §11)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import error_answer, object_answer
from lago_engine.api.bodies import read_body
from lago_engine.api.call import ENGINE, Call, parse_uuid
from lago_engine.api.routes import Route, get


async def json_public_key(call: Call) -> web.Response:
    return object_answer("webhook", {"public_key": call.settings.webhook_public_key})


async def public_key(call: Call) -> web.Response:
    return web.Response(text=call.settings.webhook_public_key)


async def provider_webhook(request: web.Request) -> web.Response:
    """What a provider posts; it is authenticated by its signature, not by an API key."""
    organization_id = parse_uuid(request.match_info["organization_id"], "organization")
    body = await read_body(request)
    status = await request.app[ENGINE].provider_webhook(
        request.match_info["provider"],
        organization_id,
        request.query.get("code"),
        request.headers,
        body,
    )
    return web.Response() if status == 200 else error_answer(status)


ROUTES = (
    get("/webhooks/json_public_key", json_public_key),
    get("/webhooks/public_key", public_key),
)
INBOUND = (Route("POST", "/webhooks/{provider}/{organization_id}", provider_webhook),)
