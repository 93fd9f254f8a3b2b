"""An upgrade with recurring units: who bills them, the old plan, the new one, or both (charges.md §13).

June 2024, plans by the month that cost nothing but their charges; the upgrade is on the 16th at midnight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

SEATS = {"aggregation_type": "sum_agg", "recurring": True}
PERIODIC = {"aggregation_type": "sum_agg", "recurring": False}


def charge(metric: str, amount: str, **fields: Any) -> dict[str, Any]:
    properties = {"amount": amount}
    return {"metric": metric, "charge_model": "standard", "properties": properties, **fields}


async def upgraded(shop: Shop, old: dict[str, Any], new: dict[str, Any], **metric: Any) -> Shop:
    """10 units on 5 June; on 1 July the new plan is billed."""
    await shop.at("2024-06-01")
    await shop.metric("seats", "n", **metric)
    await shop.metric("calls", "n", **PERIODIC)
    await shop.plan_of_one_charge("small", **charge(**old))
    await shop.plan_of_one_charge("big", **charge(**new))
    await shop.customer("acme")
    await shop.subscribe("acme", "small", "s")
    await shop.advance_to("2024-06-05")
    await shop.use("s", "seats", n="10")
    await shop.advance_to("2024-06-16")
    await shop.subscribe("acme", "big", "s")
    await shop.advance_to("2024-07-01T01:00:00Z")
    return shop


def amounts(shop: Shop) -> list[list[tuple[str, int]]]:
    """(units, amount) of the charges' fees on each invoice."""
    return [
        [
            (fee["units"], fee["amount_cents"])
            for fee in invoice["fees"]
            if fee["item"]["type"] == "charge"
        ]
        for invoice in shop.invoices()
    ]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[list[Any]]]] = {
    # The new plan charges for the same units: it alone bills them, once, at its price.
    "carried on": (
        SEATS,
        {"metric": "seats", "amount": "1"},
        {"metric": "seats", "amount": "3"},
        [[], [("10.0", 3000)]],
    ),
    "the new plan has no such charge": (
        SEATS,
        {"metric": "seats", "amount": "1"},
        {"metric": "calls", "amount": "3"},
        [[("10.0", 1000)], []],
    ),
    # Units that came in the period pay for the day of the change on both plans (metrics.md §9.1): 12 and 15 days of 30.
    "paid by the day": (
        SEATS,
        {"metric": "seats", "amount": "1", "prorated": True},
        {"metric": "seats", "amount": "3", "prorated": True},
        [[("10.0", 400)], [("10.0", 1500)]],
    ),
    # 10 for 11 of 30 days, then for 15.
    "a level over time": (
        {"aggregation_type": "weighted_sum_agg", "weighted_interval": "seconds", "recurring": True},
        {"metric": "seats", "amount": "1"},
        {"metric": "seats", "amount": "3"},
        [[("3.66666666666666666667", 367)], [("5.0", 1500)]],
    ),
    # Units of the period belong to the plan they were used on.
    "not recurring": (
        PERIODIC,
        {"metric": "seats", "amount": "1"},
        {"metric": "seats", "amount": "3"},
        [[("10.0", 1000)], []],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_an_upgrade_bills_recurring_units_where_they_go_on(tmp_path: Path, case: str) -> None:
    metric, old, new, expected = CASES[case]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await upgraded(shop, old, new, **metric)
        assert amounts(shop) == expected
    home.assert_sound()


async def test_a_draft_of_an_upgrade_keeps_what_it_leaves_to_the_next_plan(tmp_path: Path) -> None:
    """Refreshing it later does not depend on what the new plan has become since."""
    home = Home(tmp_path)
    async with sandbox(home, invoice_grace_period=30) as shop:
        await upgraded(
            shop, {"metric": "seats", "amount": "1"}, {"metric": "seats", "amount": "3"}, **SEATS
        )
        (closing, *_) = shop.invoices()
        await shop.organization(c.UpdatePlan, code="big", input={"charges": []})
        await shop.order(c.RefreshInvoice, "acme", invoice_id=UUID(closing["lago_id"]))
        assert amounts(shop)[0] == []
    home.assert_sound()
