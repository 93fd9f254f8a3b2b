"""`lago-engine whatif`: recorded usage priced under another plan, beside a running server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.table import Table

from lago_engine.audit.whatif import Choice, Compared
from lago_engine.audit.whatif import whatif as compare
from lago_engine.bootstrap import event_codec, fingerprint_secret
from lago_engine.cli.audit import reading
from lago_engine.cli.options import json_option, store_options
from lago_engine.clock import SystemClock

_day = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])


@click.command()
@click.argument("plan_file", metavar="PLAN.json", type=click.Path(exists=True, path_type=Path))
@click.option("--since", type=_day, required=True, help="Periods that begin at or after (UTC).")
@click.option("--until", type=_day, help="Periods that begin before (UTC); default: now.")
@click.option("--customer", metavar="ID", help="Only this customer, by external id.")
@click.option("--plan", metavar="CODE", help="Only subscriptions on this plan.")
@click.option("--organization", type=click.UUID, help="Where the store holds several.")
@store_options
@json_option
def whatif(
    plan_file: Path,
    since: datetime,
    until: datetime | None,
    customer: str | None,
    plan: str | None,
    organization: UUID | None,
    config_file: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Price recorded usage under the plan in PLAN.json (as for POST /plans); writes nothing.

    Usage fees alone: base fees, minimums and taxes are left out.
    """
    choice = Choice(
        since=since.replace(tzinfo=UTC),
        until=until.replace(tzinfo=UTC) if until else SystemClock().now(),
        customer=customer,
        plan=plan,
        organization_id=organization,
    )
    given = _plan_in(plan_file)
    with reading(config_file, flags) as store:
        compared = compare(store, event_codec(), fingerprint_secret(store), given, choice)
    if as_json:
        click.echo(msgspec.json.encode(_as_json(compared)).decode())
    else:
        show_comparison(compared, Console())


def _plan_in(path: Path) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{path}: {error}") from None
    wrapped = given.get("plan")
    return wrapped if isinstance(wrapped, dict) else given


def _as_json(compared: Compared) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(compared),
        "customers": [
            msgspec.to_builtins(customer) | {"difference_cents": customer.difference_cents}
            for customer in compared.customers
        ],
        "present_amount_cents": compared.present_amount_cents,
        "new_amount_cents": compared.new_amount_cents,
        "difference_cents": compared.new_amount_cents - compared.present_amount_cents,
    }


def show_comparison(compared: Compared, console: Console) -> None:
    """Print a comparison for people; amounts in minor units."""
    title = f"Usage under {compared.plan}, in minor units of {compared.currency}"
    table = Table(title=title, title_justify="left", show_footer=True)
    present, new = compared.present_amount_cents, compared.new_amount_cents
    table.add_column("customer", footer="total")
    for name, total in (
        ("periods", sum(customer.periods for customer in compared.customers)),
        ("present", present),
        ("new", new),
        ("difference", new - present),
    ):
        table.add_column(name, footer=f"{total:,}", justify="right")
    for customer in compared.customers:
        table.add_row(
            customer.external_id,
            f"{customer.periods:,}",
            f"{customer.present_amount_cents:,}",
            f"{customer.new_amount_cents:,}",
            f"{customer.difference_cents:+,}",
        )
    console.print(table)
