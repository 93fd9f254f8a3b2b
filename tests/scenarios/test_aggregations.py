"""Every aggregation on its way from usage to a finalized invoice, against amounts computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

Used = tuple[str, dict[str, str]]
"""When in 2024, and the properties of the event."""


def values(*used: tuple[str, str]) -> list[Used]:
    return [(at, {"n": value}) for at, value in used]


SEATS: list[Used] = [
    ("06-01T01:00:00Z", {"n": "A", "operation_type": "add"}),
    ("06-02T01:00:00Z", {"n": "B"}),
    ("06-03T01:00:00Z", {"n": "A", "operation_type": "add"}),
    ("06-04T01:00:00Z", {"n": "A", "operation_type": "remove"}),
    ("06-05T01:00:00Z", {"n": "C", "operation_type": "remove"}),
    ("06-06T01:00:00Z", {"n": "C", "operation_type": "add"}),
    ("06-07T01:00:00Z", {"n": "B", "operation_type": "remove"}),
    ("06-08T01:00:00Z", {"n": "B", "operation_type": "add"}),
]
LEVEL = values(("06-04T00:00:00Z", "10"), ("06-16T12:00:00Z", "-4"))
TEN = values(("06-11T00:00:00Z", "10"))
PEAKS = values(("06-03T00:00:00Z", "4"), ("06-10T00:00:00Z", "19"), ("06-20T00:00:00Z", "7"))
LATEST = values(("06-03T00:00:00Z", "9"), ("06-20T00:00:00Z", "4"), ("06-10T00:00:00Z", "6"))
WEIGHTED = {"aggregation_type": "weighted_sum_agg", "weighted_interval": "seconds"}
MAX = {"aggregation_type": "max_agg"}
EURO = {"charge_model": "standard", "properties": {"amount": "1"}}
TIERS = [
    {"from_value": 0, "to_value": 1, "per_unit_amount": "5", "flat_amount": "0"},
    {"from_value": 2, "to_value": None, "per_unit_amount": "3", "flat_amount": "2"},
]

# Metric, charge, start, events; then units, total units, number of events and amount of June.
Case = tuple[dict[str, Any], dict[str, Any], str, list[Used], str, str, int, int]
CASES: dict[str, Case] = {
    "max": (MAX, EURO, "2024-06-01", PEAKS, "19.0", "19.0", 3, 1900),
    "percentage of max": (
        MAX,
        {"charge_model": "percentage", "properties": {"rate": "10", "fixed_amount": "0.5"}},
        "2024-06-01",
        PEAKS,
        "19.0",
        "19.0",
        3,
        340,
    ),
    "latest": (
        {"aggregation_type": "latest_agg"},
        EURO,
        "2024-06-01",
        LATEST,
        "4.0",
        "4.0",
        3,
        400,
    ),
    "a latest below zero": (
        {"aggregation_type": "latest_agg"},
        EURO,
        "2024-06-01",
        values(("06-03T00:00:00Z", "9"), ("06-04T00:00:00Z", "-2")),
        "0.0",
        "0.0",
        2,
        0,
    ),
    "unique count": (
        {"aggregation_type": "unique_count_agg"},
        EURO,
        "2024-06-01",
        SEATS,
        "2.0",
        "2.0",
        2,
        200,
    ),
    "graduated unique count": (
        {"aggregation_type": "unique_count_agg"},
        {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}},
        "2024-06-01",
        SEATS,
        "2.0",
        "2.0",
        2,
        1000,
    ),
    "weighted sum": (
        WEIGHTED,
        EURO,
        "2024-06-01",
        LEVEL,
        "7.06666666666666666667",
        "6.0",
        2,
        707,
    ),
    "weighted sum, rounded": (
        {**WEIGHTED, "rounding_function": "ceil", "rounding_precision": 1},
        EURO,
        "2024-06-01",
        LEVEL,
        "7.1",
        "6.0",
        2,
        710,
    ),
    "weighted sum of a part of the period": (
        WEIGHTED,
        EURO,
        "2024-06-11",
        TEN,
        "6.66666666666666666667",
        "10.0",
        1,
        667,
    ),
}


async def subscribed(
    shop: Shop, metric: dict[str, Any], charge: dict[str, Any], start: str
) -> Shop:
    """A customer with three days of grace, on a plan with one charge for the metric `m` of the field `n`."""
    await shop.at(start)
    await shop.metric("m", "n", **metric)
    metric_id = str(shop.engine.organization(shop.id).metrics["m"].id)
    plan = {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": [{"billable_metric_id": metric_id, **charge}],
    }
    await shop.organization(c.CreatePlan, input=plan)
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3})
    return await shop.subscribe("acme", "pro")


def charge_fees(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    return [fee for fee in invoice["fees"] if fee["item"]["type"] == "charge"]


def figures(shown: dict[str, Any]) -> tuple[str, str, int, int]:
    """Of a fee or of a charge in current usage."""
    return (
        shown["units"],
        shown["total_aggregated_units"],
        shown["events_count"],
        shown["amount_cents"],
    )


@pytest.mark.parametrize("name", CASES)
async def test_one_aggregate_from_usage_to_replay(tmp_path: Path, name: str) -> None:
    metric, charge, start, used, *expected = CASES[name]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, metric, charge, start)
        for at, properties in used:
            await shop.use("acme", "m", at=f"2024-{at}", **properties)
        await shop.at("2024-06-25T00:00:00Z")
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert figures(shown) == tuple(expected)

        await shop.advance_to("2024-07-01T06:00:00Z")
        [draft] = shop.invoices("acme")
        [drafted] = charge_fees(draft)
        assert (draft["status"], figures(drafted)) == ("draft", tuple(expected))

        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        [billed] = charge_fees(final)
        assert (final["status"], figures(billed)) == ("finalized", tuple(expected))
        assert final["fees_amount_cents"] == expected[-1]
    assert home.assert_sound().invoices == 2


async def test_nothing_used_is_not_billed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, WEIGHTED, EURO, "2024-06-01")
        await shop.use("acme", "m", at="2024-06-03T00:00:00Z", n="none")
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        assert charge_fees(final) == []
    home.assert_sound()


@pytest.mark.parametrize(
    ("metric", "used", "months"),
    [
        (
            {"aggregation_type": "sum_agg"},
            values(
                ("06-05T00:00:00Z", "20"),
                ("07-05T00:00:00Z", "5"),
                ("07-06T00:00:00Z", "-3"),
            ),
            [("20.0", 2000), ("22.0", 2200), ("22.0", 2200)],
        ),
        (
            {"aggregation_type": "unique_count_agg"},
            [
                ("06-05T00:00:00Z", {"n": "A"}),
                ("06-05T00:00:00Z", {"n": "B"}),
                ("07-20T00:00:00Z", {"n": "A", "operation_type": "remove"}),
            ],
            [("2.0", 200), ("1.0", 100), ("1.0", 100)],
        ),
    ],
    ids=["sum", "unique count"],
)
async def test_recurring_units_are_billed_without_events_too(
    tmp_path: Path, metric: dict[str, Any], used: list[Used], months: list[tuple[str, int]]
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, {**metric, "recurring": True}, EURO, "2024-06-01")
        for month in (6, 7, 8):
            for at, properties in used:
                if at.startswith(f"{month:02}"):
                    await shop.use("acme", "m", at=f"2024-{at}", **properties)
            await shop.advance_to(f"2024-{month + 1:02}-04T06:00:00Z")
        fees = [fee for invoice in shop.invoices("acme") for fee in charge_fees(invoice)]
        assert [(fee["units"], fee["amount_cents"]) for fee in fees] == months
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert (shown["units"], shown["amount_cents"]) == months[-1]
    assert home.assert_sound().invoices == 6


async def test_a_weighted_sum_ends_with_its_subscription(tmp_path: Path) -> None:
    """10 for 12 of the 30 days of June (metrics §6.6)."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, WEIGHTED, EURO, "2024-06-01")
        await shop.use("acme", "m", at="2024-06-01T00:00:00Z", n="10")
        await shop.at("2024-06-13T00:00:00Z")
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        [draft] = shop.invoices("acme")
        [fee] = charge_fees(draft)
        assert figures(fee) == ("4.0", "10.0", 1, 400)
    home.assert_sound()


async def test_a_weighted_sum_counts_local_days(tmp_path: Path) -> None:
    """10 for the last 16 of the 31 days of a March in New York, with an hour less: 160 / 31, rounded up."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, WEIGHTED, EURO, "2024-02-10")
        await shop.customer("acme", timezone="America/New_York")
        await shop.use("acme", "m", at="2024-03-16T04:00:00Z", n="10")
        await shop.advance_to("2024-04-05T12:00:00Z")
        february, march = shop.invoices("acme")
        assert charge_fees(february) == []
        [fee] = charge_fees(march)
        assert figures(fee) == ("5.1612903225806451613", "10.0", 1, 516)
    home.assert_sound()
