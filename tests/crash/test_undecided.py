"""A commit whose fate the database does not tell ends the server, clearly; the log decides at the next start."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest
from crash.server import Client, Lost, Server, arguments
from engine_kit import Home

KEY = "5d3ab7c0-2f54-4a0e-8f7e-7a1f0c2f9b30"

PROGRAM = """
import errno
from lago_engine import bootstrap
from lago_engine.cli import main
from lago_engine.store import open_store

class Disk:
    def before_commit(self, batch): pass
    def after_commit(self, batch):
        if batch.segment is not None:
            raise OSError(errno.EIO, "Input/output error")

bootstrap.store_of = lambda settings: open_store(settings.data, None, faults=Disk())
main()
"""
"""The server on a disk that loses the confirmation of every commit with usage."""


async def test_the_server_ends_and_the_log_decides(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    home.data.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", PROGRAM, "serve", *arguments(home), "--port", "0",
        stdout=PIPE, stderr=PIPE, env=os.environ | {"LAGO_ENGINE_API_KEY": KEY},
    )  # fmt: skip
    server = Server(process)
    await server.ready()
    event = {"transaction_id": "e1", "external_subscription_id": "s", "code": "calls"}
    async with aiohttp.ClientSession() as http:
        call = Client(http, KEY)
        call.url = server.url
        with pytest.raises(Lost):
            await call.ok("POST", "/events", {"event": event})
        code, said = await server.ended()
        assert code == 1
        (line,) = [line for line in said.splitlines() if line.startswith("lago-engine: ")]
        assert "undecided" in line
        assert "Traceback" not in said

        again = await Server.start(home)
        call.url = again.url
        assert (await call("POST", "/events", {"event": event}))[0] == 422
        assert len(await call.everything("/events", "events")) == 1
        assert (await again.stop())[0] == 0
    assert home.assert_sound().usage_events == 1
