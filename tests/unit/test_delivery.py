"""Deliveries against a real receiver on 127.0.0.1 and a real outbox."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec
import pytest
from aiohttp import web

from lago_engine.errors import UnavailableError
from lago_engine.store import CommitBatch, OutboxEntry, OutboxMark, OutboxRow, Store, open_store
from lago_engine.webhooks.delivery import (
    RESPONSE_BYTES_MAX,
    Attempt,
    DeliveryWorker,
    WebhookSender,
    mark_after,
    next_attempt_delay_us,
)
from lago_engine.webhooks.signing import JwtSigner, WebhookSigner, generate_private_key_pem

ORGANIZATION = UUID(int=7)
HMAC_KEY = "3f0c2a58-5d6e-4a0b-9b9b-0d8a0f6f4b11"
NOW_US = 1_700_000_000_000_000
PAYLOAD = b'{"webhook_type":"customer.created","text":"\\u0026 \xc3\xa9"}'


class Clock:
    """Microseconds that pass only when told."""

    def __init__(self) -> None:
        self.us = NOW_US

    def now_us(self) -> int:
        return self.us


class Receiver:
    """A customer's server: answers `statuses` in turn, then 200; keeps what it got."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.body = b"ok"
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.at_once_max = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        self.requests.append((dict(request.headers), await request.read()))
        await self.gate.wait()
        self.at_once -= 1
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Location": self.url} if 300 <= status < 400 else None
        body = None if status == 204 else self.body
        return web.Response(status=status, body=body, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.gate.set()
    await runner.cleanup()


@pytest.fixture(scope="module")
def signer() -> WebhookSigner:
    jwt = JwtSigner(generate_private_key_pem(), issuer="https://billing.example.com")
    return WebhookSigner(jwt, {ORGANIZATION: HMAC_KEY}.__getitem__)


@pytest.fixture
async def sender(signer: WebhookSigner) -> AsyncIterator[WebhookSender]:
    async with aiohttp.ClientSession() as session:
        yield WebhookSender(session, signer, timeout_s=0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data", None)
    yield store
    store.close()


def entry(number: int, url: str, *, at_us: int = NOW_US) -> OutboxEntry:
    return OutboxEntry(
        id=UUID(int=number),
        organization_id=ORGANIZATION,
        org_sequence=number,
        webhook_type="customer.created",
        object_type="customer",
        webhook_url=url,
        endpoint_id=UUID(int=99),
        signature_algo="hmac",
        payload=PAYLOAD,
        created_at_us=NOW_US,
        next_attempt_at_us=at_us,
    )


def commit(store: Store, entries: Sequence[OutboxEntry], *, seq: int = 1) -> None:
    store.commit(CommitBatch(seq=seq, hash=bytes(32), recorded_at_us=NOW_US, outbox=entries))


def row(url: str, store: Store) -> OutboxRow:
    commit(store, [entry(1, url)])
    found = store.outbox.get(UUID(int=1))
    assert found is not None
    return found


async def until(condition, *, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


# ---- one attempt --------------------------------------------------------------------------
async def test_the_frozen_bytes_arrive_signed(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    attempt = await sender.send(row(receiver.url, store))
    assert attempt == Attempt(http_status=200, response="ok")
    assert attempt.succeeded
    ((headers, body),) = receiver.requests
    assert body == PAYLOAD
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Lago-Unique-Key"] == str(UUID(int=1))
    assert headers["X-Lago-Signature-Algorithm"] == "hmac"
    expected = base64.b64encode(hmac.digest(HMAC_KEY.encode(), body, hashlib.sha256)).decode()
    assert headers["X-Lago-Signature"] == expected


@pytest.mark.parametrize(
    ("status", "succeeded"),
    [(200, True), (201, True), (202, True), (204, True), (203, False), (206, False),
     (302, False), (400, False), (410, False), (500, False)],
)  # fmt: skip
async def test_only_four_statuses_are_success(
    receiver: Receiver, sender: WebhookSender, store: Store, status: int, succeeded: bool
) -> None:
    receiver.statuses = [status]
    attempt = await sender.send(row(receiver.url, store))
    assert (attempt.http_status, attempt.succeeded) == (status, succeeded)
    assert len(receiver.requests) == 1, "a redirect must not be followed"


async def test_long_or_binary_answers_are_cut_and_cleaned(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    receiver.body = b"\x00\xff" + b"x" * (2 * RESPONSE_BYTES_MAX)
    attempt = await sender.send(row(receiver.url, store))
    assert attempt.response == "\ufffd\ufffd" + "x" * (RESPONSE_BYTES_MAX - 2)


async def test_a_silent_receiver_times_out(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    receiver.gate.clear()
    attempt = await sender.send(row(receiver.url, store))
    assert attempt.http_status is None
    assert attempt.error is not None
    assert "imeout" in attempt.error


@pytest.mark.parametrize("url", ["refused", "http://127.0.0.1:99999/", "http://a..b/"])
async def test_an_address_that_does_not_work_is_a_failure(
    sender: WebhookSender, store: Store, url: str
) -> None:
    if url == "refused":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    attempt = await sender.send(row(url, store))
    assert attempt.http_status is None
    assert attempt.error
    assert not attempt.succeeded


# ---- the schedule -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("failures", "jitter_permille", "delay_us"),
    [
        (1, 0, 3_000_000),
        (1, 150, 3_150_000),
        (2, 0, 18_000_000),
        (2, 150, 20_400_000),
        (2, 75, 19_200_000),
        (3, 0, 83_000_000),
    ],
)
def test_the_wait_grows_with_the_fourth_power(
    failures: int, jitter_permille: int, delay_us: int
) -> None:
    assert next_attempt_delay_us(failures, jitter_permille=jitter_permille) == delay_us


def test_the_third_failure_is_the_last(store: Store) -> None:
    current = row("http://127.0.0.1/", store)
    failure = Attempt(http_status=503, response="busy")
    seen = []
    for _ in range(3):
        mark = mark_after(current, failure, now_us=NOW_US, max_attempts=3, jitter_permille=0)
        store.outbox.mark([mark])
        found = store.outbox.get(current.id)
        assert found is not None
        current = found
        seen.append((mark.status, mark.attempts, mark.next_attempt_at_us - NOW_US))
    assert seen == [("retrying", 1, 3_000_000), ("retrying", 2, 18_000_000), ("failed", 3, 0)]
    assert (current.http_status, current.response) == (503, "busy")
    assert current.last_retried_at_us == NOW_US


def test_the_first_attempt_is_no_retry(store: Store) -> None:
    done = Attempt(http_status=204, response="")
    first = row("http://127.0.0.1/", store)
    mark = mark_after(first, done, now_us=NOW_US, max_attempts=3, jitter_permille=0)
    assert (mark.status, mark.last_retried_at_us) == ("succeeded", None)


# ---- the worker ---------------------------------------------------------------------------
def worker_of(store: Store, sender: WebhookSender, clock: Clock, **options) -> DeliveryWorker:
    return DeliveryWorker(
        store.outbox, sender, now_us=clock.now_us, jitter_permille=lambda: 0, **options
    )


def statuses(store: Store) -> list[tuple[str, int]]:
    return [(row.status, row.attempts) for row in store.outbox.list(ORGANIZATION, 0, 1000)]


async def test_due_deliveries_go_out_a_few_at_a_time(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    commit(store, [entry(n, receiver.url) for n in range(1, 41)])
    worker = worker_of(store, sender, Clock(), concurrency=4)
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("succeeded", 1)] * 40)
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert receiver.at_once_max <= 4
    keys = [headers["X-Lago-Unique-Key"] for headers, _ in receiver.requests]
    assert sorted(keys) == sorted(str(UUID(int=n)) for n in range(1, 41))


async def test_a_notification_wakes_the_idle_worker(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    worker = worker_of(store, sender, Clock(), idle_s_max=3600)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.1)
    commit(store, [entry(1, receiver.url)])
    await asyncio.sleep(0.1)
    assert receiver.requests == []
    worker.notify()
    await until(lambda: statuses(store) == [("succeeded", 1)])
    worker.stop()
    await asyncio.wait_for(running, 5)


async def test_failures_are_repeated_when_due_with_the_same_key_and_body(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    receiver.statuses = [500, 302]
    clock = Clock()
    commit(store, [entry(1, receiver.url)])
    worker = worker_of(store, sender, clock, idle_s_max=3600)
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("retrying", 1)])
    clock.us += 2_999_000
    worker.notify()
    await asyncio.sleep(0.1)
    assert len(receiver.requests) == 1
    clock.us += 1_000
    await until(lambda: statuses(store) == [("retrying", 2)])
    clock.us += 18_000_000
    worker.notify()
    await until(lambda: statuses(store) == [("succeeded", 3)])
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert len({(h["X-Lago-Unique-Key"], body) for h, body in receiver.requests}) == 1


async def test_after_the_last_attempt_it_is_over(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    receiver.statuses = [500] * 9
    clock = Clock()
    commit(store, [entry(1, receiver.url)])
    worker = worker_of(store, sender, clock, max_attempts=2)
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("retrying", 1)])
    clock.us += 3_000_000
    worker.notify()
    await until(lambda: statuses(store) == [("failed", 2)])
    clock.us += 3_600_000_000
    worker.notify()
    await asyncio.sleep(0.1)
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert len(receiver.requests) == 2


async def test_a_future_delivery_goes_out_by_itself(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    commit(store, [entry(1, receiver.url, at_us=NOW_US + 300_000)])
    worker = DeliveryWorker(
        store.outbox,
        sender,
        now_us=lambda: NOW_US + int((loop.time() - started) * 1_000_000),
        idle_s_max=3600,
    )
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("succeeded", 1)])
    assert loop.time() - started >= 0.3
    worker.stop()
    await asyncio.wait_for(running, 5)


async def test_a_post_under_way_is_not_sent_twice(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    receiver.gate.clear()
    commit(store, [entry(1, receiver.url)])
    worker = worker_of(store, sender, Clock())
    running = asyncio.create_task(worker.run())
    await until(lambda: len(receiver.requests) == 1)
    commit(store, [entry(2, receiver.url)], seq=2)
    worker.notify()
    await until(lambda: len(receiver.requests) == 2)
    receiver.gate.set()
    await until(lambda: statuses(store) == [("succeeded", 1)] * 2)
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert len(receiver.requests) == 2


async def test_stopping_finishes_what_is_quick_and_leaves_the_rest_due(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    commit(store, [entry(1, receiver.url)])
    receiver.gate.clear()
    worker = worker_of(store, sender, Clock(), grace_s=0.05)
    running = asyncio.create_task(worker.run())
    await until(lambda: len(receiver.requests) == 1)
    worker.stop()
    await asyncio.wait_for(running, 2)
    assert statuses(store) == [("pending", 0)]

    receiver.gate.set()
    worker = worker_of(store, sender, Clock(), grace_s=5)
    running = asyncio.create_task(worker.run())
    await until(lambda: len(receiver.requests) == 2)
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert statuses(store) == [("succeeded", 1)]


class FlakyOutbox:
    """The real outbox behind a database connection that fails the next calls."""

    def __init__(self, store: Store) -> None:
        self._outbox = store.outbox
        self.failures = {"due": 1, "mark": 2}

    def _maybe_fail(self, name: str) -> None:
        if self.failures[name]:
            self.failures[name] -= 1
            raise UnavailableError("the database does not answer", retry_after_s=0)

    def due(self, now_us: int, limit: int) -> list[OutboxRow]:
        self._maybe_fail("due")
        return self._outbox.due(now_us, limit)

    def next_due_at_us(self) -> int | None:
        return self._outbox.next_due_at_us()

    def mark(self, marks: Sequence[OutboxMark]) -> int:
        self._maybe_fail("mark")
        return self._outbox.mark(marks)


async def test_a_result_is_kept_while_the_store_is_down(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    commit(store, [entry(1, receiver.url)])
    worker = DeliveryWorker(FlakyOutbox(store), sender, now_us=Clock().now_us)
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("succeeded", 1)])
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert len(receiver.requests) == 1


async def test_a_defect_in_one_delivery_does_not_stop_the_others(
    receiver: Receiver, sender: WebhookSender, store: Store
) -> None:
    ours = entry(1, receiver.url)
    unknown_organization = msgspec.structs.replace(ours, organization_id=UUID(int=8))
    commit(store, [unknown_organization, entry(2, receiver.url)])
    worker = worker_of(store, sender, Clock())
    running = asyncio.create_task(worker.run())
    await until(lambda: statuses(store) == [("succeeded", 1)])
    await until(lambda: "KeyError" in str(store.outbox.get(ours.id)))
    worker.stop()
    await asyncio.wait_for(running, 5)
    broken = store.outbox.get(ours.id)
    assert broken is not None
    assert (broken.status, broken.attempts, broken.http_status) == ("retrying", 1, None)
