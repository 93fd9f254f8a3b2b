"""Usage is durable before its fee is: whatever ends the engine in between, each event is billed exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from crash.server import Client, Server
from engine_kit import Home

from lago_engine.store.documents import Query

EVENTS = 60
ORGANIZATION = {"organization": {"name": "Acme", "default_currency": "EUR"}}


async def set_up(call: Client) -> UUID:
    """An organization with a charge in advance on a count; its id."""
    made = await call.ok("POST", "/test_clock/organizations", ORGANIZATION)
    call.key = made["api_key"]
    metric = {"code": "calls", "name": "Calls", "aggregation_type": "count_agg"}
    known = await call.ok("POST", "/billable_metrics", {"billable_metric": metric})
    charge = {
        "billable_metric_id": known["billable_metric"]["lago_id"],
        "charge_model": "standard",
        "pay_in_advance": True,
        "invoiceable": False,
        "properties": {"amount": "0.5"},
    }
    plan = {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": [charge],
    }
    await call.ok("POST", "/plans", {"plan": plan})
    await call.ok("POST", "/customers", {"customer": {"external_id": "acme"}})
    subscription = {"external_customer_id": "acme", "plan_code": "pro", "external_id": "acme"}
    await call.ok("POST", "/subscriptions", {"subscription": subscription})
    return UUID(made["organization"]["lago_id"])


def events(first: int, count: int) -> dict[str, Any]:
    return {
        "events": [
            {"transaction_id": f"t{n}", "external_subscription_id": "acme", "code": "calls"}
            for n in range(first, first + count)
        ]
    }


def billed(home: Home, organization_id: UUID) -> list[str]:
    """Transaction ids of the fees in the store."""
    store = home.store(read_only=True)
    try:
        bodies, _ = store.documents.list(organization_id, "fee", Query(limit=1_000_000))
    finally:
        store.close()
    return sorted(msgspec.json.decode(body)["event_transaction_id"] for body in bodies)


@pytest.mark.timeout(120)
async def test_killed_between_usage_and_fees(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    between = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        call = Client(http)
        server = await Server.start(home)
        call.url = server.url
        organization_id = await set_up(call)
        for round_ in range(3):
            sending = asyncio.create_task(
                call("POST", "/events/batch", events(round_ * EVENTS, EVENTS))
            )
            # The batch is stored by one commit and billed by several after it.
            stored = 0
            while not stored and not sending.done():
                await asyncio.sleep(0.002)
                stored = len(billed(home, organization_id))
            await server.kill()
            await asyncio.gather(sending, return_exceptions=True)
            between += len(billed(home, organization_id)) < (round_ + 1) * EVENTS
            server = await Server.start(home)
            call.url = server.url
            # A repetition of the batch changes nothing, and the rest is billed by itself.
            await asyncio.gather(
                call("POST", "/events/batch", events(round_ * EVENTS, EVENTS)),
                return_exceptions=True,
            )
            await call.ok("POST", "/test_clock/run", {"test_clock": {"tasks": []}})
            sent = sorted(f"t{n}" for n in range((round_ + 1) * EVENTS))
            assert billed(home, organization_id) == sent
        assert (await server.stop())[0] == 0
    assert between, "no kill fell between the usage and its fees"
    home.assert_sound()
