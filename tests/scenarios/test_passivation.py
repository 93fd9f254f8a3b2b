"""Customers leave memory and come back with the state they had, from a snapshot and the facts after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine_kit import Home, Shop, instant, running

from lago_engine.actors.residents import SNAPSHOT_EVERY
from lago_engine.bootstrap import CUSTOMERS_RESIDENT_MIN
from lago_engine.clock import ManualClock
from lago_engine.domain import ids


async def test_a_busy_customer_leaves_and_returns(tmp_path: Path) -> None:
    home = Home(tmp_path)
    clock = ManualClock(instant("2024-01-01"))
    async with running(home, clock, customers_resident_max=1) as opened:
        shop = await Shop(opened).found()
        partition = shop.engine.partition
        await shop.at("2024-01-01T00:00:00Z")
        await shop.metric("calls")
        await shop.plan("basic", 1000, {"calls": "0.5"})
        await shop.customer("busy")
        await shop.subscribe("busy", "basic")
        for n in range(SNAPSHOT_EVERY):
            await shop.customer("busy", name=f"name {n}")
        busy = ids.customer_id(shop.id, "busy")
        before = partition.residents.get(busy)
        assert before.saved_version == 0

        # As many others as memory holds push it out; the commit after that saves it.
        await asyncio.gather(
            *(shop.customer(f"other-{n}") for n in range(CUSTOMERS_RESIDENT_MIN + 1))
        )
        await shop.customer("one more")
        assert busy not in partition.residents
        assert len(partition.residents) == CUSTOMERS_RESIDENT_MIN

        # Usage goes on without it, in windows that stayed open.
        await shop.use("busy", "calls")
        returned = partition.residents.load(busy)
        assert returned.state == before.state
        assert returned.version == returned.saved_version == before.version
        usage = await shop.usage("busy")
        assert usage["charges_usage"][0]["units"] == "1.0"
        await shop.advance_to("2024-02-02T00:00:00Z")
        assert [i["total_amount_cents"] for i in shop.invoices("busy")] == [1050]
    home.assert_sound()
