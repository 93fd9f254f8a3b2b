"""Charges that are paid in advance: billed when their events arrive, once, whatever happens around them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.audit.explain import explain
from lago_engine.domain import commands as c

TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "2"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "3"},
]
SHARES = [
    {"from_value": 0, "to_value": 1000, "rate": "2", "flat_amount": "1"},
    {"from_value": 1001, "to_value": None, "rate": "1", "flat_amount": "3"},
]


async def subscribed(
    shop: Shop, *charges: dict[str, Any], plan: dict[str, Any] | None = None
) -> Shop:
    """A customer on a plan with these charges in advance; `metric` names what a charge counts."""
    await shop.at("2024-06-01")
    await shop.tax("vat", "20")
    known: set[str] = set()
    for charge in charges:
        code, field, fields = charge["metric"]
        if code not in known:
            await shop.metric(code, field, **fields)
            known.add(code)
    metrics = shop.engine.organization(shop.id).metrics
    given = {
        "code": "pro",
        "name": "Pro",
        "interval": "monthly",
        "amount_cents": 0,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "tax_codes": ["vat"],
        "charges": [
            {
                "billable_metric_id": str(metrics[charge["metric"][0]].id),
                "pay_in_advance": True,
                **{key: value for key, value in charge.items() if key != "metric"},
            }
            for charge in charges
        ],
    }
    await shop.organization(c.CreatePlan, input=given | (plan or {}))
    await shop.customer("acme")
    return await shop.subscribe("acme", "pro")


def fees(shop: Shop) -> list[dict[str, Any]]:
    """Fees of usage events, in the order in which they were made."""
    return [fee for fee in shop.documents("fee") if "event_transaction_id" in fee]


def amounts(shop: Shop) -> list[int]:
    return [fee["amount_cents"] for fee in fees(shop)]


SUMMED = ("gb", "gb", {})
STANDARD = {"charge_model": "standard", "properties": {"amount": "0.07"}}


@pytest.mark.parametrize("invoiceable", [True, False])
@pytest.mark.parametrize(
    ("charge", "values", "expected"),
    [
        (STANDARD, ["0.5"], [4]),
        (
            {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}},
            ["6", "6", "1"],
            [800, 800, 50],
        ),
        (
            {
                "charge_model": "package",
                "properties": {"package_size": 10, "amount": "5", "free_units": 3},
            },
            ["2", "2", "4", "5"],
            [0, 500, 0, 0],
        ),
        (
            {
                "charge_model": "graduated_percentage",
                "properties": {"graduated_percentage_ranges": SHARES},
            },
            ["900", "300"],
            [1900, 700],
        ),
        (
            {"charge_model": "percentage", "properties": {"rate": "1.5", "fixed_amount": "0.2"}},
            ["50", "200", "30", "500"],
            [95, 320, 65, 770],
        ),
    ],
    ids=["standard", "graduated", "package", "graduated_percentage", "percentage"],
)
async def test_every_event_is_billed_as_it_arrives(
    tmp_path: Path,
    charge: dict[str, Any],
    values: list[str],
    expected: list[int],
    invoiceable: bool,
) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": SUMMED, "invoiceable": invoiceable, **charge})
        for value in values:
            await shop.use("acme", "gb", gb=value)
        assert amounts(shop) == expected
        invoices = shop.invoices("acme")
        if invoiceable:
            assert [invoice["fees_amount_cents"] for invoice in invoices] == expected
            assert {invoice["billing_periods"][0]["invoicing_reason"] for invoice in invoices} == {
                "in_advance_charge"
            }
        else:
            assert invoices == []
            assert {fee["lago_invoice_id"] for fee in fees(shop)} == {None}
        usage = await shop.usage("acme")
        assert usage["amount_cents"] == sum(expected)
        # Nothing of it is billed again at the end of the period.
        await shop.advance_to("2024-07-02")
        assert amounts(shop) == expected
        assert shop.invoices("acme")[len(invoices) :][0]["fees"][1:] == []
    home.assert_sound()


async def test_a_late_event_of_a_past_period_is_billed_at_once_with_the_bounds_of_that_period(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    graduated = {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}}
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": SUMMED, "invoiceable": False, **graduated})
        await shop.use("acme", "gb", gb="6", at="2024-06-10")
        await shop.advance_to("2024-08-03")
        await shop.use("acme", "gb", gb="3", at="2024-08-02")
        await shop.use("acme", "gb", gb="6", at="2024-06-05")
        await shop.use("acme", "gb", gb="1", at="2024-06-30T23:59:59Z")
        await shop.use("acme", "gb", gb="1", at="2024-07-15")
        assert amounts(shop) == [800, 500, 800, 50, 300]
        assert [fee["from_date"][:10] for fee in fees(shop)] == [
            "2024-06-01", "2024-08-01", "2024-06-01", "2024-06-01", "2024-07-01",
        ]  # fmt: skip
    home.assert_sound()


async def test_what_is_taken_back_is_not_billed_again(tmp_path: Path) -> None:
    """The table of metrics.md §10.2."""
    home = Home(tmp_path)
    price = {"charge_model": "standard", "properties": {"amount": "1"}}
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": SUMMED, "invoiceable": False, **price})
        for value in ("10", "-4", "6", "-20", "5"):
            await shop.use("acme", "gb", gb=value)
        usage = await shop.usage("acme")
        assert (usage["amount_cents"], usage["charges_usage"][0]["units"]) == (1200, "0.0")
        await shop.use("acme", "gb", gb="25")
        assert amounts(shop) == [1000, 0, 200, 0, 0, 1000]
        assert [fee["units"] for fee in fees(shop)] == ["10.0", "0.0", "2.0", "0.0", "5.0", "10.0"]
        usage = await shop.usage("acme")
        assert (usage["amount_cents"], usage["charges_usage"][0]["units"]) == (2200, "22.0")
    home.assert_sound()


async def test_seats_that_are_free_are_used_again(tmp_path: Path) -> None:
    """The table of metrics.md §10.3."""
    home = Home(tmp_path)
    seats = ("seats", "seat", {"aggregation_type": "unique_count_agg", "recurring": True})
    price = {"charge_model": "standard", "properties": {"amount": "1"}}
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": seats, "invoiceable": False, **price})
        changes = [
            ("A", "add"),
            ("B", "add"),
            ("A", "add"),
            ("A", "remove"),
            ("C", "add"),
            ("D", "add"),
        ]
        for seat, operation in changes:
            await shop.use("acme", "seats", seat=seat, operation_type=operation)
        await shop.use("acme", "seats", seat="")
        assert amounts(shop) == [100, 100, 0, 0, 0, 100]
        assert [fee["units"] for fee in fees(shop)] == ["1.0", "1.0", "0.0", "0.0", "1.0", "1.0"]
        # A period begins with what it carries over, paid in full.
        await shop.advance_to("2024-07-01T00:00:00Z")
        [renewal] = [
            fee
            for fee in shop.documents("fee")
            if "event_transaction_id" not in fee and fee["item"]["type"] == "charge"
        ]
        assert (renewal["units"], renewal["amount_cents"]) == ("4.0", 400)
        assert (renewal["from_date"][:10], renewal["lago_invoice_id"]) == ("2024-07-01", None)
        await shop.use("acme", "seats", seat="B", operation_type="remove")
        await shop.use("acme", "seats", seat="E")
        await shop.use("acme", "seats", seat="F")
        assert amounts(shop)[6:] == [0, 0, 100]
    home.assert_sound()


async def test_a_prorated_charge_pays_from_the_event_to_the_end_of_the_period(
    tmp_path: Path,
) -> None:
    """The examples of metrics.md §9.4 and §10.4."""
    home = Home(tmp_path)
    seats = ("seats", "seats", {"recurring": True})
    price = {"charge_model": "standard", "prorated": True, "properties": {"amount": "1"}}
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": seats, **price})
        await shop.use("acme", "seats", seats="6")
        await shop.advance_to("2024-07-17T10:00:00Z")
        await shop.use("acme", "seats", seats="4")
        [first, second] = fees(shop)
        assert (first["units"], first["amount_cents"]) == ("6.0", 600)
        assert (second["units"], second["precise_amount"]) == ("4.0", "1.93549")
        usage = await shop.usage("acme")
        assert (usage["amount_cents"], usage["charges_usage"][0]["units"]) == (794, "10.0")
        [periodic] = [
            i
            for i in shop.invoices("acme")
            if i["billing_periods"][0]["invoicing_reason"] == "subscription_periodic"
        ]
        assert [
            fee["amount_cents"] for fee in periodic["fees"] if fee["item"]["type"] == "charge"
        ] == [600]
    home.assert_sound()


async def test_paid_fees_are_put_on_an_invoice_at_the_end_of_their_period(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(
            shop,
            {"metric": SUMMED, "invoiceable": False, "regroup_paid_fees": "invoice", **STANDARD},
            {"metric": ("calls", None, {}), "invoiceable": False, **STANDARD},
        )
        for value in ("100", "33", "7"):
            await shop.use("acme", "gb", gb=value)
        await shop.use("acme", "calls")
        first, second, unpaid, alone = fees(shop)
        for fee in (first, second, alone):
            await shop.order(
                c.UpdateFee,
                "acme",
                fee_id=UUID(fee["lago_id"]),
                regroup=fee is not alone,
                input={"payment_status": "succeeded"},
            )
        await shop.advance_to("2024-07-01T00:00:00Z")
        [invoice] = [i for i in shop.invoices("acme") if i["invoice_type"] == "advance_charges"]
        assert [fee["lago_id"] for fee in invoice["fees"]] == [first["lago_id"], second["lago_id"]]
        assert (invoice["status"], invoice["payment_status"]) == ("finalized", "succeeded")
        taxes = first["taxes_amount_cents"] + second["taxes_amount_cents"]
        amount = first["amount_cents"] + second["amount_cents"]
        assert (invoice["taxes_amount_cents"], invoice["total_amount_cents"]) == (
            taxes,
            amount + taxes,
        )
        assert (invoice["total_paid_amount_cents"], invoice["total_due_amount_cents"]) == (
            amount + taxes,
            0,
        )
        store = home.store(read_only=True)
        told = explain(store, invoice["lago_id"])
        store.close()
        assert [[line.transaction_id for line in fee.events] for fee in told.fees] == [
            [first["event_transaction_id"]],
            [second["event_transaction_id"]],
        ]
        # A fee that is paid later waits for the end of the subscription.
        await shop.order(
            c.UpdateFee,
            "acme",
            fee_id=UUID(unpaid["lago_id"]),
            regroup=True,
            input={"payment_status": "succeeded"},
        )
        await shop.order(c.TerminateSubscription, "acme", external_id="acme", input={})
        grouped = [i for i in shop.invoices("acme") if i["invoice_type"] == "advance_charges"]
        assert [fee["lago_id"] for fee in grouped[-1]["fees"]] == [unpaid["lago_id"]]
        assert len(grouped) == 2
    home.assert_sound()


async def test_a_charge_that_is_gone_bills_nothing_and_holds_nothing_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(
            shop,
            {"metric": SUMMED, "invoiceable": False, **STANDARD},
            {"metric": ("calls", None, {}), **STANDARD},
        )
        [_, calls] = shop.engine.organization(shop.id).plans["pro"].charges
        sent = [shop.event("acme", "gb", gb="100"), shop.event("acme", "calls")]
        removed = shop.organization(
            c.UpdatePlan, code="pro", input={"charges": [{"id": str(calls.id)}]}
        )
        await asyncio.gather(shop.ingest(sent), removed)
        await shop.use("acme", "gb", gb="100")
        await shop.use("acme", "calls")
        assert amounts(shop).count(7) >= 2
        assert shop.engine.partition.meter.pending_in_advance == 0
    home.assert_sound()


async def test_many_events_at_once_are_billed_once_each_in_the_order_of_the_log(
    tmp_path: Path,
) -> None:
    """More than one decision takes, from several customers, with repetitions among them."""
    home = Home(tmp_path)
    graduated = {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}}
    async with sandbox(home) as shop:
        await subscribed(shop, {"metric": SUMMED, "invoiceable": False, **graduated})
        await shop.customer("globex")
        await shop.subscribe("globex", "pro")
        batch = [
            shop.event(customer, "gb", id=f"{customer}-{number}", gb="1")
            for number in range(40)
            for customer in ("acme", "globex")
        ]
        answers = await asyncio.gather(shop.ingest(batch), shop.ingest(batch), shop.ingest(batch))
        assert sorted(status for status, _ in answers) == [200, 422, 422]
        for customer in ("acme", "globex"):
            made = [fee for fee in fees(shop) if fee["external_customer_id"] == customer]
            assert [fee["event_transaction_id"] for fee in made] == [
                f"{customer}-{number}" for number in range(40)
            ]
            assert [fee["amount_cents"] for fee in made] == [300, *[100] * 9, 350, *[50] * 29]
    home.assert_sound()
