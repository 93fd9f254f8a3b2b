"""No usage that is accepted can make it impossible to show usage, to bill, or to read the log again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c

NINES = "9" * 60
LONG = f"{NINES}.{NINES}"
TINY = "0." + "0" * 129 + "1"
VALUES = (TINY, f"-{TINY}", f"{NINES}.{'9' * 130}", TINY, NINES, f"-{NINES}", "1")


def ranges(**price: str) -> list[dict[str, Any]]:
    return [
        {"from_value": 0, "to_value": 10, "flat_amount": LONG, **price},
        {"from_value": 11, "to_value": None, "flat_amount": LONG, **price},
    ]


MODELS: dict[str, dict[str, Any]] = {
    "standard": {"amount": LONG},
    "graduated": {"graduated_ranges": ranges(per_unit_amount=LONG)},
    "volume": {"volume_ranges": ranges(per_unit_amount=LONG)},
    "package": {"package_size": 3, "amount": LONG, "free_units": 3},
    "percentage": {
        "rate": LONG,
        "fixed_amount": LONG,
        "free_units_per_total_aggregation": NINES,
        "per_transaction_min_amount": LONG,
    },
    "graduated_percentage": {"graduated_percentage_ranges": ranges(rate=LONG)},
    "dynamic": {},
}


@pytest.mark.parametrize(
    ("model", "in_advance"),
    [(model, False) for model in MODELS] + [(model, True) for model in MODELS if model != "volume"],
)
async def test_the_largest_and_the_smallest_values_are_billed(
    tmp_path: Path, model: str, in_advance: bool
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.tax("vat", "20", applied_to_organization=True)
        await shop.metric("gb", "gb", rounding_function="round", rounding_precision=60)
        charge = {"charge_model": model, "properties": MODELS[model]}
        await shop.plan_of_one_charge("pro", "gb", pay_in_advance=in_advance, **charge)
        await shop.customer("acme")
        await shop.subscribe("acme", "pro")
        for value in VALUES:
            event = shop.event("acme", "gb", gb=value)
            status, answer = await shop.ingest([event | {"precise_total_amount_cents": "9" * 25}])
            assert status == 200, answer
            await shop.usage("acme")
        assert shop.engine.partition.meter.pending_in_advance == 0
        used = (await shop.usage("acme"))["amount_cents"]
        await shop.advance_to("2024-02-02")
        billed = sum(
            fee["amount_cents"] for fee in shop.documents("fee") if fee["item"]["type"] == "charge"
        )
        assert used > 0
        assert billed == used or in_advance
        clock = ManualClock(shop.now)
    home.assert_sound()
    async with running(home, clock) as opened:
        again = Shop(opened)
        await again.order(c.TerminateSubscription, "acme", external_id="acme", input={})


async def test_amounts_beyond_64_bits_leave_memory_and_come_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    clock = ManualClock(instant("2024-01-01"))
    customers = ("acme", "globex", "initech")
    async with running(home, clock, customers_resident_max=1) as opened:
        shop = await Shop(opened).found()
        await shop.metric("gb", "gb")
        await shop.plan("pro", 0, {"gb": LONG})
        await shop.at("2024-01-01")
        for customer in customers:
            await shop.customer(customer)
            await shop.subscribe(customer, "pro")
            await shop.use(customer, "gb", gb=NINES)
        await shop.advance_to("2024-02-02")
        for customer in customers:
            await shop.customer(customer, name="Renamed")
            [invoice] = shop.invoices(customer)
            assert invoice["total_amount_cents"] > 2**64
    home.assert_sound()
