"""Random lives over years, with failures: three seeds of `make simulate`, 216 customer-years in all."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulation.simulator import Simulation


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_years_of_random_lives(tmp_path: Path, seed: int) -> None:
    world = Simulation(seed, tmp_path, customers=24, years=3)
    await world.run()
    # A world in which little happened proves little.
    assert len(world.ledger.invoices) > 800
    assert world.done["failed commit"] >= 5
    assert min(world.done[act] for act in ("_subscribe", "_update", "_terminate", "_move")) > 50
