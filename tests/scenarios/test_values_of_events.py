"""Charges that need more of an event than its part of a total: values, amounts, presentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

Used = tuple[str, dict[str, Any]]
# Day of June and value, in order of time: charges §5.5.
PAYMENTS = [(2, "50"), (3, "200"), (4, "30"), (5, "500")]
SUM = {"aggregation_type": "sum_agg"}
WEIGHTED = {
    "aggregation_type": "weighted_sum_agg",
    "weighted_interval": "seconds",
    "recurring": True,
}


async def subscribed(
    shop: Shop, metric: dict[str, Any], charge: dict[str, Any], start: str = "2024-06-01"
) -> Shop:
    await shop.at(start)
    await shop.metric("m", "n", **metric)
    await shop.plan_of_one_charge("pro", "m", **charge)
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3})
    return await shop.subscribe("acme", "pro")


def charge_fees(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    return [fee for fee in invoice["fees"] if fee["item"]["type"] == "charge"]


FREE: list[tuple[dict[str, Any], int]] = [
    ({}, 1250),
    ({"free_units_per_events": 2}, 835),
    ({"free_units_per_total_aggregation": "260"}, 820),
    ({"free_units_per_total_aggregation": "250"}, 855),
    ({"free_units_per_events": 2, "free_units_per_total_aggregation": "100"}, 1080),
    ({"free_units_per_events": 2, "free_units_per_total_aggregation": "1000"}, 835),
    ({"per_transaction_min_amount": "1", "per_transaction_max_amount": "6"}, 1120),
    (
        {
            "free_units_per_events": 2,
            "per_transaction_min_amount": "1",
            "per_transaction_max_amount": "6",
        },
        700,
    ),
    (
        {
            "free_units_per_total_aggregation": "260",
            "per_transaction_min_amount": "1",
            "per_transaction_max_amount": "6",
        },
        700,
    ),
]


@pytest.mark.parametrize(("free", "amount"), FREE)
async def test_a_percentage_looks_at_every_event(
    tmp_path: Path, free: dict[str, Any], amount: int
) -> None:
    """The table of charges §5.5; the events arrive in another order than they happened in."""
    properties = {"rate": "1.5", "fixed_amount": "0.2", **free}
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, SUM, {"charge_model": "percentage", "properties": properties})
        for day, value in [PAYMENTS[3], PAYMENTS[1], PAYMENTS[0]]:
            await shop.use("acme", "m", at=f"2024-06-{day:02}T00:00:00Z", n=value)
        await shop.advance_to("2024-07-01T12:00:00Z")
        day, value = PAYMENTS[2]
        await shop.use("acme", "m", at=f"2024-06-{day:02}T00:00:00Z", n=value)
        await shop.advance_to("2024-07-04T12:00:00Z")
        [fee] = charge_fees(shop.invoices("acme")[0])
        assert (fee["units"], fee["events_count"], fee["amount_cents"]) == ("780.0", 4, amount)
    home.assert_sound()


async def test_the_maximum_is_paid_by_the_event_that_has_it(tmp_path: Path) -> None:
    """The first two events are free, and the maximum is the second: only the lower bound is left to pay."""
    properties = {"rate": "10", "free_units_per_events": 2, "per_transaction_min_amount": "1"}
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        metric = {"aggregation_type": "max_agg"}
        await subscribed(shop, metric, {"charge_model": "percentage", "properties": properties})
        for day, value in [(4, "70"), (3, "90"), (2, "5"), (5, "90")]:
            await shop.use("acme", "m", at=f"2024-06-{day:02}T00:00:00Z", n=value)
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert (shown["units"], shown["amount_cents"]) == ("90.0", 200)
        # A late event moves the maximum out of the free ones.
        await shop.use("acme", "m", at="2024-06-01T00:00:00Z", n="1")
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert shown["amount_cents"] == 900 + 2 * 100
        await shop.advance_to("2024-07-04T12:00:00Z")
        [fee] = charge_fees(shop.invoices("acme")[0])
        assert fee["amount_cents"] == 1100
    home.assert_sound()


async def test_free_events_of_a_recurring_sum_are_the_first_ones_ever(tmp_path: Path) -> None:
    properties = {"rate": "10", "free_units_per_events": 2}
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(
            shop,
            {**SUM, "recurring": True},
            {"charge_model": "percentage", "properties": properties},
            "2024-05-01",
        )
        for at, value in [("05-03", "50"), ("05-02", "7"), ("06-02", "30"), ("06-03", "13")]:
            await shop.use("acme", "m", at=f"2024-{at}T00:00:00Z", n=value)
        await shop.advance_to("2024-07-04T12:00:00Z")
        may, june = (charge_fees(invoice) for invoice in shop.invoices("acme"))
        assert [(fee["units"], fee["amount_cents"]) for fee in may] == [("57.0", 0)]
        assert [(fee["units"], fee["amount_cents"]) for fee in june] == [("100.0", 430)]
    home.assert_sound()


async def test_a_dynamic_charge_costs_what_its_events_say(tmp_path: Path) -> None:
    """The example of charges §5.7."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        charge = {"charge_model": "dynamic", "properties": {"pricing_group_keys": ["region"]}}
        await subscribed(shop, SUM, charge)
        for id_, (value, amount, region) in enumerate(
            [("3", "1234.5", "eu"), ("4", 10.25, "eu"), ("5", None, "us"), ("none", "900", "eu")]
        ):
            event = shop.event("acme", "m", id=f"e{id_}", n=value, region=region)
            priced = {} if amount is None else {"precise_total_amount_cents": amount}
            status, answer = await shop.ingest([event | priced])
            assert status == 200, answer
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert (shown["units"], shown["amount_cents"]) == ("12.0", 1245)
        await shop.advance_to("2024-07-04T12:00:00Z")
        eu, us = charge_fees(shop.invoices("acme")[0])
        assert (eu["units"], eu["amount_cents"], eu["precise_amount"]) == ("7.0", 1245, "12.4475")
        assert (eu["precise_unit_amount"], eu["amount_details"]) == ("1.778214285714286", {})
        assert (us["units"], us["amount_cents"]) == ("5.0", 0)
    home.assert_sound()


BY_REGION: dict[str, Any] = {
    "charge_model": "standard",
    "properties": {
        "amount": "1",
        "pricing_group_keys": ["cloud"],
        "presentation_group_keys": [
            {"value": "cloud"},
            {"value": "region", "options": {"display_in_invoice": True}},
        ],
    },
    "filters": [{"values": {"tier": ["gold"]}, "properties": {"amount": "2"}}],
}
TIERS = [{"key": "tier", "values": ["gold"]}]
EVENTS: list[Used] = [
    ("2", {"n": "10", "region": "eu", "cloud": "aws"}),
    ("3", {"n": "5", "region": "us", "cloud": "aws"}),
    ("4", {"n": "-1", "cloud": "aws"}),
    ("5", {"n": "7", "region": "eu", "tier": "gold", "cloud": "gcp"}),
    ("6", {"n": "2", "region": "us", "tier": "gold", "cloud": "aws"}),
]


def shown_by(breakdowns: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    return [(each["presentation_by"], each["units"]) for each in breakdowns]


async def test_units_are_broken_down_for_presentation(tmp_path: Path) -> None:
    """metrics §8.2: in every bucket, without the keys that its group tells already."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, {**SUM, "filters": TIERS, "rounding_function": "ceil"}, BY_REGION)
        for day, properties in EVENTS:
            await shop.use("acme", "m", at=f"2024-06-0{day}T00:00:00Z", **properties)
        [charge] = (await shop.usage("acme"))["charges_usage"]
        assert charge["presentation_breakdowns"] == []
        aws, gold = charge["grouped_usage"]
        aws_by_region = [
            ({"region": "eu"}, "10.0"),
            ({"region": "us"}, "5.0"),
            ({"region": ""}, "-1.0"),
        ]
        assert shown_by(aws["presentation_breakdowns"]) == aws_by_region
        assert gold["presentation_breakdowns"] == []
        # The filter has no group, so its cloud is shown.
        gold_by_both = [
            ({"cloud": "aws", "region": "us"}, "2.0"),
            ({"cloud": "gcp", "region": "eu"}, "7.0"),
        ]
        [of_filter] = [each for each in charge["filters"] if each["values"]]
        assert shown_by(of_filter["presentation_breakdowns"]) == gold_by_both
        await shop.advance_to("2024-07-04T12:00:00Z")
        fees = charge_fees(shop.invoices("acme")[0])
        assert [shown_by(fee["presentation_breakdowns"]) for fee in fees] == [
            aws_by_region,
            gold_by_both,
        ]
        assert [fee["amount_cents"] for fee in fees] == [1400, 1800]
        stored = {fee["lago_id"]: fee for fee in shop.documents("fee")}
        for fee in fees:
            assert (
                stored[fee["lago_id"]]["presentation_breakdowns"] == fee["presentation_breakdowns"]
            )
    home.assert_sound()


PLAIN: dict[str, Any] = {
    "charge_model": "standard",
    "properties": {"amount": "1", "presentation_group_keys": [{"value": "region"}]},
}
# Metric; events of May and June; units of June, and their breakdown.
PRESENTED: dict[str, tuple[dict[str, Any], list[Used], str, list[tuple[str, str]]]] = {
    "count": (
        {"aggregation_type": "count_agg", "field_name": None},
        [("06-02", {"region": "eu"}), ("06-03", {"region": "eu"}), ("06-04", {"region": "us"})],
        "3.0",
        [("eu", "2.0"), ("us", "1.0")],
    ),
    "max": (
        {"aggregation_type": "max_agg"},
        [("06-02", {"n": "4", "region": "eu"}), ("06-03", {"n": "9", "region": "us"})],
        "9.0",
        [("eu", "4.0"), ("us", "9.0")],
    ),
    "latest": (
        {"aggregation_type": "latest_agg"},
        [("06-04", {"n": "-3", "region": "us"}), ("06-03", {"n": "9", "region": "eu"})],
        "0.0",
        [("us", "-3.0")],
    ),
    "unique count": (
        {"aggregation_type": "unique_count_agg", "recurring": True},
        [
            ("05-03", {"n": "A", "region": "eu"}),
            ("05-03", {"n": "B", "region": "us"}),
            ("06-03", {"n": "A", "region": "us"}),
            ("06-04", {"n": "B", "region": "us", "operation_type": "remove"}),
        ],
        "1.0",
        [("eu", "1.0"), ("us", "1.0")],
    ),
    "weighted sum": (
        WEIGHTED,
        [
            ("05-03", {"n": "6", "region": "eu"}),
            ("05-04", {"n": "2", "region": "asia"}),
            ("06-16", {"n": "10", "region": "us"}),
            ("06-16", {"n": "-4", "region": "eu"}),
        ],
        "11.0",
        [("asia", "2.0"), ("eu", "4.0"), ("us", "5.0")],
    ),
}


@pytest.mark.parametrize("name", PRESENTED)
async def test_every_aggregation_is_broken_down(tmp_path: Path, name: str) -> None:
    metric, used, units, breakdown = PRESENTED[name]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, metric, PLAIN, "2024-05-01")
        for at, properties in used:
            await shop.use("acme", "m", at=f"2024-{at}T00:00:00Z", **properties)
        await shop.advance_to("2024-06-20T00:00:00Z")
        [charge] = (await shop.usage("acme"))["charges_usage"]
        assert charge["units"] == units
        expected = [({"region": region}, shown) for region, shown in breakdown]
        assert shown_by(charge["presentation_breakdowns"]) == expected
        await shop.advance_to("2024-07-04T12:00:00Z")
        fees = charge_fees(shop.invoices("acme")[-1])
        assert [(fee["units"], shown_by(fee["presentation_breakdowns"])) for fee in fees] == [
            (units, expected)
        ]
    home.assert_sound()


async def test_a_level_is_carried_over_from_the_events(tmp_path: Path) -> None:
    """metrics §12.4: also a late event of a billed period, and a group without events, count in the next one."""
    charge = {
        "charge_model": "standard",
        "properties": {"amount": "1", "pricing_group_keys": ["region"]},
    }
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, WEIGHTED, charge, "2024-05-01")
        await shop.use("acme", "m", at="2024-05-17T00:00:00Z", n="31", region="eu")
        await shop.advance_to("2024-06-10T00:00:00Z")
        await shop.use("acme", "m", at="2024-05-20T00:00:00Z", n="5", region="us")
        await shop.use("acme", "m", at="2024-06-16T00:00:00Z", n="-30", region="eu")
        await shop.advance_to("2024-07-04T12:00:00Z")
        may, june = (charge_fees(invoice) for invoice in shop.invoices("acme"))

        def figures(fees: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
            return [
                (
                    f["item"]["grouped_by"],
                    f["units"],
                    f["total_aggregated_units"],
                    f["events_count"],
                )
                for f in fees
            ]

        assert figures(may) == [({"region": "eu"}, "15.0", "31.0", 1)]
        assert figures(june) == [
            ({"region": "eu"}, "16.0", "1.0", 1),
            ({"region": "us"}, "5.0", "5.0", 0),
        ]
    home.assert_sound()
