"""`lago-engine clock`: move the virtual clock of a test organization over HTTP."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click
from rich.console import Console

from lago_engine.cli.options import json_option
from lago_engine.errors import UnavailableError

_SPAN = re.compile(r"(?P<count>[0-9]+)(?P<unit>[hdwmy])")
_DAYS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group()
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="The server.")
@click.option(
    "--api-key", envvar="LAGO_API_KEY", required=True, help="Key of the test organization."
)
@click.pass_context
def clock(context: click.Context, url: str, api_key: str) -> None:
    """Look at or move a test organization's clock (the server runs with --sandbox)."""
    context.obj = (url.rstrip("/"), api_key)


@clock.command()
@json_option
@click.pass_obj
def show(target: tuple[str, str], as_json: bool) -> None:
    """Print the clock."""
    _print(_call(target, "GET", "test_clock", None)["test_clock"], as_json)


@clock.command("set")
@click.argument("now")
@click.option("--rewind", is_flag=True, help="Allow an earlier instant.")
@json_option
@click.pass_obj
def set_clock(target: tuple[str, str], now: str, rewind: bool, as_json: bool) -> None:
    """Set and freeze the clock at NOW (ISO 8601); nothing runs because of it."""
    body = {"test_clock": {"now": now, "rewind": rewind}}
    _print(_call(target, "PUT", "test_clock", body)["test_clock"], as_json)


@clock.command()
@click.argument("to")
@json_option
@click.pass_obj
def advance(target: tuple[str, str], to: str, as_json: bool) -> None:
    """Move forward TO an instant, or by a span such as 10d, 3w, 1m, 1y, through everything due."""
    now = _call(target, "GET", "test_clock", None)["test_clock"]["now"]
    goal = _goal(datetime.fromisoformat(now), to)
    body = {"test_clock": {"to": goal.isoformat()}}
    with Console(stderr=True).status(f"advancing to {goal:%Y-%m-%d %H:%M} UTC …"):
        answer = _call(target, "POST", "test_clock/advance", body)["test_clock"]
    _print(answer, as_json)


def _goal(now: datetime, to: str) -> datetime:
    """`to` as an instant; a span of months or years keeps the day where the month has it."""
    match = _SPAN.fullmatch(to)
    if match is None:
        try:
            goal = datetime.fromisoformat(to)
        except ValueError as error:
            raise click.BadParameter(f"{to!r} is neither an instant nor a span") from error
        return goal.replace(tzinfo=UTC) if goal.tzinfo is None else goal
    count, unit = int(match["count"]), match["unit"]
    if unit in _DAYS:
        return now + count * _DAYS[unit]
    months = now.year * 12 + now.month - 1 + count * (12 if unit == "y" else 1)
    day = now.day
    while True:
        try:
            return now.replace(year=months // 12, month=months % 12 + 1, day=day)
        except ValueError:
            day -= 1


def _call(target: tuple[str, str], method: str, path: str, body: Any) -> Any:
    url, key = target
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is not an http(s) URL")
    request = Request(  # noqa: S310 - the scheme is checked above.
        f"{url}/api/v1/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urlopen(request) as response:  # noqa: S310 - as above.
            return json.load(response)
    except HTTPError as error:
        raise UnavailableError(f"{url} answered {error.code}: {error.read().decode()}") from error
    except URLError as error:
        raise UnavailableError(f"{url} cannot be reached: {error.reason}") from error


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
        return
    for name, value in answer.items():
        click.echo(f"{name}: {value}")
