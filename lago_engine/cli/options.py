"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lago_engine.settings import Loaded, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def store_options(command: F) -> F:
    """--data, --database, --config: where the store is."""
    command = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="TOML file with settings."
    )(command)
    command = click.option(
        "--database", metavar="URL", help="PostgreSQL URL; default: SQLite in the data directory."
    )(command)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Directory of the store, snapshots and files (default: lago-data).",
    )(command)


def json_option(command: F) -> F:
    """--json: machine-readable output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def loaded(config_file: Path | None, **flags: Any) -> Loaded:
    """Settings from these flags, the environment and the file."""
    return load_settings(flags, config_file)
