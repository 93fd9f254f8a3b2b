"""The index of seen usage events is a function of the log: right, or made again from it (promise 2)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from crash.faults import NOW, Disk, calls, engine_on
from engine_kit import Home, Shop, running
from structlog.testing import capture_logs

from lago_engine.clock import ManualClock
from lago_engine.errors import UnavailableError

SMALL = {"fingerprints_in_memory_max": 3}
EVENTS = 30
Logs = list[MutableMapping[str, Any]]


def index(home: Home) -> Path:
    return home.data / "index"


def runs(home: Home) -> list[Path]:
    return sorted(index(home).glob("*.run"))


async def use(shop: Shop, numbers: range) -> None:
    for number in numbers:
        await shop.use("acme", "calls", id=f"event {number}")


async def spilled(shop: Shop) -> None:
    """Move what memory holds to the index, as the background does."""
    shop.engine.partition.meter.spill(1)


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """Three runs, and a snapshot of the end."""
    home = Home(tmp_path / "data")
    async with engine_on(Disk(), home) as shop:
        for start in (0, 10):
            await use(shop, range(start, start + 10))
            await spilled(shop)
        await use(shop, range(20, EVENTS))
    assert len(runs(home)) == 3
    return home


async def assert_known(home: Home, events: int = EVENTS) -> Logs:
    """Every event is known once and no other; the log is sound. Gives what the engine said."""
    with capture_logs() as logs:
        async with running(home, ManualClock(NOW), **SMALL) as opened:
            shop = Shop(opened)
            stats = opened.engine.partition.meter.stats()
            assert (stats.events, stats.fingerprints) == (events, events)
            for number in range(events):
                status, _ = await shop.ingest([shop.event("acme", "calls", id=f"event {number}")])
                assert status == 422, number
            assert await calls(shop) == events
            await use(shop, range(events, events + 1))
    home.assert_sound()
    return logs


def reasons(logs: Logs) -> list[str]:
    return [log["reason"] for log in logs if log["event"] == "index_unusable"]


async def test_a_restart_knows_every_event(home: Home) -> None:
    assert reasons(await assert_known(home)) == []
    home.snapshot.unlink()
    assert reasons(await assert_known(home, EVENTS + 1)) == []


def first_run(home: Home) -> Path:
    return runs(home)[0]


def manifest(home: Home) -> Path:
    return index(home) / "manifest"


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Home], object], str | None]] = {
    "a run is missing": (lambda home: first_run(home).unlink(), "missing"),
    "a run is cut": (lambda home: first_run(home).write_bytes(b"x" * 100), "length"),
    "a run is empty": (lambda home: first_run(home).write_bytes(b""), "length"),
    "the header of a run": (lambda home: flipped(first_run(home), 12), "header"),
    "the filter of a run": (lambda home: flipped(first_run(home), -10), "filter"),
    "a run of another place": (
        lambda home: shutil.copy(runs(home)[1], first_run(home)), "header",
    ),
    "the manifest": (lambda home: flipped(manifest(home), 40), "manifest"),
    "the manifest is cut": (lambda home: manifest(home).write_bytes(b"LAG"), "manifest"),
    "the manifest is missing": (lambda home: manifest(home).unlink(), None),
    "everything is missing": (lambda home: shutil.rmtree(index(home)), None),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("with_snapshot", [True, False])
async def test_a_damaged_index_is_made_again(home: Home, damage: str, with_snapshot: bool) -> None:
    do, reason = DAMAGES[damage]
    do(home)
    if not with_snapshot:
        home.snapshot.unlink()
    logs = await assert_known(home)
    assert len(reasons(logs)) == (reason is not None)
    assert reason is None or reason in reasons(logs)[0]
    # It was made again for good.
    assert reasons(await assert_known(home, EVENTS + 1)) == []


async def test_a_damaged_block_stops_the_engine_before_it_guesses(home: Home) -> None:
    flipped(first_run(home), 70)
    async with running(home, ManualClock(NOW)) as opened:
        shop = Shop(opened)
        batch = [shop.event("acme", "calls", id=f"event {number}") for number in range(EVENTS)]
        with pytest.raises(UnavailableError):
            await shop.ingest(batch)
        with pytest.raises(UnavailableError):
            await shop.ingest([shop.event("acme", "calls", id="new")])
        assert opened.engine.partition.failed is not None
    await assert_known(home)


async def test_the_index_of_another_installation_is_not_used(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    async with engine_on(Disk(), other) as shop:
        await use(shop, range(3))
    shutil.rmtree(index(home))
    shutil.copytree(index(other), index(home))
    assert "secret" in reasons(await assert_known(home))[0]


async def test_an_index_ahead_of_a_restored_backup_is_not_used(home: Home, tmp_path: Path) -> None:
    backup = Home(tmp_path / "backup")
    shutil.copytree(home.data, backup.data)
    async with running(home, ManualClock(NOW)) as opened:
        await use(Shop(opened), range(EVENTS, EVENTS + 5))
    shutil.rmtree(index(backup))
    shutil.copytree(index(home), index(backup))
    assert reasons(await assert_known(backup)) == ["not of this log"]


async def test_an_index_of_a_log_that_went_on_differently_is_not_used(
    home: Home, tmp_path: Path
) -> None:
    backup = Home(tmp_path / "backup")
    shutil.copytree(home.data, backup.data)
    async with running(home, ManualClock(NOW)) as opened:
        await use(Shop(opened), range(1000, 1005))
    async with running(backup, ManualClock(NOW)) as opened:
        await use(Shop(opened), range(EVENTS, EVENTS + 10))
    shutil.rmtree(index(backup))
    shutil.copytree(index(home), index(backup))
    assert reasons(await assert_known(backup, EVENTS + 10)) == ["not of this log"]


async def test_an_old_index_catches_up(home: Home, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(index(home), old)
    async with running(home, ManualClock(NOW)) as opened:
        await use(Shop(opened), range(EVENTS, EVENTS + 5))
    shutil.rmtree(index(home))
    shutil.copytree(old, index(home))
    assert reasons(await assert_known(home, EVENTS + 5)) == []


async def test_the_index_may_be_ahead_of_the_snapshot(home: Home) -> None:
    """A spill came after the snapshot, and the process was killed."""
    snapshot = home.snapshot.read_bytes()
    async with running(home, ManualClock(NOW)) as opened:
        await use(Shop(opened), range(EVENTS, EVENTS + 5))
    home.snapshot.write_bytes(snapshot)
    assert reasons(await assert_known(home, EVENTS + 5)) == []


async def test_memory_stays_small_while_the_engine_runs(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    async with engine_on(Disk(), home, **SMALL) as shop:
        meter = shop.engine.partition.meter
        for start in range(0, 40, 10):
            await use(shop, range(start, start + 10))
            await until(lambda: meter.stats().fingerprints_in_memory < 3)
        await until(lambda: meter.stats().fingerprint_runs < 4)
        assert meter.stats().fingerprints == 40
    await assert_known(home, 40)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.02)


async def test_an_index_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    with capture_logs() as logs:
        async with engine_on(Disk(), home, **SMALL) as shop:
            meter = shop.engine.partition.meter
            shutil.rmtree(index(home))
            await use(shop, range(5))
            await until(lambda: any(log["event"] == "index_not_written" for log in logs))
            assert meter.stats().fingerprints_in_memory == 5
            status, _ = await shop.ingest([shop.event("acme", "calls", id="event 0")])
            assert status == 422
            index(home).mkdir()
            await until(lambda: meter.stats().fingerprints_in_memory < 3)
    await assert_known(home, 5)


def test_audits_leave_the_index_alone(home: Home) -> None:
    shutil.rmtree(index(home))
    home.assert_sound()
    assert not index(home).exists()
