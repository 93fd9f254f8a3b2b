"""Deciding many commands does not hold up everybody else: a tick ends, commits, and the rest follows in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine_kit import Home, sandbox

COMMANDS = 600


async def test_more_commands_than_one_tick_decides(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        commits_before = shop.engine.partition.meter.commit_head[0]
        await asyncio.gather(*(shop.customer(f"c{n}", name=f"n{n}") for n in range(COMMANDS)))
        commits = shop.engine.partition.meter.commit_head[0] - commits_before
        customers = shop.documents("customer")
        # Without a budget one or two ticks would have taken them all; answered one by one: 600.
        assert 2 < commits < COMMANDS
        assert {c["external_id"]: c["name"] for c in customers} == {
            f"c{n}": f"n{n}" for n in range(COMMANDS)
        }
        assert [
            c["sequential_id"] for c in sorted(customers, key=lambda c: c["sequential_id"])
        ] == [*range(1, COMMANDS + 1)]
    home.assert_sound()
