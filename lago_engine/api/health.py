"""`/health`, `/ready` and `/metrics`: for operators, without a key (api_conventions §1)."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from lago_engine.api.answers import json_answer
from lago_engine.api.call import ENGINE, SETTINGS, read
from lago_engine.api.routes import Route

METRICS = web.AppKey("METRICS", CollectorRegistry)
STOPPING = web.AppKey("STOPPING", asyncio.Event)


async def health(request: web.Request) -> web.Response:
    settings = request.app[SETTINGS]
    about = {"version": settings.version, "github_url": settings.source_url}
    if await read(request, request.app[ENGINE].store.healthy):
        windows = request.app[ENGINE].refolds
        return json_answer(about | {"message": "Success", "usage_windows": windows})
    details = "the store cannot be read or written"
    return json_answer(about | {"message": "Unhealthy", "details": details}, 500)


async def ready(request: web.Request) -> web.Response:
    if request.app[STOPPING].is_set():
        return json_answer({"status": "shutting down"}, 503)
    return json_answer({"status": "ok"})


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[METRICS])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = (
    Route("GET", "/health", health),
    Route("GET", "/ready", ready),
    Route("GET", "/metrics", metrics),
)
