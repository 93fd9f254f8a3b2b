"""A server under load is killed again and again: what it acknowledged is counted once, what it billed is billed once.

Each restart is followed by a comparison of the whole usage, billed and running, with what the clients were
promised before; at the end the log must verify, replay to the same state, and its periods must join.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from crash.load import Clients
from crash.server import Server, run
from engine_kit import Home

from lago_engine.metering import scan_events
from lago_engine.store.documents import Query
from lago_engine.store.port import USAGE_SEGMENT_TOPIC

KILLS = 20
LOAD_S = (0.05, 0.6)
EARLY_KILLS = 4
STARTING_S = (0.2, 1.0)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Home(tmp_path / "data", url)


@pytest.mark.timeout(240)
async def test_killed_twenty_times(home: Home) -> None:
    chance = random.Random(20240229)
    early = set(chance.sample(range(1, KILLS), EARLY_KILLS))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        clients = Clients(http, chance)
        for number in range(KILLS):
            server = await Server.launch(
                home,
                LAGO_ENGINE_SNAPSHOT_EVERY_S="1",
                LAGO_ENGINE_FINGERPRINTS_IN_MEMORY_MAX="100",
            )
            if number in early:  # Killed while it recovers, or soon after.
                await asyncio.sleep(chance.uniform(*STARTING_S))
                await server.kill()
                continue
            await server.ready()
            clients.call.url = server.url
            await (clients.set_up() if number == 0 else check(clients))
            working = asyncio.create_task(clients.work())
            await asyncio.wait([working], timeout=chance.uniform(*LOAD_S))
            await server.kill()
            await working
        server = await Server.start(home)
        clients.call.url = server.url
        await check(clients)
        await clients.call.ok("POST", "/test_clock/run", {"test_clock": {"tasks": []}})
        invoices = await clients.call.everything("/invoices", "invoices")
        assert (await server.stop())[0] == 0
    assert clients.events > 2_000
    assert clients.advances > KILLS
    assert_billed_once(invoices)
    assert_whole(home, clients)
    assert run(home, "verify").returncode == 0
    assert run(home, "replay").returncode == 0


async def check(clients: Clients) -> None:
    """Nothing is lost and nothing counts twice, before and after the clients have sent again what they must."""
    await clients.advance(0)
    before = await clients.counted()
    unsure: Counter[tuple[str, str]] = Counter()
    for event in itertools.chain.from_iterable(clients.unanswered):
        unsure[event.subscription, event.code] += event.quantity
    assert clients.promised - before == Counter(), "lost"
    assert before - clients.promised - unsure == Counter(), "counted twice"
    await clients.resolve()
    assert await clients.counted() == clients.promised


def assert_billed_once(invoices: list[dict[str, Any]]) -> None:
    """Numbers without a gap or a duplicate; every invoice paid, and paid once."""
    by_customer = defaultdict(list)
    for invoice in invoices:
        by_customer[invoice["customer"]["external_id"]].append(invoice["sequential_id"])
        assert invoice["payment_status"] == "succeeded"
        assert invoice["total_paid_amount_cents"] == invoice["total_amount_cents"]
    for numbers in by_customer.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def assert_whole(home: Home, clients: Clients) -> None:
    """Periods join without gap or overlap; each usage event and each payment is there once."""
    store = home.store(read_only=True)
    try:
        organization_id = clients.organization_id
        everything = Query(order=(("position", "asc"),), limit=1_000_000)
        bodies, _ = store.documents.list(organization_id, "invoice", everything)
        windows = defaultdict(list)
        for body in bodies:
            for period in msgspec.json.decode(body)["billing_periods"]:
                if period["invoicing_reason"] != "subscription_starting":
                    windows[period["lago_subscription_id"]].append(
                        (
                            datetime.fromisoformat(period["charges_from_datetime"]),
                            datetime.fromisoformat(period["charges_to_datetime"]),
                        )
                    )
        for spans in windows.values():
            for (_, end), (start, _) in itertools.pairwise(sorted(spans)):
                assert start == end + timedelta(seconds=1)
        payments, _ = store.documents.list(organization_id, "payment", everything)
        paid = [msgspec.json.decode(body)["invoice_ids"][0] for body in payments]
        assert len(paid) == len(set(paid)) == len(bodies)
        segments = [row.state for row in store.read_log(0, 1_000_000, (USAGE_SEGMENT_TOPIC,))]
        total, listed = scan_events(organization_id, segments, limit=1_000_000)
        ids = [event["transaction_id"] for event in msgspec.json.decode(listed)]
        assert total == len(ids) == len(set(ids)) == clients.events
    finally:
        store.close()
