"""Recorded usage under another plan: the same prices give the invoices' amounts, others the difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from engine_kit import Home, Shop, instant, sandbox

from lago_engine.audit.whatif import Choice, Compared, whatif
from lago_engine.bootstrap import event_codec, fingerprint_secret
from lago_engine.cli import cli
from lago_engine.domain import commands as c
from lago_engine.errors import DomainError, NotFound, ValidationFailed


async def three_months(shop: Shop) -> None:
    """`anna` and `ben` use 10 and 3 a month from January to March, at 2.00 and 1.00 per unit."""
    await shop.metric("gb", "gb")
    await shop.plan("basic", 500, {"gb": "2"})
    await shop.plan("other", 500, {"gb": "1"})
    for name, plan in (("anna", "basic"), ("ben", "other")):
        await shop.customer(name)
        await shop.subscribe(name, plan)
    for month in ("2024-02", "2024-03", "2024-04"):
        await shop.use("anna", "gb", gb=10)
        await shop.use("ben", "gb", gb=3)
        await shop.advance_to(f"{month}-01T06:00:00Z")


def plan(shop: Shop, model: str = "standard", **properties: Any) -> dict[str, Any]:
    metric = shop.engine.organization(shop.id).metrics["gb"]
    charge = {"billable_metric_id": str(metric.id), "charge_model": model, "properties": properties}
    return {
        "code": "new", "name": "New", "interval": "monthly", "amount_cents": 0,
        "amount_currency": "EUR", "pay_in_advance": False, "charges": [charge],
    }  # fmt: skip


def compared(home: Home, given: dict[str, Any], **choice: Any) -> Compared:
    store = home.store(read_only=True)
    try:
        whole = {"since": instant("2024-01-01"), "until": instant("2024-04-01")}
        return whatif(
            store, event_codec(), fingerprint_secret(store), given, Choice(**(whole | choice))
        )
    finally:
        store.close()


def rows(of: Compared) -> list[tuple[str, int, int, int]]:
    return [
        (each.external_id, each.periods, each.present_amount_cents, each.new_amount_cents)
        for each in of.customers
    ]


async def test_prices_of_another_plan_beside_the_running_engine(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await three_months(shop)
        before = home.verified()
        billed = {
            name: sum(fee["amount_cents"] for invoice in shop.invoices(name)
                      for fee in invoice["fees"] if fee["item"]["type"] == "charge")
            for name in ("anna", "ben")
        }  # fmt: skip
        same = compared(home, plan(shop, amount="2"))
        assert rows(same) == [("anna", 3, 6000, 6000), ("ben", 3, 900, 1800)]
        assert {each.external_id: each.present_amount_cents for each in same.customers} == billed
        packages = compared(
            home, plan(shop, "package", amount="5", package_size=4, free_units=0), plan="basic"
        )
        assert rows(packages) == [("anna", 3, 6000, 4500)]
        assert packages.new_amount_cents - packages.present_amount_cents == -1500
        february = {"since": instant("2024-02-01"), "until": instant("2024-02-02")}
        one = compared(home, plan(shop, amount="3"), customer="ben", **february)
        assert rows(one) == [("ben", 1, 300, 900)]
        weekly = compared(home, plan(shop, amount="1") | {"interval": "weekly"}, customer="anna")
        assert weekly.new_amount_cents == 3000
        assert home.verified() == before
        assert len(shop.engine.organization(shop.id).plans) == 2
    home.assert_sound()


async def test_filters_and_groups_of_the_new_plan_are_folded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.metric("gb", "gb", filters=[{"key": "region", "values": ["eu", "us"]}])
        await shop.plan("basic", 0, {"gb": "1"})
        await shop.customer("anna")
        await shop.subscribe("anna", "basic")
        for region in ("eu", "us", None):
            await shop.use("anna", "gb", gb=2, region=region)
        given = plan(shop, amount="1")
        given["charges"][0]["filters"] = [
            {"values": {"region": ["eu"]}, "properties": {"amount": "10"}}
        ]
        assert rows(compared(home, given)) == [("anna", 3, 600, 2400)]
    home.assert_sound()


async def test_a_plan_is_checked_as_when_it_is_created(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await three_months(shop)
        good = plan(shop, amount="1")

        def refused(given: dict[str, Any], **choice: Any) -> DomainError:
            with pytest.raises(DomainError) as error:
                compared(home, given, **choice)
            return error.value

        async def refused_live(given: dict[str, Any]) -> DomainError:
            with pytest.raises(DomainError) as error:
                await shop.organization(c.CreatePlan, input=given)
            return error.value

        unknown = {**good["charges"][0], "billable_metric_id": str(shop.id)}
        for bad in (
            good | {"charges": [unknown]},
            good | {"interval": "daily"},
            good | {"charges": [good["charges"][0] | {"properties": {"amount": "-1"}}]},
            {},
        ):
            mine, live = refused(bad), await refused_live(bad)
            assert (type(mine), mine.code, str(mine)) == (type(live), live.code, str(live))
        # The code of a plan that exists is not refused: it is a change that is tried out.
        assert compared(home, good | {"code": "basic"}).plan == "basic"
        dollars = refused(good | {"amount_currency": "USD"})
        assert isinstance(dollars, ValidationFailed)
        assert dollars.details == {"currency": ["currencies_does_not_match"]}
        for choice in ({"customer": "nobody"}, {"plan": "nothing"}, {"organization_id": shop.now}):
            assert isinstance(refused(good, **choice), NotFound)


async def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    async with sandbox(home) as shop:
        await three_months(shop)
        file = tmp_path / "plan.json"
        file.write_text(json.dumps({"plan": plan(shop, amount="3")}))
    given = ["whatif", str(file), "--data", str(home.data), "--since", "2024-01-01"]
    given += ["--until", "2024-04-01"]
    shown = json.loads(CliRunner().invoke(cli, [*given, "--json"], catch_exceptions=False).output)
    assert shown["difference_cents"] == 4800
    assert shown["customers"][0] == {
        "external_id": "anna",
        "periods": 3,
        "present_amount_cents": 6000,
        "new_amount_cents": 9000,
        "difference_cents": 3000,
    }
    table = CliRunner().invoke(cli, given, catch_exceptions=False).output
    for text in ("anna", "9,000", "+3,000", "total", "11,700", "minor units of EUR"):
        assert text in table, table
    file.write_text("[]")
    assert CliRunner().invoke(cli, given).exit_code == 2
