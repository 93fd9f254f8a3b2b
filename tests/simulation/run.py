"""Simulate until a seed fails: `make simulate`, `make simulate SEED=7 CUSTOMERS=70 YEARS=3`.

Prints each seed with what happened in it. A seed that fails is printed with its error and fails again when given.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.simulator import Simulation


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=None, help="only this one")
    arguments.add_argument("--seeds", type=int, default=20, help="how many, from 1")
    arguments.add_argument("--customers", type=int, default=24)
    arguments.add_argument("--years", type=float, default=3)
    given = arguments.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    seeds = itertools.count(1) if given.seed is None else [given.seed]
    for seed in itertools.islice(seeds, given.seeds):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as data:
            world = Simulation(seed, Path(data), customers=given.customers, years=given.years)
            asyncio.run(world.run())
        took = time.monotonic() - started
        invoices = len(world.ledger.invoices)
        print(f"seed {seed}: {invoices} invoices in {took:.1f} s, {dict(world.done)}", flush=True)


if __name__ == "__main__":
    main()
