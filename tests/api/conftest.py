"""One server for all tests of the API, a fresh test organization for each of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from aiohttp import web
from api.client import Api

from lago_engine.api import create_app
from lago_engine.bootstrap import open_engine
from lago_engine.clock import SystemClock
from lago_engine.settings import Settings


class Server:
    """The real engine over SQLite behind the real HTTP app, in a thread with its own loop."""

    def __init__(self, settings: Settings) -> None:
        self.url = ""
        self._settings = settings
        self._runner = asyncio.Runner()
        self._stop = asyncio.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="api-server")

    def __enter__(self) -> Server:
        self._thread.start()
        self._started.result(timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.get_loop().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._runner:
                self._runner.run(self._serve())
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with open_engine(self._settings, SystemClock()) as opened:
            app = create_app(
                opened.engine, opened.api, providers=opened.providers, metrics=opened.metrics
            )
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
            self._started.set_result(None)
            await self._stop.wait()
            await runner.cleanup()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a sandbox."""
    with Server(
        Settings(data=tmp_path_factory.mktemp("api"), sandbox=True, document_workers=0)
    ) as running:
        yield running


@pytest.fixture
def closed_server(tmp_path: Path) -> Iterator[Server]:
    """A server without a sandbox."""
    with Server(Settings(data=tmp_path)) as running:
        yield running


@pytest.fixture
def anonymous(server: Server) -> Iterator[Api]:
    """The server as seen without a key."""
    api = Api(server.url, None)
    yield api
    api.close()


@pytest.fixture
def api(server: Server, anonymous: Api) -> Iterator[Api]:
    """A fresh organization whose clock stands at noon of 2024-03-15 (UTC)."""
    made = anonymous(
        "POST",
        "/test_clock/organizations",
        body={"organization": {"name": "Acme", "default_currency": "EUR"}},
    )
    organization = Api(server.url, made["api_key"])
    organization.set_clock("2024-03-15T12:00:00Z")
    yield organization
    organization.close()
