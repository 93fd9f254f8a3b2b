"""The database goes away under load and comes back: 503 meanwhile, and then everything is as promised."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import postgres
import psycopg
import pytest
from crash.faults import Disk, calls, engine_on
from engine_kit import Home, Shop

from lago_engine.errors import UnavailableError

pytestmark = pytest.mark.postgres

OUTAGE_S = 1.5
REFUSED_WITHIN_S = 15


@pytest.fixture
def cluster() -> Iterator[postgres.Cluster]:
    """A server of this test's own, to stop."""
    reason = postgres.missing()
    if reason:
        pytest.skip(reason)
    with postgres.cluster() as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
            conn.execute("CREATE DATABASE billing")
        yield server


class Sender:
    """A client that sends single events and keeps what it was promised."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.promised: list[str] = []
        self.refused: list[str] = []
        self._shop = shop
        self._name = name

    async def send(self, until: asyncio.Event) -> None:
        number = 0
        while not until.is_set():
            number += 1
            name = f"{self._name}{number}"
            try:
                status, _ = await self._shop.ingest([self._shop.event("acme", "calls", id=name)])
            except UnavailableError as error:
                assert error.status in (429, 503)
                self.refused.append(name)
                await asyncio.sleep(0.02)
            else:
                assert status == 200
                self.promised.append(name)


async def rename(shop: Shop, until: asyncio.Event) -> set[str]:
    """A client that renames a customer all the time; what its name may be in the end."""
    possible, number = set[str](), 0
    while not until.is_set():
        number += 1
        try:
            await shop.customer("other", name=f"Name {number}")
            possible = {f"Name {number}"}
        except UnavailableError:
            possible.add(f"Name {number}")
        await asyncio.sleep(0.01)
    return possible


async def create(shop: Shop, until: asyncio.Event) -> list[str]:
    """A client whose customers are not in memory: each command has to read first."""
    promised, number = list[str](), 0
    while not until.is_set():
        number += 1
        try:
            await shop.customer(f"c{number}")
            promised.append(f"c{number}")
        except UnavailableError:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
    return promised


async def test_an_outage_under_load(cluster: postgres.Cluster, tmp_path: Path) -> None:
    home = Home(tmp_path, cluster.url("billing"))
    done = asyncio.Event()
    async with engine_on(Disk(), home, snapshot_every_s=1) as shop:
        senders = [Sender(shop, name) for name in "abcd"]
        working = [asyncio.create_task(sender.send(done)) for sender in senders]
        renaming = asyncio.create_task(rename(shop, done))
        creating = asyncio.create_task(create(shop, done))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(cluster.stop)
        await asyncio.sleep(OUTAGE_S)
        before = [len(sender.promised) for sender in senders]
        await asyncio.to_thread(cluster.start)
        await asyncio.sleep(2)
        done.set()
        await asyncio.gather(*working)
        names, created = await asyncio.gather(renaming, creating)
        # It works again, without a restart.
        assert shop.engine.partition.failed is None
        assert [len(sender.promised) for sender in senders] > before
        promised = {i for sender in senders for i in sender.promised}
        refused = {i for sender in senders for i in sender.refused}
        stored = [event["transaction_id"] for event in await shop.stored_events()]
        assert len(stored) == len(set(stored)) == await calls(shop)
        assert promised <= set(stored) <= promised | refused
        for missing in sorted(refused):
            status, _ = await shop.ingest([shop.event("acme", "calls", id=missing)])
            assert status == (422 if missing in stored else 200)
        assert await calls(shop) == len(promised | refused)
        customers = {d["external_id"]: d for d in shop.documents("customer")}
        assert customers["other"]["name"] in names
        assert set(created) <= set(customers)
        serials = sorted(customer["sequential_id"] for customer in customers.values())
        assert serials == list(range(1, len(customers) + 1))
    home.assert_sound()


async def test_requests_during_an_outage_are_refused(
    cluster: postgres.Cluster, tmp_path: Path
) -> None:
    home = Home(tmp_path, cluster.url("billing"))
    async with engine_on(Disk(), home) as shop:
        await shop.use("acme", "calls", id="before")
        await asyncio.to_thread(cluster.stop)
        for request in (
            shop.ingest([shop.event("acme", "calls", id="e0")]),
            shop.customer("acme", name="New"),
            shop.customer("unknown"),
            shop.advance_to("2024-04-01"),
            shop.stored_events(),
        ):
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(request, REFUSED_WITHIN_S)
        # What is in memory can still be read.
        assert await calls(shop) == 1
        await asyncio.to_thread(cluster.start)
        assert (await shop.ingest([shop.event("acme", "calls", id="e0")]))[0] == 200
        assert await calls(shop) == 2
        await shop.customer("acme", name="New")
        await shop.advance_to("2024-04-01")
        assert len(shop.invoices()) == 2
    home.assert_sound()
