"""`lago-engine serve`: the server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import structlog
import uvloop
from aiohttp import web

from lago_engine.api.app import create_app
from lago_engine.bootstrap import Opened, open_engine
from lago_engine.cli.logs import configure_logging
from lago_engine.cli.options import loaded, store_options
from lago_engine.cli.starting import starting
from lago_engine.clock import SystemClock
from lago_engine.domain.commands import CreateOrganization
from lago_engine.errors import UnavailableError
from lago_engine.settings import Settings

log = structlog.get_logger(__name__)

STOP_WAIT_S = 30.0


@click.command()
@store_options
@click.option("--host", help="Address to listen on (default: 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (default: 3000; 0: any free one).")
@click.option("--sandbox", is_flag=True, default=None, help="Test organizations, virtual clocks.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--sync-delay-s", type=float, hidden=True)
def serve(config_file: Path | None, **flags: Any) -> None:
    """Run the server until it is told to stop (SIGINT, SIGTERM)."""
    settings = loaded(config_file, **flags).settings
    configure_logging(settings.log_level)
    uvloop.run(run_server(settings))


async def run_server(settings: Settings) -> None:
    """Serve until a signal comes or the engine fails; raises what it failed with."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        with starting() as progress:
            opened = await stack.enter_async_context(
                open_engine(settings, SystemClock(), progress=progress)
            )
        url = await stack.enter_async_context(listening(settings, opened))
        await first_organization(settings, opened)
        click.echo(f"lago_engine listens on {url}")
        await until_stopped(stop, opened)


def stop_on_signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def listening(settings: Settings, opened: Opened) -> Any:
    """The HTTP server over an engine; gives its URL."""
    app = create_app(opened.engine, opened.api, providers=opened.providers, metrics=opened.metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_WAIT_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {settings.host}:{settings.port}: {error}"
            ) from error
        port = runner.addresses[0][1]
        yield f"http://{settings.host}:{port}"
    finally:
        await runner.cleanup()


async def first_organization(settings: Settings, opened: Opened) -> None:
    """A store without organization gets one; its key is shown this once."""
    if opened.engine.partition.residents.organizations:
        return
    key = settings.api_key or str(uuid4())
    await opened.engine.execute(
        CreateOrganization(
            organization_id=uuid4(),
            input={"name": settings.organization_name},
            key_hash=sha256(key.encode()).hexdigest(),
            key_last_four=key[-4:],
            hmac_key=str(uuid4()),
        ),
        actor="setup",
    )
    shown = "as configured" if settings.api_key else f"{key}  (shown this once)"
    click.echo(f"Organization {settings.organization_name!r} was created. API key: {shown}")


async def until_stopped(stop: asyncio.Event, opened: Opened) -> None:
    """A partition that failed ends the server: what is not durable must not be served."""
    stopped = asyncio.create_task(stop.wait())
    failed = asyncio.create_task(opened.engine.partition.wait_failed())
    done, pending = await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if failed in done:
        raise UnavailableError(f"the engine stopped: {failed.result()!r}")
