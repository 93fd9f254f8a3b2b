"""What the pretended PSP can be made to do, seen through the provider."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import aiohttp
import msgspec
import pytest
from lago_engine_fakepay.dialect import to_major, to_minor

from lago_engine.payments import (
    ActionRequired,
    Declined,
    Misconfigured,
    Money,
    Pending,
    ProviderRegistry,
    RawWebhook,
    Succeeded,
    Unknown,
)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1205, "EUR", "12.05"), (5, "USD", "0.05"), (1205, "JPY", "1205"), (1205, "ISK", "1205"),
     (1205, "BHD", "1.205"), (0, "EUR", "0.00"), (10**15 + 1, "EUR", "10000000000000.01")],
)  # fmt: skip
def test_amounts_travel_in_major_units(minor: int, currency: str, text: str) -> None:
    assert to_major(minor, currency) == text
    assert to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"), [("12.055", "EUR"), ("1.5", "JPY"), ("x", "EUR"), ("NaN", "EUR")]
)
def test_text_finer_than_the_minor_unit_is_no_amount(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"amount|minor units"):
        to_minor(text, currency)


async def test_the_default_method_is_charged(merchant: Any, http: aiohttp.ClientSession) -> None:
    assert isinstance(await merchant.charge("p1"), Succeeded)
    path = f"/control/customers/{merchant.customer.provider_customer_id}/methods"
    await http.put(path, json={"methods": ["tok_insufficient_funds", "tok_ok"]})
    declined = await merchant.charge("p2")
    assert isinstance(declined, Declined)
    assert (declined.code, declined.retryable) == ("insufficient_funds", True)
    methods = await merchant.provider.list_methods(
        merchant.ctx(), merchant.customer.provider_customer_id
    )
    assert [one.provider_method_id for one in methods] == ["tok_insufficient_funds", "tok_ok"]


async def test_declines_may_end(merchant: Any) -> None:
    outcomes = [await merchant.charge(f"p{n}", "tok_decline_2") for n in range(4)]
    assert [type(one) for one in outcomes] == [Declined, Declined, Succeeded, Succeeded]


async def test_a_script_tells_the_next_payments_what_to_do(
    merchant: Any, http: aiohttp.ClientSession
) -> None:
    steps = ["tok_do_not_honor", "tok_500_before", "tok_ok"]
    await http.put("/control/methods/tok_ok/script", json={"steps": steps})
    first, second = await merchant.charge("p1"), await merchant.charge("p2")
    assert isinstance(first, Declined)
    assert isinstance(second, Unknown)
    assert isinstance(await merchant.charge("p2"), Succeeded), "the same key gets through"
    assert isinstance(await merchant.charge("p3"), Succeeded)


@pytest.mark.parametrize(
    ("token", "kind"), [("tok_pending", Succeeded), ("tok_pending_fails", Declined)]
)
async def test_a_pending_payment_ends_by_a_signed_webhook(
    merchant: Any, token: str, kind: type
) -> None:
    opened = await merchant.charge("p1", token)
    assert isinstance(opened, Pending)
    event = await merchant.next_event()
    assert (event.kind, event.payment_id, event.provider_ref) == (
        "payment", "p1", opened.provider_ref,
    )  # fmt: skip
    assert isinstance(event.outcome, kind)
    assert await merchant.provider.fetch(merchant.ctx(), opened.provider_ref) == event.outcome


async def test_a_webhook_sent_again_has_the_same_id(
    merchant: Any, http: aiohttp.ClientSession
) -> None:
    await merchant.charge("p1", "tok_pending")
    event = await merchant.next_event()
    async with http.post(f"/control/webhooks/{event.event_id}/resend") as reply:
        assert reply.status == 204
    assert await merchant.next_event() == event
    async with http.post("/control/webhooks/evt_none/resend") as reply:
        assert reply.status == 404


async def test_the_payer_confirms_a_payment(merchant: Any, http: aiohttp.ClientSession) -> None:
    opened = await merchant.charge("p1", "tok_action")
    assert isinstance(opened, ActionRequired)
    async with http.get(opened.url) as page:
        assert "Confirm 12.05 EUR" in await page.text()
    await http.post(opened.url)
    assert isinstance((await merchant.next_event()).outcome, Succeeded)


async def test_a_hosted_page_pays_once(merchant: Any, http: aiohttp.ClientSession) -> None:
    request = merchant.request("p1")
    link = await merchant.provider.checkout_payment(
        merchant.ctx("p1:link:1"), request, "https://merchant.example/thanks"
    )
    async with http.get(link.url) as page:
        assert "Pay 12.05 EUR" in await page.text()
    for _ in range(2):
        async with http.post(link.url, allow_redirects=False) as reply:
            assert reply.headers["Location"] == "https://merchant.example/thanks"
    event = await merchant.next_event()
    assert event.payment_id == "p1"
    assert event.outcome.amount == Money(1205, "EUR")
    async with http.get("/control/payments?reference=p1") as reply:
        assert len(await reply.json()) == 1


async def test_a_hosted_page_stores_a_method(merchant: Any, http: aiohttp.ClientSession) -> None:
    link = await merchant.provider.checkout_setup(
        merchant.ctx("c-1:setup:1"), merchant.customer, "https://merchant.example/thanks"
    )
    await http.post(link.url, allow_redirects=False)
    event = await merchant.next_event()
    assert (event.kind, event.provider_customer_id) == (
        "method_added", merchant.customer.provider_customer_id,
    )  # fmt: skip
    assert event.method.provider_method_id == "tok_ok"


async def test_a_refund_is_told_by_webhook(merchant: Any) -> None:
    paid = await merchant.charge("p1")
    refund = await merchant.provider.refund(
        merchant.ctx("p1:refund:1"), paid.provider_ref, Money(205, "EUR")
    )
    event = await merchant.next_event()
    assert (event.kind, event.outcome) == ("refund", refund)


async def test_a_key_used_for_another_payment_is_not_applied(merchant: Any) -> None:
    await merchant.charge("p1")
    other = msgspec.structs.replace(merchant.request("p1"), amount=Money(1, "EUR"))
    outcome = await merchant.provider.charge(merchant.ctx("p1:charge:1"), other)
    assert isinstance(outcome, Unknown)


async def test_a_refused_request_is_a_decline_with_its_code(merchant: Any) -> None:
    free = msgspec.structs.replace(merchant.request("p1"), amount=Money(0, "EUR"))
    outcome = await merchant.provider.charge(merchant.ctx("p1:charge:1"), free)
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.provider_code) == ("other", "invalid_amount")


async def test_without_a_webhook_secret_nothing_is_believed(merchant: Any) -> None:
    merchant.config = msgspec.structs.replace(merchant.config, webhook_secret="")
    hook = RawWebhook(headers={}, body=b"{}", received_at_us=0)
    with pytest.raises(Misconfigured):
        merchant.provider.verify_webhook(merchant.ctx(), hook)


async def test_the_engine_finds_the_installed_plugin() -> None:
    async with ProviderRegistry.discover() as registry:
        provider = await registry.get("fakepay")
        config = registry.config("fakepay", {"base_url": "http://x", "secret_key": "sk_1"})
        assert type(config) is provider.Config
        assert "sk_1" not in repr(config)


async def test_the_server_runs_as_a_module() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lago_engine_fakepay.server", "--port", str(port),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    headers = {"Authorization": "Bearer sk_fakepay"}
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for _ in range(100):
                try:
                    async with http.get("/v1/account", headers=headers) as reply:
                        assert reply.status == 200
                    break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.1)
            else:
                pytest.fail("the server did not start")
    finally:
        process.terminate()
        await process.wait()
