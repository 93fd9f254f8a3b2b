"""Delivery of stored webhooks: post, judge, mark, try again later.

Source of the rules: Lago's public documentation of webhook retries. Delivery is at least once and
in no guaranteed order; a receiver de-duplicates on `X-Lago-Unique-Key`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp
import msgspec
import structlog

from lago_engine.errors import UnavailableError
from lago_engine.store.outbox import OutboxMark, OutboxRow, OutboxStatus
from lago_engine.webhooks.signing import WebhookSigner

SUCCESS_STATUSES = frozenset({200, 201, 202, 204})
RESPONSE_BYTES_MAX = 64 * 1024
JITTER_PERMILLE_MAX = 150

# Rows in flight stay due until they are marked, so they hide when the next other row is due.
_LOOK_AGAIN_S = 1.0

log = structlog.get_logger(__name__)


class OutboxPort(Protocol):
    """What the worker asks of the outbox; the calls may block and run in a thread."""

    def due(self, now_us: int, limit: int) -> list[OutboxRow]:
        """Unfinished deliveries that are due, the most overdue first."""

    def next_due_at_us(self) -> int | None:
        """When the next attempt of any unfinished delivery is due."""

    def mark(self, marks: Sequence[OutboxMark]) -> int:
        """Records progress; all marks or none."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one post. `error` tells why there is no HTTP status."""

    http_status: int | None = None
    response: str | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took the webhook."""
        return self.http_status in SUCCESS_STATUSES


def next_attempt_delay_us(failures: int, *, jitter_permille: int) -> int:
    """Microseconds to wait after the n-th failure: n⁴ seconds, plus jitter of them, plus 2 seconds.

    `jitter_permille` is drawn by the caller from 0 to 150 (15 %).
    """
    assert failures >= 1
    assert 0 <= jitter_permille <= JITTER_PERMILLE_MAX
    return int(failures**4) * (1000 + jitter_permille) * 1000 + 2_000_000


def mark_after(
    row: OutboxRow, attempt: Attempt, *, now_us: int, max_attempts: int, jitter_permille: int
) -> OutboxMark:
    """Where a delivery stands after an attempt that ended at `now_us`."""
    attempts = row.attempts + 1
    status: OutboxStatus = "succeeded"
    next_attempt_at_us = now_us
    if not attempt.succeeded:
        status = "failed" if attempts >= max_attempts else "retrying"
    if status == "retrying":
        next_attempt_at_us += next_attempt_delay_us(attempts, jitter_permille=jitter_permille)
    return OutboxMark(
        id=row.id,
        status=status,
        attempts=attempts,
        next_attempt_at_us=next_attempt_at_us,
        http_status=attempt.http_status,
        response=attempt.error if attempt.response is None else attempt.response,
        last_retried_at_us=now_us if row.attempts else row.last_retried_at_us,
    )


class WebhookSender:
    """Posts one stored delivery; the payload goes out as it was frozen."""

    def __init__(
        self, session: aiohttp.ClientSession, signer: WebhookSigner, *, timeout_s: float = 30
    ) -> None:
        self._session = session
        self._signer = signer
        self._timeout = aiohttp.ClientTimeout(
            total=2 * timeout_s, sock_connect=timeout_s, sock_read=timeout_s
        )

    async def send(self, row: OutboxRow) -> Attempt:
        """One attempt. A receiver that cannot be reached is a result, not an exception."""
        headers = self._signer.headers(
            delivery_id=row.id,
            organization_id=row.organization_id,
            algo=row.signature_algo,
            body=row.payload,
        )
        try:
            async with self._session.post(
                row.webhook_url,
                data=row.payload,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                return Attempt(http_status=response.status, response=await _text(response))
        # OSError includes TimeoutError; ValueError comes from hosts that no resolver can encode.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Attempt(error=f"{type(error).__name__}: {error}".removesuffix(": "))


async def _text(response: aiohttp.ClientResponse) -> str:
    """The beginning of the body. NUL is replaced: PostgreSQL text cannot hold it."""
    body = bytearray()
    while len(body) < RESPONSE_BYTES_MAX:
        chunk = await response.content.read(RESPONSE_BYTES_MAX - len(body))
        if not chunk:
            break
        body += chunk
    return body.decode("utf-8", errors="replace").replace("\0", "\ufffd")


class DeliveryWorker:
    """Delivers what is due in the outbox, at most `concurrency` posts at a time.

    `run` ends after `stop`, or with the error that made going on impossible. An outbox that does
    not answer is asked again; results not yet marked are kept until then.
    """

    def __init__(
        self,
        outbox: OutboxPort,
        sender: WebhookSender,
        *,
        now_us: Callable[[], int],
        concurrency: int = 16,
        max_attempts: int = 3,
        jitter_permille: Callable[[], int] = lambda: secrets.randbelow(JITTER_PERMILLE_MAX + 1),
        idle_s_max: float = 30.0,
        grace_s: float = 5.0,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._now_us = now_us
        self._concurrency = concurrency
        self._max_attempts = max_attempts
        self._jitter_permille = jitter_permille
        self._idle_s_max = idle_s_max
        self._grace_s = grace_s
        self._posts: dict[asyncio.Task[Attempt], OutboxRow] = {}
        self._marks: list[OutboxMark] = []
        self._wake = asyncio.Event()
        self._stopping = False

    def notify(self) -> None:
        """Something may be due: call it on the event loop after a commit with outbox entries."""
        self._wake.set()

    def stop(self) -> None:
        """Lets `run` end: posts under way get the grace period, the rest stays due."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Delivers until stopped."""
        try:
            while not self._stopping:
                await self._wait(await self._turn())
            await self._drain()
        finally:
            for post in self._posts:
                post.cancel()
            await asyncio.gather(*self._posts, return_exceptions=True)

    async def _turn(self) -> float:
        """Marks what ended, starts what is due; returns how long nothing more can be done."""
        self._wake.clear()
        try:
            await self._save_marks()
            await self._start_due()
            return await self._seconds_to_next()
        except UnavailableError as error:
            log.warning("outbox_unavailable", reason=str(error))
            return float(error.retry_after_s)

    async def _save_marks(self) -> None:
        if self._marks:
            saving = list(self._marks)
            await asyncio.to_thread(self._outbox.mark, saving)
            del self._marks[: len(saving)]

    async def _start_due(self) -> None:
        free = self._concurrency - len(self._posts)
        if free == 0:
            return
        under_way = {row.id for row in self._posts.values()}
        due = await asyncio.to_thread(self._outbox.due, self._now_us(), free + len(under_way))
        for row in [row for row in due if row.id not in under_way][:free]:
            self._posts[asyncio.create_task(self._sender.send(row))] = row

    async def _seconds_to_next(self) -> float:
        if len(self._posts) == self._concurrency:
            return self._idle_s_max
        next_us = await asyncio.to_thread(self._outbox.next_due_at_us)
        if next_us is None:
            return self._idle_s_max
        seconds = max(0, next_us - self._now_us()) / 1_000_000
        return min(self._idle_s_max, max(seconds, _LOOK_AGAIN_S) if self._posts else seconds)

    async def _wait(self, seconds: float) -> None:
        """Returns when a post ends, on a wake-up, or after `seconds`."""
        woken = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait(
                {woken, *self._posts}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            woken.cancel()
        self._collect()

    async def _drain(self) -> None:
        if self._posts:
            await asyncio.wait(self._posts, timeout=self._grace_s)
        self._collect()
        try:
            await self._save_marks()
        except UnavailableError as error:
            # The deliveries stay due and are sent again; receivers de-duplicate.
            log.warning("webhook_results_lost", count=len(self._marks), reason=str(error))

    def _collect(self) -> None:
        for post in [post for post in self._posts if post.done()]:
            row = self._posts.pop(post)
            mark = mark_after(
                row,
                self._result(post, row),
                now_us=self._now_us(),
                max_attempts=self._max_attempts,
                jitter_permille=self._jitter_permille(),
            )
            self._marks.append(mark)
            log.info(
                "webhook_attempt",
                delivery_id=str(row.id),
                webhook_type=row.webhook_type,
                status=mark.status,
                http_status=mark.http_status,
            )

    def _result(self, post: asyncio.Task[Attempt], row: OutboxRow) -> Attempt:
        """A defect that shows in one delivery is that delivery's failure: the others go on."""
        error = post.exception()
        if error is None:
            return post.result()
        log.error("webhook_defect", delivery_id=str(row.id), exc_info=error)
        return Attempt(error=repr(error))
