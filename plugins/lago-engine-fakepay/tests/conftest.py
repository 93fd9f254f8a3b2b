"""A pretended PSP on a free port, and an engine that listens to its webhooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web
from lago_engine_fakepay.client import FakepayConfig
from lago_engine_fakepay.provider import FakepayProvider
from lago_engine_fakepay.server import Settings, create_app

from lago_engine.payments import (
    ChargeRequest,
    Ctx,
    CustomerRef,
    MethodRef,
    Money,
    Outcome,
    ProviderEvent,
    RawWebhook,
)

SECRET_KEY = "sk_8d1f"


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


class Merchant:
    """Calls the provider as the engine does, and verifies every webhook it receives."""

    def __init__(self, provider: FakepayProvider, config: FakepayConfig) -> None:
        self.provider = provider
        self.config = config
        self.events: asyncio.Queue[ProviderEvent] = asyncio.Queue()
        self.customer = CustomerRef(lago_id="c-1", external_id="acme")

    def ctx(self, key: str = "") -> Ctx:
        return Ctx(config=self.config, idempotency_key=key, deadline_s=2)

    async def connect(self, url: str) -> None:
        registered = await self.provider.register_webhook(self.ctx("hook"), url)
        self.config = msgspec.structs.replace(self.config, webhook_secret=registered.webhook_secret)
        created = await self.provider.ensure_customer(self.ctx("customer"), self.customer)
        self.customer = msgspec.structs.replace(self.customer, provider_customer_id=created)

    def request(self, payment_id: str, token: str | None = None) -> ChargeRequest:
        return ChargeRequest(
            payment_id=payment_id,
            amount=Money(1205, "EUR"),
            customer=self.customer,
            method=None if token is None else MethodRef(provider_method_id=token),
        )

    async def charge(self, payment_id: str, token: str | None = None) -> Outcome:
        ctx = self.ctx(f"{payment_id}:charge:1")
        return await self.provider.charge(ctx, self.request(payment_id, token))

    async def next_event(self) -> ProviderEvent:
        return await asyncio.wait_for(self.events.get(), 5)

    async def receive(self, request: web.Request) -> web.Response:
        hook = RawWebhook(
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            received_at_us=time.time_ns() // 1000,
        )
        for event in self.provider.verify_webhook(self.ctx(), hook):
            self.events.put_nowait(event)
        return web.Response()


@pytest.fixture
async def psp_url() -> AsyncIterator[str]:
    runner, url = await serve(create_app(Settings(secret_key=SECRET_KEY, settle_after_s=0.05)))
    yield url
    await runner.cleanup()


@pytest.fixture
async def http(psp_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(psp_url) as session:
        yield session


@pytest.fixture
async def merchant(psp_url: str) -> AsyncIterator[Merchant]:
    async with aiohttp.ClientSession() as session:
        provider = FakepayProvider()
        await provider.open(session)
        merchant = Merchant(provider, FakepayConfig(base_url=psp_url, secret_key=SECRET_KEY))
        app = web.Application()
        app.router.add_post("/hook", merchant.receive)
        runner, url = await serve(app)
        await merchant.connect(f"{url}/hook")
        yield merchant
        await runner.cleanup()
