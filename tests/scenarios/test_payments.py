"""Money coming in: transfers, the simulated provider, and a provider over HTTP that misbehaves (payments.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from engine_kit import ORGANIZATION_ID, Home, Shop, instant, running, sandbox
from lago_engine_fakepay.server import Settings as PspSettings
from lago_engine_fakepay.server import create_app
from lago_engine_fakepay.signature import sign
from msgspec.structs import replace

from lago_engine.cli.serve import listening
from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain import ids
from lago_engine.domain.customer.payment_links import wanted_link
from lago_engine.errors import DomainError, NotAllowed, ValidationFailed

SECRET_KEY, WEBHOOK_SECRET = "sk_8d1f", "whsec_77aa"
START = instant("2024-01-01T00:00:00Z")
CODE = "fp"


async def billed(shop: Shop, **customer: Any) -> dict[str, Any]:
    """A finalized invoice over 10.00."""
    await shop.at(START)
    await shop.plan("basic", 1000)
    await shop.customer("acme", **customer)
    await shop.subscribe("acme", "basic")
    await shop.advance_to("2024-02-01T12:00:00Z")
    return invoice(shop)


def invoice(shop: Shop) -> dict[str, Any]:
    (only,) = shop.invoices("acme")
    return only


def money(shop: Shop) -> tuple[str, int, int]:
    """(payment status, paid, due) of the invoice."""
    shown = invoice(shop)
    return (
        shown["payment_status"],
        shown["total_paid_amount_cents"],
        shown["total_due_amount_cents"],
    )


def payments(shop: Shop) -> list[str]:
    return [payment["payment_status"] for payment in shop.documents("payment")]


async def retry(shop: Shop) -> None:
    invoice_id = UUID(invoice(shop)["lago_id"])
    await shop.order(c.RetryPayment, "acme", invoice_id=invoice_id, input={})


def facts(home: Home, topic: str) -> int:
    store = home.store(read_only=True)
    try:
        return len(store.read_log(0, 10_000, (topic,)))
    finally:
        store.close()


# --- transfers ---------------------------------------------------------------------------------


async def test_transfers_in_parts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        invoice_id = UUID((await billed(shop))["lago_id"])

        async def transfer(amount: int) -> None:
            given = {"amount_cents": amount, "reference": f"wire {amount}"}
            await shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=given)

        await transfer(400)
        assert money(shop) == ("pending", 400, 600)
        with pytest.raises(DomainError):
            await transfer(601)
        assert money(shop) == ("pending", 400, 600)
        await transfer(600)
        assert money(shop) == ("succeeded", 1000, 0)
        with pytest.raises(DomainError):
            await transfer(1)
        assert payments(shop) == ["succeeded", "succeeded"]
    home.assert_sound()


async def test_two_transfers_at_once_never_pay_too_much(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        invoice_id = UUID((await billed(shop))["lago_id"])
        given = {"amount_cents": 700, "reference": "wire"}
        orders = [
            shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=given)
            for _ in range(2)
        ]
        answers = await asyncio.gather(*orders, return_exceptions=True)
        assert sum(isinstance(answer, DomainError) for answer in answers) == 1
        assert money(shop) == ("pending", 700, 300)
    home.assert_sound()


# --- simulated ---------------------------------------------------------------------------------


async def simulate(shop: Shop, outcome: str) -> None:
    given = {"code": CODE, "type": "stripe", "outcome": outcome}
    await shop.organization(c.ConnectPaymentProvider, input=given)


SIMULATED = {
    "billing_configuration": {
        "payment_provider": "stripe",
        "payment_provider_code": CODE,
        "sync_with_provider": True,
    }
}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("succeeded", ("succeeded", 1000, 0)),
        ("insufficient_funds", ("failed", 0, 1000)),
        ("processing", ("pending", 0, 1000)),
    ],
)
async def test_what_the_simulated_provider_answers(
    tmp_path: Path, outcome: str, expected: tuple[str, int, int]
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at(START)
        await simulate(shop, outcome)
        await billed(shop, **SIMULATED)
        assert money(shop) == expected
        assert len(payments(shop)) == 1
    home.assert_sound()


async def test_a_decline_is_collected_by_a_later_attempt(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at(START)
        await simulate(shop, "failed")
        await billed(shop, **SIMULATED)
        await retry(shop)
        assert money(shop) == ("failed", 0, 1000)
        await simulate(shop, "succeeded")
        await retry(shop)
        assert money(shop) == ("succeeded", 1000, 0)
        with pytest.raises(NotAllowed):
            await retry(shop)
        assert payments(shop) == ["failed", "failed", "succeeded"]
    home.assert_sound()


# --- over HTTP ---------------------------------------------------------------------------------


class Psp:
    """A pretended provider on a port of its own, and the bank's hands on it."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        key = {"Authorization": f"Bearer {SECRET_KEY}"}
        async with self._http.request(method, self.url + path, json=body, headers=key) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json() if answer.content_type == "application/json" else None

    async def payments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.call("GET", "/control/payments")
        return found

    async def webhooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.call("GET", "/control/webhooks")
        return found


@asynccontextmanager
async def psp() -> AsyncIterator[Psp]:
    settings = PspSettings(
        secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, settle_after_s=None, hang_s=5
    )
    app = create_app(settings, now_s=lambda: int(START.timestamp()))
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        yield Psp(url, http)
    await runner.cleanup()


@asynccontextmanager
async def merchant(home: Home, provider: Psp, method: str) -> AsyncIterator[tuple[Shop, str]]:
    """An organization that collects through the provider, from a customer with this method; its hook URL."""
    async with (
        running(home, ManualClock(START), provider_timeout_s=1) as opened,
        listening(home.settings(port=0), opened) as url,
    ):
        shop = await Shop(opened).found()
        hook = f"{url}/webhooks/fakepay/{ORGANIZATION_ID}"
        await provider.call("POST", "/v1/webhook_endpoints", {"url": hook})
        config = {
            "base_url": provider.url,
            "secret_key": SECRET_KEY,
            "webhook_secret": WEBHOOK_SECRET,
        }
        given = {"provider": "fakepay", "code": CODE, "config": config}
        await shop.organization(c.ConnectPaymentProvider, input=given)
        await shop.at(START)
        link = {
            "payment_provider": "fakepay",
            "payment_provider_code": CODE,
            "sync_with_provider": True,
        }
        await shop.customer("acme", billing_configuration=link)
        profile = shop.documents("customer")[0]["billing_configuration"]
        path = f"/control/customers/{profile['provider_customer_id']}/methods"
        await provider.call("PUT", path, {"methods": [method]})
        yield shop, hook


async def test_a_decline_then_a_retry_that_succeeds(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_decline_1") as (shop, _):
        await billed(shop)
        assert money(shop) == ("failed", 0, 1000)
        assert payments(shop) == ["failed"]
        await retry(shop)
        assert money(shop) == ("succeeded", 1000, 0)
        assert [p["status"] for p in await provider.payments()] == ["failed", "succeeded"]
    home.assert_sound()


async def test_a_pending_payment_ends_once_by_a_webhook_that_comes_twice(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_pending") as (shop, _):
        await billed(shop)
        assert money(shop) == ("pending", 0, 1000)
        with pytest.raises(NotAllowed):
            await retry(shop)
        (pending,) = await provider.payments()
        path = f"/control/payments/{pending['id']}/settle"
        await provider.call("POST", path, {"status": "succeeded"})
        assert money(shop) == ("succeeded", 1000, 0)
        (sent,) = await provider.webhooks()
        before = facts(home, "payment_status_changed.v1")
        for _ in range(2):
            await provider.call("POST", f"/control/webhooks/{sent['event_id']}/resend")
        assert money(shop) == ("succeeded", 1000, 0)
        assert facts(home, "payment_status_changed.v1") == before == 2
    home.assert_sound()


async def test_a_time_out_after_the_money_moved_is_reconciled(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_timeout_after") as (shop, _):
        await billed(shop)
        # What became of it is not known: the payment stays open, and no other attempt may start.
        assert money(shop) == ("pending", 0, 1000)
        with pytest.raises(NotAllowed):
            await retry(shop)
        await until(lambda: money(shop) == ("succeeded", 1000, 0))
        (charged,) = await provider.payments()
        assert charged["status"] == "succeeded"
        assert payments(shop) == ["succeeded"]
    home.assert_sound()


async def test_an_engine_that_stops_while_it_charges_charges_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider:
        async with merchant(home, provider, "tok_timeout_after") as (shop, _):
            closing = asyncio.create_task(billed(shop))
            while not await provider.payments():
                await asyncio.sleep(0.02)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        async with running(home, ManualClock(START), provider_timeout_s=1) as opened:
            shop = Shop(opened)
            await until(lambda: money(shop) == ("succeeded", 1000, 0))
        assert len(await provider.payments()) == 1
    home.assert_sound()


async def test_forged_webhooks_are_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_pending") as (shop, hook):
        await billed(shop)
        (pending,) = await provider.payments()
        path = f"/control/payments/{pending['id']}/settle"
        await provider.call("POST", path, {"status": "failed"})
        (sent,) = await provider.webhooks()
        body, now_s = sent["body"].encode(), int(START.timestamp())
        altered = body.replace(b'"failed"', b'"succeeded"')
        assert altered != body
        forged = [
            (altered, sent["signature"]),
            (altered, sign(altered, secret="whsec_guess", at_s=now_s)),
            (body, sign(body, secret=WEBHOOK_SECRET, at_s=now_s - 301)),
            (body, ""),
        ]
        async with aiohttp.ClientSession() as http:
            for content, signature in forged:
                headers = {"Fakepay-Signature": signature}
                async with http.post(hook, data=content, headers=headers) as answer:
                    assert answer.status == 400
            other = hook.replace(str(ORGANIZATION_ID), "0196f3a0-0000-8000-8000-000000000bad")
            headers = {"Fakepay-Signature": sent["signature"]}
            async with http.post(other, data=body, headers=headers) as answer:
                assert answer.status == 400
        assert money(shop) == ("failed", 0, 1000)
    home.assert_sound()


async def until(holds: Any, *, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


# --- hosted pages, voided invoices, refunds that take a while -----------------------------------


async def page(shop: Shop, provider: Psp) -> str:
    invoice_id = UUID(invoice(shop)["lago_id"])
    back = f"{provider.url}/v1/account"
    link = await shop.engine.payment_page(
        shop.id, ids.customer_id(shop.id, "acme"), invoice_id, back
    )
    return link.url


async def test_a_hosted_page_is_one_for_a_day_and_its_payment_arrives(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_decline_1") as (shop, _):
        await billed(shop)
        assert money(shop) == ("failed", 0, 1000)
        await shop.at(START)
        first, at_once = await asyncio.gather(page(shop, provider), page(shop, provider))
        assert first == at_once == await page(shop, provider)
        assert payments(shop) == ["failed"]
        given = {"amount_cents": 400, "reference": "wire"}
        invoice_id = UUID(invoice(shop)["lago_id"])
        await shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=given)
        second = await page(shop, provider)
        assert second != first, "the amount due has changed"
        await shop.at("2024-01-02T00:00:01Z")
        third = await page(shop, provider)
        assert third != second, "a day is over"
        await shop.at(START)
        await provider.call("POST", third.removeprefix(provider.url))
        assert money(shop) == ("succeeded", 1000, 0)
        assert payments(shop) == ["failed", "succeeded", "succeeded"]
        (sent,) = [
            each for each in await provider.webhooks() if each["type"] == "payment.succeeded"
        ]
        await provider.call("POST", f"/control/webhooks/{sent['event_id']}/resend")
        assert money(shop) == ("succeeded", 1000, 0)
        with pytest.raises(ValidationFailed):
            await page(shop, provider)
    assert facts(home, "payment_link_opened.v1") == 3
    home.assert_sound()


@pytest.mark.parametrize(
    ("field", "refusal"),
    [
        ("payment_provider", "no_linked_payment_provider"),
        ("payment_provider_code", "missing_payment_provider"),
        ("provider_customer_id", "missing_payment_provider_customer"),
    ],
)
async def test_who_has_no_hosted_page(tmp_path: Path, field: str, refusal: str) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await simulate(shop, "failed")
        invoice_id = UUID((await billed(shop, **SIMULATED))["lago_id"])
        state = await shop.engine.customer(shop.id, "acme")
        assert state is not None
        organization = shop.engine.organization(shop.id)
        assert not wanted_link(state, organization, invoice_id, shop.now).url
        link = replace(state.profile.billing_configuration, **{field: None})
        unlinked = replace(state, profile=replace(state.profile, billing_configuration=link))
        with pytest.raises(ValidationFailed, match=refusal):
            wanted_link(unlinked, organization, invoice_id, shop.now)


async def test_voiding_stops_a_payment_under_way(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_pending") as (shop, _):
        await billed(shop)
        invoice_id = UUID(invoice(shop)["lago_id"])
        await shop.order(c.VoidInvoice, "acme", invoice_id=invoice_id, input={})
        assert [each["status"] for each in await provider.payments()] == ["canceled"]
        assert payments(shop) == ["failed"]
        assert invoice(shop)["status"] == "voided"
    home.assert_sound()


@pytest.mark.parametrize("end", ["succeeded", "failed"])
async def test_a_refund_ends_by_webhook(tmp_path: Path, end: str) -> None:
    home = Home(tmp_path)
    async with psp() as provider, merchant(home, provider, "tok_ok") as (shop, _):
        await billed(shop)
        await provider.call("PUT", "/control/refunds", {"hold": True})
        shown = invoice(shop)
        items = [{"fee_id": shown["fees"][0]["lago_id"], "amount_cents": 300}]
        given = {"items": items, "refund_amount_cents": 300}
        invoice_id = UUID(shown["lago_id"])
        await shop.order(c.CreateCreditNote, "acme", invoice_id=invoice_id, input=given)
        (note,) = shop.documents("credit_note")
        assert note["refund_status"] == "pending"
        (refund,) = await provider.call("GET", "/control/refunds")
        await shop.at(START)
        path = f"/control/refunds/{refund['id']}/settle"
        await provider.call("POST", path, {"status": end})
        (note,) = shop.documents("credit_note")
        assert note["refund_status"] == end
        assert (note["refunded_at"] is not None) is (end == "succeeded")
    assert facts(home, "refund_status_changed.v1") == 2
    home.assert_sound()
