"""`lago-engine config show` and `lago-engine check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lago_engine.cli.options import json_option, loaded, store_options
from lago_engine.payments.registry import ProviderRegistry
from lago_engine.payments.simulated import SimulatedProvider
from lago_engine.projecting.inline import find_projections


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@store_options
@json_option
def show(config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Print every setting with the origin of its value."""
    values = loaded(config_file, **flags).shown()
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    table = Table("setting", "value", "origin")
    for name, entry in values.items():
        table.add_row(name, str(entry["value"]), entry["origin"])
    Console().print(table)


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Print which projections and payment providers are installed; exit 1 when some are missing."""
    projections = find_projections()
    registry = ProviderRegistry.discover(built_in=[SimulatedProvider])
    registry.load_all()
    found = {
        "projections": [projection.name for projection in projections.projections],
        "missing_document_kinds": list(projections.missing_kinds),
        "payment_providers": list(registry.codes()),
        "failures": {**projections.failures, **registry.failures},
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            click.echo(f"{name}: {value or 'none'}")
        if projections.missing_kinds:
            click.echo("Install lago-projections: pip install ./projections")
    if projections.missing_kinds or found["failures"]:
        raise SystemExit(1)
