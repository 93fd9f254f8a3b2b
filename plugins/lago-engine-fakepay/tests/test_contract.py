"""Fakepay against the public contract, over HTTP to its own server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import web
from lago_engine_fakepay.client import FakepayConfig
from lago_engine_fakepay.provider import FakepayProvider
from lago_engine_fakepay.server import Settings, create_app

from lago_engine.payments import MethodRef, Money, RawWebhook
from lago_engine.testing import Arrangement, Books, Case, ProviderContract

TOKENS = {
    Case.SUCCEEDS: "tok_ok",
    Case.DECLINED: "tok_insufficient_funds",
    Case.PENDING: "tok_pending",
    Case.ACTION_REQUIRED: "tok_action",
    Case.TIMEOUT_BEFORE: "tok_timeout_before",
    Case.TIMEOUT_AFTER: "tok_timeout_after",
    Case.SERVER_ERROR: "tok_500_after",
    Case.RATE_LIMITED: "tok_429",
}
DECIMALS = {"EUR": 2, "JPY": 0, "BHD": 3}
SECRET_KEY, WEBHOOK_SECRET = "sk_9f2c77", "whsec_51ab0e"


def money(amount: dict[str, str]) -> Money:
    """Converted here on its own, so that the plugin's conversion cannot hide its mistake."""
    scaled = Decimal(amount["value"]) * 10 ** DECIMALS[amount["currency"]]
    assert scaled == int(scaled)
    return Money(int(scaled), amount["currency"])


class TestFakepay(ProviderContract):
    provider_class = FakepayProvider

    @pytest.fixture(autouse=True)
    async def server(self) -> AsyncIterator[None]:
        settings = Settings(
            secret_key=SECRET_KEY,
            webhook_secret=WEBHOOK_SECRET,
            settle_after_s=None,
            latency_s=0.01,
        )
        runner = web.AppRunner(create_app(settings))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(self.url) as self.http:
            yield
        await runner.cleanup()

    def arrange(self, case: Case) -> Arrangement:
        config = FakepayConfig(
            base_url=self.url, secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET
        )
        if case is Case.UNREACHABLE:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            return Arrangement(config=FakepayConfig(base_url=url, secret_key=SECRET_KEY))
        if case is Case.WRONG_CREDENTIALS:
            return Arrangement(config=FakepayConfig(base_url=self.url, secret_key="sk_wrong_1"))
        return Arrangement(config=config, method=MethodRef(provider_method_id=TOKENS[case]))

    async def books(self, payment_id: str) -> Books:
        async with self.http.get("/control/payments", params={"reference": payment_id}) as reply:
            payments = [p for p in await reply.json() if p["status"] == "succeeded"]
        refunded = [money(payment["refunded"]) for payment in payments]
        return Books(
            charged=tuple(money(payment["amount"]) for payment in payments),
            refunded=tuple(amount for amount in refunded if amount.minor),
        )

    async def signed_webhook(self) -> RawWebhook:
        body = {
            "reference": "pay_webhook",
            "amount": {"value": "12.05", "currency": "EUR"},
            "customer": "",
            "method": "tok_pending",
        }
        headers = {
            "Authorization": f"Bearer {SECRET_KEY}",
            "Idempotency-Key": f"hook-{time.monotonic_ns()}",
        }
        async with self.http.post("/v1/payments", json=body, headers=headers) as reply:
            payment = await reply.json()
        settlement = {"status": "succeeded"}
        path = f"/control/payments/{payment['id']}/settle"
        async with self.http.post(path, json=settlement) as reply:
            assert reply.status == 200, await reply.text()
        async with self.http.get("/control/webhooks") as reply:
            sent = json.loads(await reply.text())[-1]
        return RawWebhook(
            headers={"fakepay-signature": sent["signature"]},
            body=sent["body"].encode(),
            received_at_us=time.time_ns() // 1000,
        )
