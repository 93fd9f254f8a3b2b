"""Units that an upgrade takes along are billed once, by the plan they end up on (charges.md §13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

RECURRING = {"recurring": True}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


async def upgraded(shop: Shop, plan: str, metric: dict[str, Any], **charge: Any) -> list[int]:
    """Charge fees of June, after 10 units on 5 June and an upgrade on the 16th."""
    await shop.metric("seats", "gb", **metric)
    await shop.metric("other", "gb")
    await shop.plan("small", 1000, {"seats": "1"})
    await shop.plan_of_one_charge(
        "basic", "seats", charge_model="standard", properties={"amount": "1"}, **charge
    )
    await shop.plan("same", 9000, {"seats": "3"})
    await shop.plan("without", 9000, {"other": "3"})
    await shop.at("2024-06-01")
    await shop.subscribe("acme", "basic")
    await shop.at("2024-06-05")
    await shop.use("acme", "seats", gb="10")
    await shop.advance_to("2024-06-16")
    await shop.subscribe("acme", plan)
    await shop.advance_to("2024-07-01T12:00")
    return [
        fee["amount_cents"]
        for invoice in shop.invoices()
        for fee in invoice["fees"]
        if fee["item"]["type"] == "charge"
    ]


@pytest.mark.parametrize(
    ("plan", "metric", "charge", "expected"),
    [
        pytest.param("same", RECURRING, {}, [3000], id="billed by the new plan"),
        pytest.param("same", RECURRING, {"min_amount_cents": 900}, [3000], id="no minimum either"),
        pytest.param("without", RECURRING, {}, [1000], id="the new plan does not bill it"),
        pytest.param("small", RECURRING, {}, [1000], id="upgrade by any price"),
        pytest.param("same", {}, {}, [1000], id="metered units stay where they were used"),
        pytest.param("same", RECURRING, {"prorated": True}, [400, 3000], id="paid by the day"),
    ],
)
async def test_units_are_billed_once(
    home: Home, plan: str, metric: dict[str, Any], charge: dict[str, Any], expected: list[int]
) -> None:
    async with sandbox(home) as shop:
        assert await upgraded(shop, plan, metric, **charge) == expected
    home.assert_sound()


async def test_a_level_over_time_is_billed_until_the_upgrade(home: Home) -> None:
    metric = {
        "aggregation_type": "weighted_sum_agg",
        "weighted_interval": "seconds",
        **RECURRING,
    }
    async with sandbox(home) as shop:
        # 10 for 11 of 30 days at 1.00, then for 15 days at 3.00.
        assert await upgraded(shop, "same", metric) == [367, 1500]
    home.assert_sound()
