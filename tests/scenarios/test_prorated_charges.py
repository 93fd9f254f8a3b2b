"""Units paid by the day: recurring sums and unique counts on their way from usage to a finalized invoice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.audit.explain import explain
from lago_engine.domain import commands as c

Used = tuple[str, dict[str, str]]
SUM = {"aggregation_type": "sum_agg", "recurring": True}
SEATS = {"aggregation_type": "unique_count_agg", "recurring": True}
STANDARD = {"charge_model": "standard", "properties": {"amount": "3"}}
EURO = {"charge_model": "standard", "properties": {"amount": "1"}}
VOLUME = {
    "charge_model": "volume",
    "properties": {
        "volume_ranges": [
            {"from_value": 0, "to_value": 20, "per_unit_amount": "3", "flat_amount": "10"},
            {"from_value": 21, "to_value": None, "per_unit_amount": "2.5", "flat_amount": "12"},
        ]
    },
}
GRADUATED = {
    "charge_model": "graduated",
    "properties": {
        "graduated_ranges": [
            {"from_value": 0, "to_value": 5, "per_unit_amount": "10", "flat_amount": "20"},
            {"from_value": 6, "to_value": None, "per_unit_amount": "6", "flat_amount": "5"},
        ]
    },
}


def values(*used: tuple[str, str]) -> list[Used]:
    return [(f"2024-{at}Z", {"n": value}) for at, value in used]


def seats(*used: tuple[str, str]) -> list[Used]:
    """`+A` adds a seat, `-A` removes it."""
    words = {"+": "add", "-": "remove"}
    return [
        (f"2024-{at}Z", {"n": change[1:], "operation_type": words[change[0]]})
        for at, change in used
    ]


CARRIED = values(("05-04T09:00:00", "20"), ("06-11T13:00:00", "5"), ("06-26T23:59:59", "-3"))
THREE_SEATS = seats(
    ("05-05T00:00:00", "+A"),
    ("06-05T09:00:00", "+C"),
    ("06-05T12:00:00", "-C"),
    ("06-05T18:00:00", "+C"),
    ("06-10T00:00:00", "-A"),
    ("06-21T00:00:00", "+B"),
)
# Metric, charge, events; then units, unit price and amount of June.
Case = tuple[dict[str, Any], dict[str, Any], list[Used], str, str, int]
CASES: dict[str, Case] = {
    "sum, standard": (SUM, STANDARD, CARRIED, "22.0", "3.113637272727273", 6850),
    "sum, volume": (SUM, VOLUME, CARRIED, "22.0", "3.140152272727273", 6908),
    "sum, graduated": (
        SUM,
        GRADUATED,
        values(("05-04T00:00:00", "4"), ("06-11T13:00:00", "3")),
        "7.0",
        "11.380952380952381",
        7967,
    ),
    "sum, nothing left": (
        SUM,
        EURO,
        values(("05-04T00:00:00", "4"), ("06-15T00:00:00", "-4")),
        "0.0",
        "0.0",
        187,  # 4 - 4 x 16 / 30, rounded up: 1.86667
    ),
    "unique count": (SEATS, EURO, THREE_SEATS, "2.0", "0.76667", 153),
    # By time: A and C for the first seat's price (10 and 26 days), then B (10 days).
    "unique count, graduated": (
        SEATS,
        {
            "charge_model": "graduated",
            "properties": {
                "graduated_ranges": [
                    {"from_value": 0, "to_value": 1, "per_unit_amount": "9", "flat_amount": "1"},
                    {"from_value": 2, "to_value": None, "per_unit_amount": "3", "flat_amount": "2"},
                ]
            },
        },
        THREE_SEATS,
        "2.0",
        "4.8",  # (9 x 10/30 + 3 x 26/30 + 3 x 10/30 + 1 + 2) / 2
        960,
    ),
}


async def subscribed(
    shop: Shop, metric: dict[str, Any], charge: dict[str, Any], **customer: Any
) -> Shop:
    """A customer with three days of grace since May, on a plan with one prorated charge on the field `n`."""
    await shop.at("2024-05-01")
    await shop.metric("m", "n", **metric)
    await shop.plan_of_one_charge("pro", "m", prorated=True, **charge)
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3}, **customer)
    return await shop.subscribe("acme", "pro")


async def use(shop: Shop, used: list[Used]) -> None:
    for at, properties in used:
        await shop.use("acme", "m", at=at, **properties)


def charge_fees(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    return [fee for fee in invoice["fees"] if fee["item"]["type"] == "charge"]


@pytest.mark.parametrize("name", CASES)
async def test_one_amount_from_usage_to_replay(tmp_path: Path, name: str) -> None:
    """The examples of metrics §9 and charges §8."""
    metric, charge, used, units, unit_price, amount = CASES[name]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, metric, charge)
        # Half of it late, and not in order.
        await use(shop, used[::2])
        await shop.advance_to("2024-06-28T00:00:00Z")
        await use(shop, used[1::2][::-1])
        [shown] = (await shop.usage("acme"))["charges_usage"]
        assert (shown["units"], shown["amount_cents"]) == (units, amount)
        await shop.advance_to("2024-07-04T06:00:00Z")
        invoice = shop.invoices("acme")[-1]
        [fee] = charge_fees(invoice)
        assert (fee["units"], fee["amount_cents"]) == (units, amount)
        assert fee["total_aggregated_units"] == units
        assert fee["precise_unit_amount"] == unit_price
        explained = explain(shop.engine.store, invoice["lago_id"])
        [lines] = [each.derivation for each in explained.fees if each.item.startswith("charge")]
        assert any("paid by the day" in line for line in lines)
    home.assert_sound()


async def test_a_termination_pays_the_days_until_then(tmp_path: Path) -> None:
    """20 for 12 of the 30 days of June, and 5 for 2 of them (metrics §9.1)."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, SUM, EURO)
        await use(shop, CARRIED[:2])
        await shop.advance_to("2024-06-12T15:00:00Z")
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        [fee] = charge_fees(shop.invoices("acme")[-1])
        assert (fee["units"], fee["precise_amount"]) == ("25.0", "8.33334")
    home.assert_sound()


async def test_every_group_and_filter_carries_its_own_units(tmp_path: Path) -> None:
    """metrics §12.9: what one group carries over does not raise the tier of another."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        regions = [{"key": "tier", "values": ["gold"]}]
        gold = {"values": {"tier": ["gold"]}, "properties": GRADUATED["properties"]}
        grouped = {
            **GRADUATED,
            "properties": {**GRADUATED["properties"], "pricing_group_keys": ["region"]},
            "filters": [gold],
        }
        await subscribed(shop, {**SUM, "filters": regions}, grouped)
        for at, value, properties in [
            ("05-04T00:00:00", "4", {"region": "eu"}),
            ("05-05T00:00:00", "9", {"tier": "gold"}),
            ("06-11T00:00:00", "3", {"region": "eu"}),
            ("06-11T00:00:00", "3", {"region": "us"}),
        ]:
            await use(shop, [(f"2024-{at}Z", {"n": value, **properties})])
        await shop.advance_to("2024-07-04T06:00:00Z")
        shown = [
            (fee["item"]["grouped_by"], fee["units"], fee["amount_cents"])
            for fee in charge_fees(shop.invoices("acme")[-1])
        ]
        assert shown == [
            ({"region": "eu"}, "7.0", 7967),
            ({"region": "us"}, "3.0", 4000),  # 2/3 x 30 + 20
            ({}, "9.0", 9900),  # 5 x 10 + 4 x 6 + 25
        ]
    home.assert_sound()


@pytest.mark.parametrize(
    ("timezone", "at", "days"),
    [
        # At 03:00 UTC it is still the 10th in New York; Berlin has had the 11th for three hours.
        ("America/New_York", "2024-03-11T03:00:00Z", 22),
        ("Europe/Berlin", "2024-03-10T23:30:00Z", 21),
        # The last day of the month begins after an hour that was skipped.
        ("Europe/Berlin", "2024-03-31T21:59:59Z", 1),
    ],
)
async def test_days_are_those_of_the_customer(
    tmp_path: Path, timezone: str, at: str, days: int
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-01-01")
        await shop.metric("m", "n", **SUM)
        await shop.plan_of_one_charge("pro", "m", prorated=True, **EURO)
        await shop.customer("acme", timezone=timezone)
        await shop.subscribe("acme", "pro")
        await use(shop, [(at, {"n": "31"})])
        await shop.advance_to("2024-04-02T12:00:00Z")
        [fee] = charge_fees(shop.invoices("acme")[-1])
        assert (fee["units"], fee["amount_cents"]) == ("31.0", 100 * days)
    home.assert_sound()
