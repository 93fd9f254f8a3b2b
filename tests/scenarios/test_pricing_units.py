"""Usage priced in credits, five ways: current, projected, draft, finalized and past; and the log proves it (charges.md §10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

CREDITS = {"code": "credits", "conversion_rate": "0.5"}
REGIONS = [{"key": "region", "values": ["eu", "us"]}]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


async def shop_with_credits(shop: Shop, **charge: Any) -> Shop:
    unit = {"code": "credits", "name": "Credits", "short_name": "CR"}
    await shop.organization(c.CreatePricingUnit, input=unit)
    await shop.metric("gb", "gb", filters=REGIONS)
    terms = {
        "charge_model": "standard",
        "properties": {"amount": "1"},
        "applied_pricing_unit": CREDITS,
    }
    await shop.plan_of_one_charge("basic", "gb", **terms | charge)
    await shop.at("2024-06-01")
    await shop.subscribe("acme", "basic")
    return shop


async def change_rate(shop: Shop, rate: str) -> None:
    [charge] = shop.engine.organization(shop.id).plans["basic"].charges
    # The code of another unit is no change of the unit.
    item = {"id": str(charge.id), "applied_pricing_unit": {"code": "x", "conversion_rate": rate}}
    await shop.organization(c.UpdatePlan, code="basic", input={"charges": [item]})


def charge_fees(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the base fee."""
    return [fee for fee in invoice["fees"] if fee["lago_charge_id"]]


def details(fees: list[dict[str, Any]]) -> list[tuple[int, int | None]]:
    """Money and credits of each fee."""
    units = [fee["pricing_unit_details"] for fee in fees]
    return [
        (fee["amount_cents"], unit and unit["amount_cents"])
        for fee, unit in zip(fees, units, strict=True)
    ]


async def test_current_usage_drafts_and_invoices_agree(home: Home) -> None:
    async with sandbox(home, invoice_grace_period=3) as shop:
        filters = [{"values": {"region": ["eu"]}, "properties": {"amount": "0.0617"}}]
        await shop_with_credits(shop, filters=filters)
        await shop.use("acme", "gb", gb="12.345")
        await shop.use("acme", "gb", gb="100", region="eu")
        usage = await shop.usage("acme")
        assert usage["amount_cents"] == 618 + 309
        [charge] = usage["charges_usage"]
        unit = {"short_name": "CR", "conversion_rate": "0.5"}
        assert charge["pricing_unit_details"] == {"amount_cents": 1235 + 617, **unit}
        shown = [each["pricing_unit_details"]["amount_cents"] for each in charge["filters"]]
        assert shown == [617, 1235]
        await shop.advance_to("2024-07-02")
        [draft] = shop.invoices()
        assert details(charge_fees(draft)) == [(618, 1235), (309, 617)]
        await change_rate(shop, "0.6")
        [draft] = shop.invoices()
        assert details(charge_fees(draft)) == [(741, 1235), (370, 617)]
        await shop.advance_to("2024-07-05")
        await change_rate(shop, "0.7")
        [invoice] = [each for each in shop.invoices() if each["status"] == "finalized"]
        assert invoice["fees"] == draft["fees"]
        fee = charge_fees(invoice)[1]
        assert fee["pricing_unit_details"] == {
            "lago_pricing_unit_id": str(
                shop.engine.organization(shop.id).pricing_units["credits"].id
            ),
            "pricing_unit_code": "credits",
            "short_name": "CR",
            "amount_cents": 617,
            "precise_amount_cents": "617.0",
            "unit_amount_cents": 6,
            "precise_unit_amount": "0.0617",
            "conversion_rate": "0.6",
        }
        assert fee["precise_unit_amount"] == "0.03702"
    home.assert_sound()


async def test_a_minimum_is_in_the_unit_too(home: Home) -> None:
    async with sandbox(home) as shop:
        await shop_with_credits(shop, min_amount_cents=10_000)
        await shop.use("acme", "gb", gb="12.345")
        await shop.advance_to("2024-07-01T12:00")
        [invoice] = shop.invoices()
        usage, true_up = charge_fees(invoice)
        assert true_up["lago_true_up_parent_fee_id"] == usage["lago_id"]
        assert details([usage, true_up]) == [(618, 1235), (4383, 8765)]
        assert true_up["precise_amount"] == "43.825"
        assert true_up["precise_unit_amount"] == "43.825"
        unit = true_up["pricing_unit_details"]
        assert (unit["precise_amount_cents"], unit["precise_unit_amount"]) == ("8765.5", "87.655")
    home.assert_sound()


@pytest.mark.parametrize("invoiceable", [True, False])
async def test_events_are_billed_at_once(home: Home, *, invoiceable: bool) -> None:
    async with sandbox(home) as shop:
        await shop_with_credits(shop, pay_in_advance=True, invoiceable=invoiceable)
        await shop.use("acme", "gb", gb="12.345")
        await change_rate(shop, "2")
        await shop.use("acme", "gb", gb="1")
        fees = shop.documents("fee")
        assert details(fees) == [(618, 1235), (200, 100)]
        usage = await shop.usage("acme")
        [charge] = usage["charges_usage"]
        # Current usage is all of it at the prices of now; what is billed keeps its rate.
        assert charge["pricing_unit_details"]["amount_cents"] == 1335
        assert usage["amount_cents"] == 2670
    home.assert_sound()


async def test_an_override_has_its_own_rate(home: Home) -> None:
    async with sandbox(home) as shop:
        await shop_with_credits(shop)
        [charge] = shop.engine.organization(shop.id).plans["basic"].charges
        override = {"id": str(charge.id), "applied_pricing_unit": {"conversion_rate": "3"}}
        await shop.subscribe("own", "basic", plan_overrides={"charges": [override]})
        for customer in ("acme", "own"):
            await shop.use(customer, "gb", gb="10")
        await shop.advance_to("2024-07-01T12:00")
        assert details(charge_fees(shop.invoices("acme")[0])) == [(500, 1000)]
        assert details(charge_fees(shop.invoices("own")[0])) == [(3000, 1000)]
    home.assert_sound()


async def test_usage_of_a_charge_for_wallets_is_grouped_by_the_wallet(home: Home) -> None:
    async with sandbox(home) as shop:
        regions = {"amount": "1", "pricing_group_keys": ["region"]}
        await shop_with_credits(
            shop, accepts_target_wallet=True, properties=regions, applied_pricing_unit=None
        )
        await shop.use("acme", "gb", gb="1", region="eu", target_wallet_code="gold")
        await shop.use("acme", "gb", gb="2", region="eu", target_wallet_code="iron")
        await shop.use("acme", "gb", gb="4", region="eu")
        [charge] = (await shop.usage("acme"))["charges_usage"]
        groups = [tuple(each["grouped_by"].items()) for each in charge["grouped_usage"]]
        wallets = ("gold", "iron", None)
        assert groups == [(("region", "eu"), ("target_wallet_code", each)) for each in wallets]
        await shop.advance_to("2024-07-01T12:00")
        fees = charge_fees(shop.invoices()[0])
        assert [
            (fee["item"]["grouped_by"]["target_wallet_code"], fee["units"]) for fee in fees
        ] == [
            ("gold", "1.0"),
            ("iron", "2.0"),
            (None, "4.0"),
        ]
    home.assert_sound()


async def test_events_in_advance_have_a_counter_per_wallet(home: Home) -> None:
    async with sandbox(home) as shop:
        terms = {"pay_in_advance": True, "accepts_target_wallet": True}
        await shop_with_credits(shop, applied_pricing_unit=None, **terms)
        for wallet in ("gold", "iron"):
            await shop.use("acme", "gb", gb="2", target_wallet_code=wallet)
        fees = shop.documents("fee")
        assert [fee["item"]["grouped_by"] for fee in fees] == [
            {"target_wallet_code": "gold"},
            {"target_wallet_code": "iron"},
        ]
        assert [fee["amount_cents"] for fee in fees] == [200, 200]
    home.assert_sound()
