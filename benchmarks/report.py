"""Figures, their floors, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from lago_engine.metering import BUILD_PROFILE

SYNC_SECONDS: Final = 0.5


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: the median of `runs` measurements, the extremes beside it.

    floor: the same work by something that does nothing else, in the same unit; ratio: value to floor.
    goal: what was aimed at; None: nothing.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    runs: int
    floor: float | None = None
    ratio: float | None = None
    goal: float | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        values: Sequence[float],
        *,
        floor: float | None = None,
        goal: float | None = None,
        note: str = "",
    ) -> Result:
        median = statistics.median(values)
        return cls(
            name=name,
            value=median,
            unit=unit,
            low=min(values),
            high=max(values),
            runs=len(values),
            floor=floor,
            ratio=median / floor if floor else None,
            goal=goal,
            note=note,
        )


class Machine(msgspec.Struct, frozen=True):
    """What the figures depend on. syncs_per_s: 4 KiB appended and synced, one after the other."""

    cpu: str
    cores: int
    kernel: str
    python: str
    rust_build: str
    syncs_per_s: int
    load_before: float


def describe_machine(folder: Path) -> Machine:
    """The machine, and the disk under `folder`."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return Machine(
        cpu=models[0] if models else platform.processor(),
        cores=os.cpu_count() or 0,
        kernel=platform.release(),
        python=platform.python_version(),
        rust_build=BUILD_PROFILE,
        load_before=os.getloadavg()[0],
        syncs_per_s=_syncs_per_second(folder / "sync-probe"),
    )


def _syncs_per_second(path: Path) -> int:
    count, began = 0, perf_counter()
    with path.open("wb", buffering=0) as file:
        while perf_counter() - began < SYNC_SECONDS:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return round(count / SYNC_SECONDS)


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(results: Sequence[Result], machine: Machine, console: Console, title: str) -> None:
    """Print everything as a table."""
    console.print(
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}, "
        f"{machine.syncs_per_s:,} syncs/s, load {machine.load_before:.1f}"
    )
    columns = ("what", "median", "unit", "min … max", "floor", "ratio", "goal", "note")
    table = Table(*columns, title=title, title_justify="left")
    for column in (1, 3, 4, 5, 6):
        table.columns[column].justify = "right"
    for result in results:
        table.add_row(
            result.name,
            number(result.value),
            result.unit,
            f"{number(result.low)} … {number(result.high)}",
            number(result.floor),
            number(result.ratio),
            number(result.goal),
            result.note,
        )
    console.print(table)


def save(results: Sequence[Result], machine: Machine, path: Path) -> None:
    """Write the results; those of parts that were not run now stay."""
    kept: list[Result] = []
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Saved).results
    fresh = {result.name for result in results}
    saved = Saved(machine, [old for old in kept if old.name not in fresh] + list(results))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(saved)) + b"\n")


class Saved(msgspec.Struct):
    """The file of results."""

    machine: Machine
    results: list[Result]
