"""Server processes under measurement."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import world
from benchmarks.load import Target

START_WAIT_S: Final = 120
_LISTENS = re.compile(rb"listens on http://[\d.]+:(\d+)")


class Server:
    """A running server. started_s: from the start of its process until it listened."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, started_s: float) -> None:
        self.process = process
        self.target = Target(port, world.API_KEY)
        self.started_s = started_s

    def cpu_s(self) -> float:
        """Seconds of CPU the process has used; other work on the machine changes them less than it changes rates."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def engine(data: Path, *options: str) -> AsyncIterator[Server]:
    """`lago-engine serve` over a data directory."""
    script = Path(sys.executable).with_name("lago-engine")
    arguments = ["serve", "--data", str(data), "--port", "0", "--sandbox", "--log-level", "warning"]
    async with _running([str(script), *arguments, *options]) as server:
        yield server


@asynccontextmanager
async def floor() -> AsyncIterator[Server]:
    """The server that does nothing."""
    async with _running([sys.executable, "-m", "benchmarks.floor"]) as server:
        yield server


@asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncIterator[Server]:
    began = perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        port = await asyncio.wait_for(_port(process), START_WAIT_S)
        yield Server(process, port, perf_counter() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    async for line in process.stdout:
        if found := _LISTENS.search(line):
            return int(found[1])
    raise RuntimeError("the server ended before it listened")


async def run(*command: str, killed: bool = False) -> bytes:
    """The output of a command that must succeed, or must be killed in the end."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode != (-signal.SIGKILL if killed else 0):
        raise RuntimeError(f"{command} failed with {process.returncode}")
    return output


async def make_world(folder: Path, customers: int, events: int = 0) -> Path:
    """A data directory with customers and usage; made once per folder, each caller gets a copy."""
    made = folder / f"world_{customers}_{events}"
    if not made.exists():
        arguments = (str(made), str(customers), str(events))
        await run(sys.executable, "-m", "benchmarks.world", *arguments)
    copy = folder / "data"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(made, copy)
    return copy
