"""Windows that a change made incomplete: folded in the background, waited for, never read half-folded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.store.port import Store


class SlowReads:
    """The store's segments, which nobody gets before the gate opens."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch) -> None:
        self._read = store.read_segments
        self.gate = threading.Event()
        self.asked = threading.Event()
        patch.setattr(store, "read_segments", self)

    def __call__(self, numbers: Sequence[int]) -> list[bytes]:
        self.asked.set()
        assert self.gate.wait(8)
        return self._read(numbers)


async def two_plans(shop: Shop) -> None:
    """`anna` and `ben` on one plan with a metric they used twice; `carl` on another."""
    await shop.metric("calls")
    await shop.metric("gb", "gb")
    await shop.plan("small", 1000, {"calls": "1"})
    await shop.plan("other", 1000, {"calls": "1"})
    for name, plan in (("anna", "small"), ("ben", "small"), ("carl", "other")):
        await shop.customer(name)
        await shop.subscribe(name, plan)
        await shop.use(name, "calls")
        await shop.use(name, "gb", gb=2)
    await shop.at("2024-01-02")


async def charge_gigabytes(shop: Shop) -> None:
    """Add a charge to the plan `small`: what was stored before counts, too."""
    state = shop.engine.organization(shop.id)
    kept = state.plans["small"].charges[0]
    charges: list[dict[str, Any]] = [
        {"id": str(kept.id), "billable_metric_id": str(kept.billable_metric_id),
         "charge_model": "standard", "properties": {"amount": "1"}},
        {"billable_metric_id": str(state.metrics["gb"].id), "charge_model": "standard",
         "properties": {"amount": "3"}},
    ]  # fmt: skip
    await shop.organization(c.UpdatePlan, code="small", input={"charges": charges})


async def until_folded(shop: Shop, windows: int) -> None:
    refolder = shop.engine.partition.refolder
    async with asyncio.timeout(10):
        while refolder.progress != (0, 0, windows):
            await asyncio.sleep(0.005)


async def test_a_change_of_a_plan_folds_its_windows_without_being_asked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await two_plans(shop)
        await charge_gigabytes(shop)
        # The next period's windows hold no usage, and stay complete.
        await until_folded(shop, windows=2)
        assert (await shop.usage("anna"))["amount_cents"] == 700
        assert (await shop.usage("carl"))["amount_cents"] == 100
        assert shop.engine.partition.refolder.progress.folded == 2
    home.assert_sound()


async def test_a_command_waits_for_its_window_and_only_its_customer_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await two_plans(shop)
        slow = SlowReads(shop.engine.store, monkeypatch)
        await charge_gigabytes(shop)
        ended = asyncio.create_task(
            shop.order(c.TerminateSubscription, "anna", external_id="anna", input={})
        )
        renamed = asyncio.create_task(shop.customer("anna", name="Anna"))
        asked = asyncio.create_task(shop.usage("ben"))
        while not slow.asked.is_set():
            await asyncio.sleep(0.005)
        # The others go on, usage of the waiting customer as well.
        await shop.customer("ben", name="Ben")
        await shop.subscribe("carl", "other", "carl-2")
        await shop.use("anna", "gb", at="2024-01-01T12:00:00Z", gb=1)
        assert [task for task in (ended, renamed, asked) if task.done()] == []
        assert [each["name"] for each in shop.documents("customer")] == [None, "Ben", None]
        slow.gate.set()
        await asyncio.gather(ended, renamed)
        assert (await asked)["amount_cents"] == 700
        (invoice,) = shop.invoices("anna")
        # In the order they came: the invoice does not know the new name yet, but all usage before it.
        assert invoice["customer"]["name"] is None
        fees = {fee["item"]["code"]: fee["amount_cents"] for fee in invoice["fees"]}
        assert (fees["calls"], fees["gb"]) == (100, 900)
        assert shop.documents("customer")[0]["name"] == "Anna"
    home.assert_sound()


async def test_what_was_asked_for_last_is_folded_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await two_plans(shop)
        names = [f"c{number}" for number in range(8)]
        for name in names:
            await shop.customer(name)
            await shop.subscribe(name, "small")
            await shop.use(name, "gb", gb=1)
        slow = SlowReads(shop.engine.store, monkeypatch)
        await charge_gigabytes(shop)
        order: list[str] = []

        async def ask(name: str) -> None:
            await shop.usage(name)
            order.append(name)

        tasks = []
        for name in (names[3], names[6]):
            tasks.append(asyncio.create_task(ask(name)))
            await asyncio.sleep(0.02)
        slow.gate.set()
        await asyncio.gather(*tasks)
        waiting = shop.engine.partition.refolder.progress.waiting
        assert order[0] == names[6] or waiting > 0
        await until_folded(shop, windows=10)
    home.assert_sound()


async def test_a_restart_goes_on_folding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    clock = ManualClock(instant("2024-01-01"))
    async with running(home, clock) as opened:
        shop = await Shop(opened).found()
        await two_plans(shop)
        slow = SlowReads(shop.engine.store, monkeypatch)
        await charge_gigabytes(shop)
        while not slow.asked.is_set():
            await asyncio.sleep(0.005)
        refolder = shop.engine.partition.refolder

        def open_when_stopping() -> None:
            while not refolder.stopping:
                time.sleep(0.005)
            slow.gate.set()

        opener = threading.Thread(target=open_when_stopping)
        opener.start()
    opener.join()
    assert refolder.progress.folded == 0
    async with running(home, clock) as opened:
        shop = Shop(opened)
        await until_folded(shop, windows=2)
        assert (await shop.usage("ben"))["amount_cents"] == 700
    home.assert_sound()
