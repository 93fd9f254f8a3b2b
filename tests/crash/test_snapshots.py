"""Snapshots are a cache beside the log: right, or not used (architecture §12; promise 5)."""

from __future__ import annotations

import shutil
from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crash.faults import NOW, Disk, calls, engine_on
from engine_kit import Home, Shop, running
from structlog.testing import capture_logs

from lago_engine.actors.snapshot import EngineSnapshot
from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c

CUSTOMERS = ("acme", "other", "third", "fourth")
Logs = list[MutableMapping[str, Any]]


async def reopened(home: Home) -> tuple[dict[str, Any], Logs]:
    """What an engine knows right after it has opened the home, and what it said; the home stays as it is."""
    copy = Home(home.data.with_name("copy"))
    shutil.copytree(home.data, copy.data)
    with capture_logs() as logs:
        async with running(copy, ManualClock(NOW)) as opened:
            known = await knowledge(Shop(opened))
    shutil.rmtree(copy.data)
    return known, logs


async def knowledge(shop: Shop) -> dict[str, Any]:
    partition = shop.engine.partition
    stats = partition.meter.stats()
    customers = [await shop.engine.customer(shop.id, name) for name in CUSTOMERS]
    usage = {
        (customer.profile.external_id, subscription.external_id): await shop.usage(
            customer.profile.external_id, subscription.external_id
        )
        for customer in customers
        if customer is not None
        for subscription in customer.subscriptions.values()
        if subscription.status == "active"
    }
    return {
        "customers": customers,
        "usage": usage,
        "organizations": dict(partition.residents.organizations),
        "webhooks": dict(partition.residents.outbox_sequences),
        "due": sorted(partition.due.entries()),
        "directory": {entry.id: entry for entry in partition.directory.entries()},
        "head": partition.meter.commit_head,
        "counts": (stats.events, stats.fingerprints, stats.subscriptions, stats.streams),
        "documents": {kind: shop.documents(kind) for kind in ("customer", "invoice", "fee")},
    }


async def first_half(home: Home) -> None:
    async with engine_on(Disk(), home) as shop:
        endpoint = {"webhook_url": "http://127.0.0.1:9/hook"}
        await shop.organization(c.CreateWebhookEndpoint, input=endpoint)
        await shop.customer("third", timezone="Asia/Tokyo")
        grace = {"invoice_grace_period": 5}
        await shop.customer("fourth", billing_configuration=grace)
        await shop.subscribe("third", "basic", subscription_at="2024-03-25T00:00:00Z")
        await shop.subscribe("fourth", "basic", billing_time="anniversary")
        for name in CUSTOMERS:
            await shop.use(name, "calls", id=f"{name}-1")


async def second_half(home: Home) -> None:
    """A tail of everything: usage, billing, a draft, a new plan version, an end, a new customer's start."""
    async with running(home, ManualClock(NOW)) as opened:
        shop = Shop(opened)
        for name in CUSTOMERS:
            await shop.use(name, "calls", id=f"{name}-2", at="2024-03-28T10:00:00Z")
        await shop.advance_to("2024-04-11T00:00:00Z")
        for name in CUSTOMERS:
            await shop.use(name, "calls", id=f"{name}-3")
        await shop.organization(c.UpdatePlan, code="basic", input={"invoice_display_name": "B"})
        await shop.order(c.TerminateSubscription, "other", external_id="other", input={})
        await shop.subscribe("other", "basic", "again")
        await shop.use("again", "calls", id="again-1")


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A log whose snapshot stands for its first half."""
    home = Home(tmp_path / "data")
    await first_half(home)
    old = home.snapshot.read_bytes()
    await second_half(home)
    home.snapshot.write_bytes(old)
    return home


def warnings(logs: Logs) -> list[str]:
    return [log["reason"] for log in logs if log["event"] == "snapshot_unusable"]


async def test_snapshot_and_tail_equal_the_whole_log(home: Home) -> None:
    from_snapshot, logs = await reopened(home)
    assert warnings(logs) == []
    home.snapshot.unlink()
    from_log, _ = await reopened(home)
    assert from_snapshot == from_log
    assert len(from_log["usage"]) == 4
    assert all(usage["amount_cents"] > 0 for usage in from_log["usage"].values())
    home.assert_sound()


async def test_what_comes_after_a_restart_does_not_depend_on_the_snapshot(home: Home) -> None:
    ends = []
    for keep in (True, False):
        copy = Home(home.data.with_name(f"copy-{keep}"))
        shutil.copytree(home.data, copy.data)
        if not keep:
            copy.snapshot.unlink()
        async with running(copy, ManualClock(NOW)) as opened:
            shop = Shop(opened)
            status, _ = await shop.ingest([shop.event("acme", "calls", id="acme-1")])
            assert status == 422
            await shop.use("acme", "calls", id="acme-4")
            await shop.advance_to("2024-06-02T00:00:00Z")
            ends.append({kind: shop.documents(kind) for kind in ("invoice", "fee", "subscription")})
        copy.assert_sound()
    assert ends[0] == ends[1]
    assert len(ends[0]["invoice"]) > 8


async def test_a_damaged_snapshot_is_not_used(home: Home) -> None:
    whole = home.snapshot.read_bytes()
    home.snapshot.unlink()
    expected, _ = await reopened(home)
    for damaged in (
        whole[:100],
        whole[:-1],
        whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:],
        b"",
        b"something else entirely",
    ):
        home.snapshot.write_bytes(damaged)
        found, logs = await reopened(home)
        assert warnings(logs) == ["damaged"]
        assert found == expected


def rewritten(raw: bytes, **changes: Any) -> bytes:
    """The snapshot with other contents under a right checksum."""
    magic, rest = raw.split(b"\n", 1)
    snapshot = msgspec.msgpack.decode(rest[32:], type=EngineSnapshot)
    body = msgspec.msgpack.encode(msgspec.structs.replace(snapshot, **changes))
    return magic + b"\n" + sha256(body).digest() + body


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "of another version"}, "other version"),
        ({"seq": 1_000_000}, "not of this log"),
        ({"position": 3}, "not of this log"),
        ({"meter": b"not a meter"}, None),
    ],
)
async def test_an_outdated_snapshot_is_not_used(
    home: Home, changes: dict[str, Any], reason: str | None
) -> None:
    raw = home.snapshot.read_bytes()
    home.snapshot.unlink()
    expected, _ = await reopened(home)
    home.snapshot.write_bytes(rewritten(raw, **changes))
    found, logs = await reopened(home)
    assert len(warnings(logs)) == 1
    assert reason is None or warnings(logs) == [reason]
    assert found == expected


async def test_the_snapshot_of_another_history_is_not_used(tmp_path: Path) -> None:
    """A backup was restored beside the snapshot of what came after it, and lived on differently."""
    home, backup, other = (Home(tmp_path / name) for name in ("data", "backup", "other"))
    async with engine_on(Disk(), home):
        pass
    shutil.copytree(home.data, backup.data)
    async with running(home, ManualClock(NOW)) as opened:
        await Shop(opened).use("acme", "calls", id="first life")
    # Given the second life in the backup, as long as the first one, that was killed.
    async with running(backup, ManualClock(NOW)) as opened:
        await Shop(opened).use("acme", "calls", id="second life")
        shutil.copytree(backup.data, other.data)
    other.snapshot.write_bytes(home.snapshot.read_bytes())
    with capture_logs() as logs:
        async with running(other, ManualClock(NOW)) as opened:
            shop = Shop(opened)
            assert (await shop.ingest([shop.event("acme", "calls", id="second life")]))[0] == 422
            assert await calls(shop) == 1
            assert (await shop.ingest([shop.event("acme", "calls", id="first life")]))[0] == 200
    assert warnings(logs) == ["not of this log"]
    other.assert_sound()
