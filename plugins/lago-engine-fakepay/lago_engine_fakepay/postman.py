"""Sends the pretended PSP's webhooks and remembers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec

from lago_engine_fakepay.dialect import Event
from lago_engine_fakepay.signature import sign

log = logging.getLogger(__name__)

SENT_MAX = 10_000


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as it went out; `body` is the exact text that `signature` covers."""

    event_id: str
    type: str
    signature: str
    body: str


class Postman:
    """Signs each event and posts it to every registered URL, once."""

    def __init__(
        self, http: aiohttp.ClientSession, *, secret: str, now_s: Callable[[], int]
    ) -> None:
        self.urls: list[str] = []
        self.sent: list[Sent] = []
        self.now_s = now_s
        self._http = http
        self._secret = secret
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, event: Event) -> None:
        """Posts the event; a receiver that fails is logged."""
        body = msgspec.json.encode(event)
        signature = sign(body, secret=self._secret, at_s=self.now_s())
        sent = Sent(event_id=event.id, type=event.type, signature=signature, body=body.decode())
        self.sent.append(sent)
        del self.sent[:-SENT_MAX]
        await self.post(sent)

    async def post(self, sent: Sent) -> None:
        """Posts a webhook, perhaps not for the first time."""
        headers = {"Fakepay-Signature": sent.signature, "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=10)
        for url in list(self.urls):
            try:
                async with self._http.post(
                    url, data=sent.body.encode(), headers=headers, timeout=timeout
                ) as response:
                    log.info("webhook %s to %s: %s", sent.event_id, url, response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("webhook %s to %s: %r", sent.event_id, url, error)

    def later(self, seconds: float, action: Callable[[], Awaitable[object]]) -> None:
        """Does something after a while, unless the server stops before."""

        async def wait_and_act() -> None:
            await asyncio.sleep(seconds)
            await action()

        task = asyncio.create_task(wait_and_act())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drops what is still waiting."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
