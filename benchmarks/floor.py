"""The floor: the same HTTP stack and handler layer, answering the same requests without doing anything.

`python -m benchmarks.floor` listens on a free port and says so, as the real server does.
"""

from __future__ import annotations

import asyncio
from typing import Final

import uvloop
from aiohttp import web

from benchmarks.load import HOST, PREFIX
from lago_engine.api.answers import json_bytes
from lago_engine.api.bodies import read_body
from lago_engine.api.edge import add_routes
from lago_engine.api.routes import Route
from lago_engine.api.traffic import Traffic
from lago_engine.cli.logs import configure_logging

ANSWER: Final = b'{"event":{}}'


async def take(request: web.Request) -> web.Response:
    await read_body(request)
    return json_bytes(ANSWER)


ROUTES: Final = (
    Route("POST", "/events", take, often=True),
    Route("POST", "/events/batch", take, often=True),
    Route("GET", "/customers/{external_id}/current_usage", take, often=True),
)


async def serve() -> None:
    app = web.Application()
    add_routes(app, PREFIX, ROUTES, Traffic())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=1024).start()
    print(f"the floor listens on http://{HOST}:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging("warning")
    uvloop.run(serve())
