"""Charge filters and pricing groups: one fee per bucket, each priced on its own, the same from usage to replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine_kit import Home, Shop, instant, running, sandbox

from lago_engine.audit.explain import explain
from lago_engine.clock import ManualClock
from lago_engine.documents.render import Style, render_invoice
from lago_engine.documents.view import invoice_view
from lago_engine.domain import commands as c

REGIONS = {"key": "region", "values": ["us", "eu", "asia"]}
TIERS = {"key": "tier", "values": ["gold", "silver"]}
BY_CLOUD = {"pricing_group_keys": ["cloud"]}
A = {"values": {"region": ["us", "eu"]}, "properties": {"amount": "2"}}
B = {
    "values": {"region": ["eu"]},
    "properties": {"amount": "3", **BY_CLOUD},
    "invoice_display_name": "Europe",
}
C = {
    "values": {"region": ["us", "eu"], "tier": ["gold"]},
    "properties": {"amount": "5"},
}
D = {"values": {"tier": ["__ALL_FILTER_VALUES__"]}, "properties": {"amount": "9"}}

# Properties besides the value, and the value. Comments: bucket, price of a unit.
EVENTS: list[tuple[dict[str, str], str]] = [
    ({"region": "us"}, "10"),  # A, 2
    ({"region": "eu", "cloud": "aws"}, "4"),  # B, 3
    ({"region": "eu", "cloud": "gcp"}, "2"),  # B, 3
    ({"region": "eu", "cloud": ""}, "1"),  # B without cloud, 3
    ({"region": "us", "tier": "gold"}, "3"),  # C, 5
    ({"region": "eu", "tier": "gold", "cloud": "aws"}, "2"),  # C, 5
    ({"region": "asia", "cloud": "aws"}, "7"),  # default, 1
    ({"region": "mars"}, "1"),  # default without cloud, 1
]
# Filter, group, units, amount: the default bucket first, then filters in their order.
Bucket = tuple[str | None, dict[str, str | None], str, int]
BUCKETS: list[Bucket] = [
    (None, {"cloud": "aws"}, "7.0", 700),
    (None, {"cloud": None}, "1.0", 100),
    ("us, eu", {}, "10.0", 2000),
    ("Europe", {"cloud": "aws"}, "4.0", 1200),
    ("Europe", {"cloud": "gcp"}, "2.0", 600),
    ("Europe", {"cloud": None}, "1.0", 300),
    ("us, eu, gold", {}, "5.0", 2500),
]
TOTAL = 7400


async def subscribed(shop: Shop, **charge: Any) -> Shop:
    await shop.at("2024-06-01")
    await shop.metric("storage", "gb", filters=[REGIONS, TIERS])
    await shop.tax("vat", "20")
    await shop.organization(c.CreatePlan, input=plan(shop, **charge))
    await shop.customer("acme", billing_configuration={"invoice_grace_period": 3})
    return await shop.subscribe("acme", "pro")


def plan(shop: Shop, **charge: Any) -> dict[str, Any]:
    metric_id = str(shop.engine.organization(shop.id).metrics["storage"].id)
    given = {
        "billable_metric_id": metric_id,
        "charge_model": "standard",
        "properties": {"amount": "1", **BY_CLOUD},
        "filters": [A, B, C, D],
    }
    return {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "tax_codes": ["vat"],
        "charges": [given | charge],
    }


async def use_everything(shop: Shop) -> None:
    for day, (properties, value) in enumerate(EVENTS, 1):
        await shop.use("acme", "storage", at=f"2024-06-{day:02}T10:00:00Z", gb=value, **properties)


def charge_fees(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    return [fee for fee in invoice["fees"] if fee["item"]["type"] == "charge"]


def bucket(fee: dict[str, Any]) -> Bucket:
    item = fee["item"]
    return (
        item["filter_invoice_display_name"],
        item["grouped_by"],
        fee["units"],
        fee["amount_cents"],
    )


async def test_each_bucket_has_its_fee_from_usage_to_replay(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop)
        await use_everything(shop)
        await shop.at("2024-06-20")
        usage = await shop.usage("acme")
        assert (usage["amount_cents"], usage["taxes_amount_cents"]) == (TOTAL, TOTAL // 5)

        await shop.advance_to("2024-07-01T06:00:00Z")
        [draft] = shop.invoices("acme")
        assert [bucket(fee) for fee in charge_fees(draft)] == BUCKETS

        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        fees = charge_fees(final)
        assert (final["status"], [bucket(fee) for fee in fees]) == ("finalized", BUCKETS)
        assert (final["fees_amount_cents"], final["total_amount_cents"]) == (TOTAL, 8880)
        assert len({fee["lago_id"] for fee in fees}) == len(BUCKETS)
        [document] = shop.documents("plan")
        filters = {shown["lago_id"]: shown for shown in document["charges"][0]["filters"]}
        for fee in fees:
            known = filters.get(fee["lago_charge_filter_id"])
            assert fee["item"]["filters"] == (known and known["values"])
        organization = shop.documents("organization")[0]
        notes = [
            line.notes for group in invoice_view(final, organization).groups for line in group.lines
        ]
        assert notes[1:5] == [("cloud: aws",), ("cloud: –",), ("us, eu",), ("Europe", "cloud: aws")]
        assert render_invoice(final, organization, Style(archival=True)).startswith(b"%PDF-")
        _assert_explained(shop, final)
    assert home.assert_sound().invoices == 2


def _assert_explained(shop: Shop, invoice: dict[str, Any]) -> None:
    """Each fee shows the events of its own bucket."""
    explained = explain(shop.engine.store, invoice["lago_id"]).fees
    charges = [fee for fee in explained if fee.item.startswith("charge")]
    assert charges[0].item == "charge storage cloud=aws"
    assert charges[5].item == "charge storage [Europe] cloud=none"
    shown = [[str(event.properties["gb"]) for event in fee.events] for fee in charges]
    assert shown == [["7"], ["1"], ["10"], ["4"], ["2"], ["1"], ["2", "3"]]


async def test_current_usage_by_filter_and_by_group(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await subscribed(shop)
        await use_everything(shop)
        await shop.at("2024-06-20")
        [charge] = (await shop.usage("acme"))["charges_usage"]
        assert (charge["units"], charge["events_count"], charge["amount_cents"]) == (
            "30.0",
            8,
            TOTAL,
        )
        assert [_entry(shown) for shown in charge["filters"]] == [
            ("10.0", 1, 2000, None, {"region": ("us", "eu")}),
            ("7.0", 3, 2100, "Europe", {"region": ("eu",)}),
            ("5.0", 2, 2500, None, {"region": ("us", "eu"), "tier": ("gold",)}),
            ("0.0", 0, 0, None, {"tier": ("__ALL_FILTER_VALUES__",)}),
            ("8.0", 2, 800, None, None),
        ]
        groups = [(g["grouped_by"], g["units"], g["amount_cents"]) for g in charge["grouped_usage"]]
        assert groups == [
            ({"cloud": "aws"}, "11.0", 1900),
            ({"cloud": None}, "2.0", 400),
            ({}, "15.0", 4500),
            ({"cloud": "gcp"}, "2.0", 600),
        ]
        aws = charge["grouped_usage"][0]
        assert [_entry(shown) for shown in aws["filters"]] == [
            ("4.0", 1, 1200, "Europe", {"region": ("eu",)}),
            ("7.0", 1, 700, None, None),
        ]


def _entry(shown: dict[str, Any]) -> tuple[Any, ...]:
    values = shown["values"] and {key: tuple(listed) for key, listed in shown["values"].items()}
    return (
        shown["units"],
        shown["events_count"],
        shown["amount_cents"],
        shown["invoice_display_name"],
        values,
    )


async def test_usage_without_filters_and_groups_has_neither(tmp_path: Path) -> None:
    async with sandbox(Home(tmp_path)) as shop:
        await subscribed(shop, filters=[], properties={"amount": "1"})
        await use_everything(shop)
        await shop.at("2024-06-20")
        [charge] = (await shop.usage("acme"))["charges_usage"]
        assert (charge["units"], charge["filters"], charge["grouped_usage"]) == ("30.0", [], [])


async def test_a_minimum_counts_all_buckets(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, min_amount_cents=10_000)
        await use_everything(shop)
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        parent, true_up, *others = charge_fees(final)
        assert (true_up["amount_cents"], final["fees_amount_cents"]) == (2600, 10_000)
        assert true_up["lago_true_up_parent_fee_id"] == parent["lago_id"]
        assert bucket(true_up)[:2] == bucket(parent)[:2] == (None, {"cloud": "aws"})
        assert [bucket(fee) for fee in (parent, *others)] == BUCKETS
    home.assert_sound()


async def test_a_minimum_is_due_without_usage(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, min_amount_cents=10_000)
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        assert [bucket(fee) for fee in charge_fees(final)] == [
            (None, {"cloud": None}, "0.0", 0),
            (None, {"cloud": None}, "1.0", 10_000),
        ]
    home.assert_sound()


async def test_tiers_start_again_in_every_bucket(tmp_path: Path) -> None:
    """A flat amount is due for each of them, used or not (charges §5.2)."""
    ranges = [{"from_value": 0, "to_value": None, "per_unit_amount": "1", "flat_amount": "10"}]
    tiers = {"graduated_ranges": ranges}
    filters = [{"values": filter_["values"], "properties": tiers} for filter_ in (A, D)]
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, charge_model="graduated", properties=tiers, filters=filters)
        await shop.use("acme", "storage", at="2024-06-02T00:00:00Z", gb="4", region="eu")
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        assert [bucket(fee) for fee in charge_fees(final)] == [
            (None, {}, "0.0", 1000),
            ("us, eu", {}, "4.0", 1400),
            ("tier", {}, "0.0", 1000),
        ]
    home.assert_sound()


async def test_a_draft_follows_the_filters_of_its_metric(tmp_path: Path) -> None:
    """Usage in a region that is no longer declared falls to the wider filter, then to the default bucket."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, properties={"amount": "1"})
        await shop.use("acme", "storage", at="2024-06-02T00:00:00Z", gb="4", region="eu")
        await shop.advance_to("2024-07-01T06:00:00Z")
        [draft] = shop.invoices("acme")
        assert draft["fees_amount_cents"] == 1200
        filters = [{"key": "region", "values": ["us"]}, TIERS]
        await shop.organization(c.UpdateBillableMetric, code="storage", input={"filters": filters})
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        assert [bucket(fee) for fee in charge_fees(final)] == [(None, {}, "4.0", 400)]
    home.assert_sound()


async def test_the_oldest_of_identical_filters_takes_all(tmp_path: Path) -> None:
    """Trimming a metric can make two filters the same (metrics §1.5)."""
    wide = {"values": {"region": ["us", "eu"]}, "properties": {"amount": "2"}}
    narrow = {"values": {"region": ["eu"]}, "properties": {"amount": "3"}}
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, filters=[narrow], properties={"amount": "1"})
        charge_id = shop.documents("plan")[0]["charges"][0]["lago_id"]
        await shop.at("2024-06-02")
        charge = {"id": charge_id, "filters": [wide, narrow]}
        await shop.organization(c.UpdatePlan, code="pro", input={"charges": [charge]})
        only_eu = [{"key": "region", "values": ["eu"]}]
        await shop.organization(c.UpdateBillableMetric, code="storage", input={"filters": only_eu})
        await shop.use("acme", "storage", at="2024-06-03T00:00:00Z", gb="4", region="eu")
        await shop.advance_to("2024-07-04T06:00:00Z")
        [final] = shop.invoices("acme")
        assert [(fee["units"], fee["amount_cents"]) for fee in charge_fees(final)] == [
            ("4.0", 1200)
        ]
    home.assert_sound()


async def test_buckets_survive_a_restart(tmp_path: Path) -> None:
    """With its snapshot and without: usage is folded again from the log."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop)
        await use_everything(shop)
        await shop.at("2024-06-20")
        before = await shop.usage("acme")
    for is_kept in (True, False):
        if not is_kept:
            home.snapshot.unlink()
        async with running(home, ManualClock(instant("2024-01-01"))) as opened:
            assert await Shop(opened).usage("acme") == before
    home.assert_sound()
