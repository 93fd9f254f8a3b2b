"""The hourly webhook `events.errors`: every hour of an organization's clock once, over restarts too (events.md §5.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from engine_kit import Home, Shop, instant, running

from lago_engine.clock import ManualClock

URL = "https://hooks.example.com"
FILTERS = [{"key": "region", "values": ["eu", "us"]}]
NOTHING: dict[str, Any] = {
    "invalid_code": [],
    "missing_aggregation_property": [],
    "missing_group_key": None,
    "invalid_filter_values": [],
}


async def founded(shop: Shop) -> Shop:
    await shop.found(webhook_url=URL)
    await shop.at("2024-03-01T10:00:00Z")
    await shop.metric("calls", filters=FILTERS)
    return await shop.metric("storage", "gb")


def reported(shop: Shop) -> list[dict[str, Any]]:
    """The lists of the webhooks sent so far."""
    rows = shop.engine.store.outbox.list(shop.id, 0, 1000)
    bodies = [msgspec.json.decode(row.payload) for row in rows]
    errors = [body for body in bodies if body["webhook_type"] == "events.errors"]
    assert all(body["object_type"] == "events_errors" for body in errors)
    return [body["events_errors"] for body in errors]


async def test_the_lists_of_one_hour(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        shop = await founded(Shop(opened))
        await shop.use("s", "calls", id="good", region="eu")
        await shop.use("s", "storage", id="number", gb="1.5")
        await shop.use("s", "unknown", id="tx-9")
        await shop.use("s", "storage", id="tx-3")
        await shop.use("other", "storage", id="tx-4", gb="1e3")
        await shop.use("other", "storage", id="tx-3", gb=None)
        await shop.use("s", "calls", id="tx-7", region="mars")
        await shop.advance_to("2024-03-01T11:04:59Z")
        assert reported(shop) == []
        await shop.advance_to("2024-03-01T11:05:00Z")
        expected = {
            "invalid_code": ["tx-9"],
            "missing_aggregation_property": ["tx-3", "tx-4"],
            "missing_group_key": None,
            "invalid_filter_values": ["tx-7"],
        }
        assert reported(shop) == [expected]
        await shop.advance_to("2024-03-03T00:00:00Z")
        assert reported(shop) == [expected]
    home.assert_sound()


async def test_every_hour_on_the_way_is_reported_at_its_time(tmp_path: Path) -> None:
    """given errors in several hours / when a virtual clock jumps over all / then one webhook each, in order"""
    home = Home(tmp_path)
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        shop = await founded(Shop(opened))
        for hour in (10, 12, 15):
            await shop.at(f"2024-03-01T{hour}:59:59Z")
            await shop.use("s", "nothing", id=f"at-{hour}")
        await shop.at("2024-03-01T16:00:00Z")
        assert reported(shop) == []
        await shop.engine.run_tasks(shop.id, ["usage_errors"])
        assert [each["invalid_code"] for each in reported(shop)] == [["at-10"], ["at-12"]]
        await shop.advance_to("2024-06-01")
        assert [each["invalid_code"] for each in reported(shop)] == [
            ["at-10"],
            ["at-12"],
            ["at-15"],
        ]
    home.assert_sound()


async def test_a_restart_neither_loses_nor_repeats_an_hour(tmp_path: Path) -> None:
    """given a server that was down over a full hour / then that hour is reported once, and the one before not again"""
    home, clock = Home(tmp_path), ManualClock(instant("2024-03-01T10:00:00Z"))

    async def poll(shop: Shop, when: str) -> None:
        clock.move_to(instant(when))
        await shop.engine.scheduler._run_due(shop.id)

    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await shop.found(webhook_url=URL)
        await shop.use("s", "nothing", id="ten")
        await poll(shop, "2024-03-01T11:05:00Z")
        await shop.use("s", "nothing", id="eleven")
        assert [each["invalid_code"] for each in reported(shop)] == [["ten"]]
    for _ in range(2):
        async with running(home, clock) as opened:
            shop = Shop(opened, clock=clock)
            await poll(shop, "2024-03-01T14:30:00Z")
            assert reported(shop) == [
                NOTHING | {"invalid_code": ["ten"]},
                NOTHING | {"invalid_code": ["eleven"]},
            ]
    home.assert_sound()


async def test_a_lost_cursor_repeats_no_webhook(tmp_path: Path) -> None:
    """given that how far the log was looked through is forgotten / then the facts still tell which hours are done"""
    home, clock = Home(tmp_path), ManualClock(instant("2024-03-01T10:00:00Z"))
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await shop.found(webhook_url=URL)
        await shop.use("s", "nothing", id="ten")
        clock.move_to(instant("2024-03-01T12:00:00Z"))
        await shop.engine.scheduler._run_due(shop.id)
        shop.engine.store.meta_put(f"usage_errors:{shop.id.hex}", b"0")
    async with running(home, clock) as opened:
        shop = Shop(opened, clock=clock)
        await shop.engine.scheduler._run_due(shop.id)
        assert len(reported(shop)) == 1
    home.assert_sound()


async def test_without_an_endpoint_nothing_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        shop = await Shop(opened).found()
        await shop.at("2024-03-01T10:00:00Z")
        await shop.use("s", "nothing")
        await shop.advance_to("2024-03-02")
        assert reported(shop) == []
        assert shop.engine.organization(shop.id).usage_errors_hour is None


async def test_a_clock_that_goes_back_lives_its_hours_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        shop = await founded(Shop(opened))
        await shop.use("s", "nothing", id="first")
        await shop.advance_to("2024-03-01T12:00:00Z")
        await shop.at("2024-03-01T10:30:00Z")
        await shop.use("s", "nothing", id="again")
        await shop.advance_to("2024-03-01T12:00:00Z")
        assert [each["invalid_code"] for each in reported(shop)] == [["first"], ["first", "again"]]
    home.assert_sound()
