"""The same usage costs the same, whoever asks: current usage, a draft, the invoice, an estimate, what-if and a replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine_kit import Home, Shop, instant, sandbox

from lago_engine.audit.whatif import Choice, whatif
from lago_engine.bootstrap import event_codec, fingerprint_secret

TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "2"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "3"},
]
SHARES = [
    {"from_value": 0, "to_value": 10, "rate": "2", "flat_amount": "1"},
    {"from_value": 11, "to_value": None, "rate": "1", "flat_amount": "3"},
]
MODELS: dict[str, dict[str, Any]] = {
    "standard": {"amount": "0.07"},
    "graduated": {"graduated_ranges": TIERS},
    "package": {"package_size": 10, "amount": "5", "free_units": 3},
    "percentage": {"rate": "1.5", "fixed_amount": "0.2", "free_units_per_events": 1},
    "graduated_percentage": {"graduated_percentage_ranges": SHARES},
    "volume": {"volume_ranges": TIERS},
    "dynamic": {},
}
VALUES = ("4", "6.5", "3", "0.25")
PRICE = "12.5"
"""In minor units, of every event; the dynamic model takes it."""


def event(shop: Shop, value: str) -> dict[str, Any]:
    return shop.event("acme", "gb", gb=value) | {"precise_total_amount_cents": PRICE}


async def subscribed(shop: Shop, charge: dict[str, Any]) -> None:
    await shop.at("2024-06-01")
    await shop.metric("gb", "gb")
    await shop.plan_of_one_charge("pro", "gb", **charge)
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3})
    await shop.subscribe("acme", "pro")


def charged(shop: Shop) -> int:
    """What the fees of the charge come to."""
    return sum(
        int(fee["amount_cents"]) for fee in shop.documents("fee") if fee["item"]["type"] == "charge"
    )


@pytest.mark.parametrize("model", MODELS)
async def test_billed_later(tmp_path: Path, model: str) -> None:
    home = Home(tmp_path)
    charge = {"charge_model": model, "properties": MODELS[model]}
    async with sandbox(home) as shop:
        await subscribed(shop, charge)
        for value in VALUES:
            status, answer = await shop.ingest([event(shop, value)])
            assert status == 200, answer
        used = (await shop.usage("acme"))["amount_cents"]
        await shop.advance_to("2024-07-02")
        [draft] = shop.invoices("acme")
        assert (draft["status"], draft["fees_amount_cents"], charged(shop)) == ("draft", used, used)
        await shop.advance_to("2024-07-06")
        [invoice] = shop.invoices("acme")
        assert (invoice["status"], invoice["fees_amount_cents"]) == ("finalized", used)
        metric = shop.engine.organization(shop.id).metrics["gb"]
        plan = {
            "code": "new", "name": "New", "interval": "monthly", "amount_cents": 0,
            "amount_currency": "EUR", "pay_in_advance": False,
            "charges": [{"billable_metric_id": str(metric.id), **charge}],
        }  # fmt: skip
    store = home.store(read_only=True)
    june = Choice(since=instant("2024-06-01"), until=instant("2024-07-01"))
    found = whatif(store, event_codec(), fingerprint_secret(store), plan, june)
    store.close()
    assert (found.present_amount_cents, found.new_amount_cents) == (used, used)
    assert used > 0
    home.assert_sound()


@pytest.mark.parametrize("model", [model for model in MODELS if model != "volume"])
async def test_billed_at_once(tmp_path: Path, model: str) -> None:
    home = Home(tmp_path)
    charge = {"charge_model": model, "properties": MODELS[model], "pay_in_advance": True}
    async with sandbox(home) as shop:
        await subscribed(shop, charge | {"invoiceable": False})
        customer = await shop.engine.customer(shop.id, "acme")
        assert customer is not None
        [subscription] = customer.subscriptions
        for value in VALUES:
            sent, before = event(shop, value), charged(shop)
            [estimated] = await shop.engine.estimate_fees(
                shop.id, "acme", subscription, msgspec.json.encode(sent)
            )
            status, answer = await shop.ingest([sent])
            assert status == 200, answer
            assert charged(shop) - before == msgspec.json.decode(estimated)["amount_cents"]
        # Each fee is rounded, the usage as a whole only once.
        used = (await shop.usage("acme"))["amount_cents"]
        assert abs(charged(shop) - used) <= len(VALUES) / 2
        assert used > 0
    home.assert_sound()
