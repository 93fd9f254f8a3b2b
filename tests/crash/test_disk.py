"""A server whose disk is full, whose store is damaged, or whose directory is taken says so and does no harm."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from crash.faults import Disk, engine_on
from crash.server import Client, Lost, Server, run, run_here
from engine_kit import Home

from lago_engine.store.sqlite import FILE_NAME

FULL_BYTES = 4 * 1024 * 1024
HOPELESS_BYTES = 16 * 1024
HOUSEKEEPING_S = 6
KEY = "0d7c2a3e-6f0b-4a55-9d56-5f1f6a0b7f11"


def batch(first: int, size: int = 100) -> dict[str, Any]:
    filler = "x" * 200
    return {
        "events": [
            {
                "transaction_id": f"e{first + n}",
                "external_subscription_id": "s",
                "code": "calls",
                # Text that does not compress to nothing.
                "properties": {"note": f"{hash((first, n)):x}{filler[: n % 50]}"},
            }
            for n in range(size)
        ]
    }


async def stored_ids(call: Client) -> list[str]:
    return [event["transaction_id"] for event in await call.everything("/events", "events")]


async def test_a_full_disk(tmp_path: Path) -> None:
    """Files of the server may not grow beyond a limit: as with a full disk, every write fails there."""
    home = Home(tmp_path / "data")
    server = await Server.start(home, LAGO_ENGINE_API_KEY=KEY, LAGO_ENGINE_SNAPSHOT_EVERY_S="1")
    limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, limits[1]))
    async with aiohttp.ClientSession() as http:
        call = Client(http, KEY)
        call.url = server.url
        promised, refused, first = list[str](), 0, 0
        while refused < 20:
            sent = batch(first)
            try:
                await call.ok("POST", "/events/batch", sent)
                promised += [event["transaction_id"] for event in sent["events"]]
            except Lost as lost:
                assert str(lost) == "503"
                refused += 1
            first += 100
            assert first < 100_000
        with pytest.raises(Lost, match="503"):
            await call.ok("POST", "/customers", {"customer": {"external_id": "c"}})
        # It stays up although housekeeping and snapshots fail as well, and serves what it has.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (HOPELESS_BYTES, limits[1]))
        await asyncio.sleep(HOUSEKEEPING_S)
        assert sorted(await stored_ids(call)) == sorted(promised)

        # Room again: it goes on where it stood.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
        again = batch(first)
        await call.ok("POST", "/events/batch", again)
        promised += [event["transaction_id"] for event in again["events"]]
        await call.ok("POST", "/customers", {"customer": {"external_id": "c"}})
        assert sorted(await stored_ids(call)) == sorted(promised)
        assert (await server.stop())[0] == 0
    assert home.assert_sound().usage_events == len(promised)


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
async def closed(tmp_path: Path) -> Home:
    """A store with a bit of everything, closed, without a snapshot."""
    home = Home(tmp_path / "data")
    async with engine_on(Disk(), home) as shop:
        for n in range(10):
            await shop.use("acme", "calls", id=f"e{n}", note="tampered?")
        await shop.advance_to("2024-04-02")
    home.snapshot.unlink()
    return home


def tamper(home: Home, statement: str, *parameters: object) -> None:
    with sqlite3.connect(home.data / FILE_NAME) as conn:
        assert conn.execute(statement, parameters).rowcount > 0
    conn.close()


def state_of(home: Home, topic: str) -> tuple[int, bytes]:
    with sqlite3.connect(home.data / FILE_NAME) as conn:
        found = conn.execute(
            "SELECT rowid, state FROM stored_events WHERE topic = ? ORDER BY rowid", (topic,)
        ).fetchone()
    conn.close()
    return int(found[0]), bytes(found[1])


def flip(home: Home, topic: str, offset: int) -> None:
    """Change one bit in the first row of a topic."""
    rowid, state = state_of(home, topic)
    changed = bytearray(state)
    changed[offset] ^= 1
    tamper(home, "UPDATE stored_events SET state = ? WHERE rowid = ?", bytes(changed), rowid)


def refused(home: Home, command: str, *words: str) -> str:
    """What a command says that must fail: one clear line, no traceback."""
    if command == "serve":
        done = run(home, command)
        code, said = done.returncode, done.stderr
    else:
        code, said = run_here(home, command)
    assert code == 1, said
    (line,) = [line for line in said.splitlines() if line.startswith("lago-engine: ")]
    assert "Traceback" not in said
    for word in words:
        assert word in line, line
    return line


@pytest.mark.parametrize("where", [0, 31, 40, -2])
@pytest.mark.parametrize("topic", ["invoice_finalized.v1", "organization_created.v1"])
async def test_a_changed_bit_in_an_event_is_found(closed: Home, topic: str, where: int) -> None:
    flip(closed, topic, where)
    refused(closed, "verify", "stream", "commit")


@pytest.mark.parametrize("where", [0, 40, 100, -1])
async def test_a_changed_bit_in_usage_is_found(closed: Home, where: int) -> None:
    flip(closed, "usage_segment.v1", where)
    refused(closed, "verify")


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("DELETE FROM commits WHERE seq = 3", "commit 3"),
        ("DELETE FROM stored_events WHERE topic = 'usage_segment.v1'", "commit"),
        ("DELETE FROM stored_events WHERE topic = 'subscription_created.v1'", "commit"),
        ("UPDATE commits SET hash = zeroblob(32) WHERE seq = 4", "commit 4"),
        ("UPDATE commits SET recorded_at_us = recorded_at_us + 1 WHERE seq = 4", "commit 4"),
        ("UPDATE stored_events SET topic = 'customer_updated.v1' WHERE topic = 'customer_created.v1'",
         "stream"),
        ("DELETE FROM commits WHERE seq = (SELECT max(seq) FROM commits)", "no commit"),
    ],
)  # fmt: skip
async def test_missing_and_altered_rows_are_found(closed: Home, statement: str, word: str) -> None:
    tamper(closed, statement)
    refused(closed, "verify", word)


async def test_rows_in_another_order_are_found(closed: Home) -> None:
    rowid, _ = state_of(closed, "plan_created.v1")
    tamper(closed, "UPDATE stored_events SET rowid = -1 WHERE rowid = ?", rowid)
    tamper(closed, "UPDATE stored_events SET rowid = ? WHERE rowid = ?", rowid, rowid + 1)
    tamper(closed, "UPDATE stored_events SET rowid = ? WHERE rowid = -1", rowid + 1)
    refused(closed, "verify")


@pytest.mark.parametrize("topic", ["usage_segment.v1", "subscription_created.v1"])
async def test_a_server_does_not_start_on_what_it_cannot_read(closed: Home, topic: str) -> None:
    rowid, state = state_of(closed, topic)
    torn = state[: len(state) // 2]
    tamper(closed, "UPDATE stored_events SET state = ? WHERE rowid = ?", torn, rowid)
    refused(closed, "serve")
    refused(closed, "verify")


async def test_a_file_that_is_no_database(closed: Home) -> None:
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        (closed.data / name).unlink(missing_ok=True)
    (closed.data / FILE_NAME).write_bytes(b"this is not a database at all" * 1000)
    for command in ("serve", "verify", "replay"):
        refused(closed, command, "not a database")


async def test_a_damaged_page_of_the_database(closed: Home) -> None:
    file = closed.data / FILE_NAME
    with sqlite3.connect(file) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        page_size = conn.execute("PRAGMA page_size").fetchone()[0]
        root = conn.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'stored_events'"
        ).fetchone()[0]
    conn.close()
    content = bytearray(file.read_bytes())
    start = (root - 1) * page_size
    content[start : start + page_size] = b"\xff" * page_size
    file.write_bytes(content)
    for command in ("serve", "verify"):
        refused(closed, command, "malformed")


async def test_no_store_at_all(tmp_path: Path) -> None:
    for command in ("verify", "replay"):
        refused(Home(tmp_path / "nowhere"), command, "no store")
    assert not (tmp_path / "nowhere").exists()


# --- two at once -------------------------------------------------------------------------------


async def test_a_second_process_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    server = await Server.start(home)
    refused(home, "serve", "another process")
    assert run(home, "verify").returncode == 0
    assert (await server.stop())[0] == 0


async def test_a_second_process_on_the_same_database_takes_over(
    tmp_path: Path, postgres_url: str
) -> None:
    first = await Server.start(Home(tmp_path / "one", postgres_url), LAGO_ENGINE_API_KEY=KEY)
    second = await Server.start(Home(tmp_path / "two", postgres_url))
    async with aiohttp.ClientSession() as http:
        call = Client(http, KEY)
        call.url = first.url
        with pytest.raises(Lost):
            await call.ok("POST", "/customers", {"customer": {"external_id": "c"}})
        code, said = await first.ended()
        assert code == 1
        assert "taken over" in said
        call.url = second.url
        await call.ok("POST", "/customers", {"customer": {"external_id": "c"}})
    assert (await second.stop())[0] == 0


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    server = await Server.start(Home(tmp_path / "one"))
    port = server.url.rsplit(":", 1)[1]
    done = run(Home(tmp_path / "two"), "serve", "--port", port)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert (await server.stop())[0] == 0
