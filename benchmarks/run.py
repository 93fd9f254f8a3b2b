"""`python -m benchmarks.run [PART ...]`: measure, print a table, write results/latest.json."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Final

import click
import uvloop
from rich.console import Console

if not __package__:
    # Run as a script, the folder of this file is on the path instead of the one above it.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import (
    aggregations,
    busy,
    dedup,
    ingest,
    invoices,
    rating,
    replay,
    restart,
    segments,
    usage,
)
from benchmarks.report import Result, describe_machine, save, show

PARTS: Final[Mapping[str, Callable[[Path], AsyncIterator[Result]]]] = {
    "ingest": ingest.measure,
    "replay": replay.measure,
    "invoices": invoices.measure,
    "usage": usage.measure,
    "segments": segments.measure,
    "rating": rating.measure,
    "aggregations": aggregations.measure,
    "busy": busy.measure,
    "dedup": dedup.measure,
    "restart": restart.measure,
}
PRINTED_COLUMNS: Final = 160
RESULTS: Final = Path(__file__).parent / "results" / "latest.json"


async def _measure(name: str, folder: Path) -> list[Result]:
    return [result async for result in PARTS[name](folder)]


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where data is written: the disk to measure.",
)
def main(parts: tuple[str, ...], directory: Path | None) -> None:
    """Measure PARTS (all when none is named)."""
    console = Console(width=None if sys.stdout.isatty() else PRINTED_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="lago-bench-", dir=directory) as folder:
        machine = describe_machine(Path(folder))
        for name in parts or PARTS:
            began = perf_counter()
            results = uvloop.run(_measure(name, Path(folder)))
            show(results, machine, console, f"{name} ({perf_counter() - began:.0f} s)")
            save(results, machine, RESULTS)


if __name__ == "__main__":
    main()
