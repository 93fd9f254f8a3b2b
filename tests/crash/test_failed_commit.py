"""A commit that fails leaves no trace, whoever was waiting for it (architecture §6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from crash.faults import NOW, Disk, calls, engine_on, trace
from engine_kit import Home, running

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.errors import UnavailableError
from lago_engine.store import CommitUndecided


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Home(tmp_path / "data", url)


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def test_a_full_disk_under_usage_commands_and_duplicates(home: Home, disk: Disk) -> None:
    async with engine_on(disk, home) as shop:
        await shop.use("acme", "calls", id="before")
        before = trace(shop)
        disk.hold()
        # Given a commit with usage and commands of all kinds …
        event = shop.event("acme", "calls", id="original")
        original = asyncio.create_task(shop.ingest([event, shop.event("other", "calls", id="o")]))
        orders = [
            asyncio.create_task(shop.customer("acme", name="New name")),
            asyncio.create_task(shop.customer("third")),
            asyncio.create_task(shop.tax("vat", "20")),
            asyncio.create_task(shop.metric("gb", "n")),
        ]
        await disk.holds()
        # … and duplicates of it while it is under way, alone and beside new usage.
        repeated = asyncio.create_task(shop.ingest([event]))
        mixed = asyncio.create_task(shop.ingest([shop.event("other", "calls", id="new"), event]))
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in (original, repeated, mixed, *orders))

        # When the disk is full.
        disk.fail()
        answers = await asyncio.gather(original, repeated, mixed, *orders, return_exceptions=True)
        assert [type(answer) for answer in answers] == [UnavailableError] * len(answers)
        assert {answer.status for answer in answers if isinstance(answer, UnavailableError)} == {
            503
        }

        # Then nothing has happened.
        assert trace(shop) == before
        assert (await calls(shop), await calls(shop, "other")) == (1, 0)
        assert [e["transaction_id"] for e in await shop.stored_events()] == ["before"]

        # And the same events and commands are accepted, once.
        assert (await shop.ingest([event]))[0] == 200
        assert (await shop.ingest([event]))[0] == 422
        assert (await shop.ingest([shop.event("other", "calls", id="o")]))[0] == 200
        assert (await calls(shop), await calls(shop, "other")) == (2, 1)
        await shop.customer("third")
        assert [d["sequential_id"] for d in shop.documents("customer")] == [1, 2, 3]
    home.assert_sound()


async def test_a_partial_batch_holds_only_with_its_commits(home: Home, disk: Disk) -> None:
    """given accepted and repeated events in flight / when the commit fails / then 503, and all of it can be sent again"""
    async with engine_on(disk, home) as shop:
        events = [shop.event("acme", "calls", id=name) for name in ("a", "b", "a")]
        disk.hold()
        original = asyncio.create_task(shop.ingest(events[:1]))
        await disk.holds()
        partial = asyncio.create_task(shop.ingest(events, partial=True))
        await asyncio.sleep(0.05)
        assert not partial.done()
        disk.fail()
        for answer in await asyncio.gather(original, partial, return_exceptions=True):
            assert isinstance(answer, UnavailableError)
            assert answer.status == 503
        # The new event was stored by the next commit or not; the answer to the same body tells.
        status, body = await shop.ingest(events, partial=True)
        assert status == 200
        assert [each["status"] for each in body["events"]] in (
            ["accepted", "accepted", "duplicate"],
            ["accepted", "duplicate", "duplicate"],
        )
        assert await calls(shop) == 2
    home.assert_sound()


async def test_usage_that_gathered_behind_a_failed_commit_is_stored(home: Home, disk: Disk) -> None:
    async with engine_on(disk, home) as shop:
        disk.hold()
        failing = asyncio.create_task(shop.ingest([shop.event("acme", "calls", id="a")]))
        await disk.holds()
        behind = asyncio.create_task(shop.ingest([shop.event("acme", "calls", id="b")]))
        order = asyncio.create_task(shop.customer("acme", name="Renamed"))
        await asyncio.sleep(0.05)
        disk.fail()
        with pytest.raises(UnavailableError):
            await failing
        assert (await behind)[0] == 200
        await order
        assert [e["transaction_id"] for e in await shop.stored_events()] == ["b"]
        assert await calls(shop) == 1
        assert shop.documents("customer")[0]["name"] == "Renamed"
    home.assert_sound()


async def test_failures_in_a_row_then_the_same_again(home: Home, disk: Disk) -> None:
    async with engine_on(disk, home) as shop:
        before = trace(shop)
        events = [shop.event("acme", "calls", id=f"e{n}") for n in range(50)]
        for _ in range(5):
            disk.fail()
            with pytest.raises(UnavailableError):
                await shop.ingest(events)
            disk.fail()
            with pytest.raises(UnavailableError):
                await shop.customer("third")
        assert trace(shop) == before
        assert (await shop.ingest(events))[0] == 200
        assert await calls(shop) == 50
    home.assert_sound()


async def test_a_failed_billing_is_repeated_and_bills_once(home: Home, disk: Disk) -> None:
    async with engine_on(disk, home) as shop:
        await shop.use("acme", "calls")
        await shop.at("2024-04-01T00:00:00Z")
        before = trace(shop)
        disk.fail()
        with pytest.raises(UnavailableError):
            await shop.advance_to("2024-04-01T00:00:00Z")
        assert trace(shop) == before
        assert shop.invoices() == []
        await shop.advance_to("2024-04-02T00:00:00Z")
        assert [i["number"] for i in shop.invoices()] == ["ACM-A5CE-001-001", "ACM-A5CE-002-001"]
        # 22 of 31 days and one call.
        assert [i["total_amount_cents"] for i in shop.invoices()] == [710 + 100, 710]
    home.assert_sound()


async def test_a_duplicate_is_answered_after_the_commit_of_its_original(
    home: Home, disk: Disk
) -> None:
    async with engine_on(disk, home) as shop:
        disk.hold()
        event = shop.event("acme", "calls")
        original = asyncio.create_task(shop.ingest([event]))
        await disk.holds()
        repeated = asyncio.create_task(shop.ingest([event]))
        await asyncio.sleep(0.1)
        assert not repeated.done()
        disk.release()
        assert (await original)[0] == 200
        assert (await repeated)[0] == 422
        assert await calls(shop) == 1


async def test_a_duplicate_of_sealed_and_of_open_usage_waits_for_both(
    home: Home, disk: Disk
) -> None:
    async with engine_on(disk, home) as shop:
        disk.hold()
        first, second = shop.event("acme", "calls", id="1"), shop.event("acme", "calls", id="2")
        sealed = asyncio.create_task(shop.ingest([first]))
        await disk.holds()
        waiting = asyncio.create_task(shop.ingest([second]))
        both = asyncio.create_task(shop.ingest([first, second]))
        await asyncio.sleep(0.05)
        disk.release()
        assert [(await task)[0] for task in (sealed, waiting, both)] == [200, 200, 422]
        assert await calls(shop) == 2


async def test_an_undecided_commit_ends_the_engine(tmp_path: Path, disk: Disk) -> None:
    home = Home(tmp_path)
    async with engine_on(disk, home) as shop:
        disk.lose_confirmation()
        event = shop.event("acme", "calls")
        with pytest.raises(UnavailableError):
            await shop.ingest([event])
        failed = await asyncio.wait_for(shop.engine.partition.wait_failed(), 5)
        assert isinstance(failed, CommitUndecided)
        for refused in (shop.ingest([event]), shop.customer("third")):
            with pytest.raises(UnavailableError):
                await refused
        ended = shop
    assert not ended.engine.store.healthy()
    # The log is the authority: the commit was durable, and a retry is a duplicate.
    async with running(home, ManualClock(NOW)) as opened:
        shop.engine = opened.engine
        assert (await shop.ingest([event]))[0] == 422
        assert await calls(shop) == 1
    home.assert_sound()


async def test_a_lost_confirmation_of_postgres_is_looked_up(
    postgres_url: str, tmp_path: Path, disk: Disk
) -> None:
    home = Home(tmp_path, postgres_url)
    async with engine_on(disk, home) as shop:
        disk.lose_confirmation()
        event = shop.event("acme", "calls")
        assert (await shop.ingest([event]))[0] == 200
        assert (await shop.ingest([event]))[0] == 422
        disk.lose_confirmation()
        await shop.order(c.UpsertCustomer, "acme", external_id="acme", input={"name": "Renamed"})
        assert shop.documents("customer")[0]["name"] == "Renamed"
    home.assert_sound()
