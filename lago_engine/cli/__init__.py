"""The command line: the composition root of the program."""

from __future__ import annotations

import sys

import click

from lago_engine.cli.audit import explain, replay, verify
from lago_engine.cli.clock import clock
from lago_engine.cli.config import check, config
from lago_engine.cli.demo import demo
from lago_engine.cli.serve import serve
from lago_engine.cli.whatif import whatif
from lago_engine.errors import LagoError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lago-engine")
def cli() -> None:
    """Usage billing that speaks Lago's REST API, keeps every fact as an event and can prove every invoice."""


for command in (serve, demo, verify, replay, explain, whatif, clock, config, check):
    cli.add_command(command)


def main() -> None:
    """Run the program; what it raises on purpose becomes one clear line and exit code 1."""
    if not __debug__:
        sys.exit("lago-engine refuses to run without assertions (python -O)")
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except LagoError as error:
        click.echo(f"lago-engine: {error}", err=True)
        sys.exit(1)
