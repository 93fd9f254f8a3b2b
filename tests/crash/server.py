"""A server as users start it: a process of its own, which tests may kill."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any
from unittest.mock import patch

import aiohttp
from engine_kit import Home

from lago_engine.cli import main

READY = "listens on "
PROGRAM = (sys.executable, "-P", "-c", "from lago_engine.cli import main; main()")
START_S, STOP_S = 30, 30

LAUNCHED: list[int] = []
"""Process ids of servers that nobody has seen end."""


def arguments(home: Home) -> list[str]:
    database = ["--database", home.url] if home.url else []
    return ["--data", str(home.data), *database]


def run(home: Home, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the program to its end."""
    return subprocess.run(
        [*PROGRAM, command, *arguments(home), *more],
        capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip


def run_here(home: Home, command: str) -> tuple[int, str]:
    """Run one command of the program in this process: (exit code, what it wrote)."""
    wrote = io.StringIO()
    argv = ["lago-engine", command, *arguments(home)]
    with (
        patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(wrote),
        contextlib.redirect_stderr(wrote),
    ):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), wrote.getvalue()
    return 0, wrote.getvalue()


class Server:
    """`lago-engine serve` over a home, on a port of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.url = ""
        LAUNCHED.append(process.pid)

    @classmethod
    async def launch(cls, home: Home, **environment: str) -> Server:
        """A server that has begun to start."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "serve", *arguments(home), "--port", "0", "--sandbox", "--log-level", "warning",
            stdout=PIPE, stderr=PIPE, env=os.environ | environment,
        )  # fmt: skip
        return cls(process)

    @classmethod
    async def start(cls, home: Home, **environment: str) -> Server:
        server = await cls.launch(home, **environment)
        await server.ready()
        return server

    async def ready(self) -> None:
        """Wait until it takes requests."""
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            async for line in self._process.stdout:
                _, found, url = line.decode().strip().partition(READY)
                if found:
                    self.url = url
                    return
        raise AssertionError(f"the server did not start: {await self.ended()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        LAUNCHED.remove(self._process.pid)

    async def stop(self) -> tuple[int, str]:
        """SIGTERM, and wait for the end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        """(exit code, what it wrote to stderr), once it has ended."""
        _, stderr = await asyncio.wait_for(self._process.communicate(), STOP_S)
        assert self._process.returncode is not None
        LAUNCHED.remove(self._process.pid)
        return self._process.returncode, stderr.decode()


class Client:
    """Calls a server over HTTP. `Lost` when the server went away or could not take the request."""

    def __init__(self, http: aiohttp.ClientSession, key: str | None = None) -> None:
        self._http = http
        self.url = ""
        self.key = key

    async def __call__(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        try:
            async with self._http.request(
                method, f"{self.url}/api/v1{path}", json=body, params=query, headers=headers
            ) as answer:
                shown = await answer.json() if answer.content_length else None
                if answer.status in (429, 503):
                    raise Lost(f"{answer.status}")
                return answer.status, shown
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise Lost(repr(error)) from error

    async def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer of a request that must be granted."""
        status, shown = await self(method, path, body, query)
        assert status == 200, (method, path, status, shown)
        return shown

    async def everything(self, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a list."""
        found: list[dict[str, Any]] = []
        page: int | None = 1
        while page is not None:
            shown = await self.ok("GET", path, page=page, per_page=1000, **query)
            found += shown[name]
            page = shown["meta"]["next_page"]
        return found


class Lost(Exception):
    """Nobody knows whether the request was granted."""
