"""Prepaid credits over the periods of a subscription (coupons_wallets_credit_notes.md §4 - §7, invoices.md §6.6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c


async def shop_with(shop: Shop, amount_cents: int = 10_000, **fields: Any) -> Shop:
    """A customer who pays 100.00 a month and 1.00 per call."""
    await shop.at("2024-01-01")
    await shop.metric("calls")
    await shop.plan("basic", amount_cents, {"calls": "1"})
    await shop.customer("acme", currency="EUR", **fields)
    await shop.subscribe("acme", "basic")
    return shop


async def wallet(shop: Shop, **fields: Any) -> dict[str, Any]:
    given = {"rate_amount": "1", "name": "Main", **fields}
    await shop.order(c.CreateWallet, "acme", input=given)
    return shop.documents("wallet", "acme")[-1]


async def transact(shop: Shop, wallet_id: str, **fields: Any) -> list[dict[str, Any]]:
    given = {"wallet_id": wallet_id, **fields}
    await shop.order(c.CreateWalletTransactions, "acme", wallet_id=UUID(wallet_id), input=given)
    return transactions(shop, wallet_id)


def transactions(shop: Shop, wallet_id: str) -> list[dict[str, Any]]:
    found = shop.documents("wallet_transaction", wallet_id)
    return sorted(found, key=lambda each: each["created_at"])


def balance(shop: Shop, position: int = 0) -> int:
    return int(shop.documents("wallet", "acme")[position]["balance_cents"])


def assert_traced(shop: Shop) -> None:
    """Of every wallet, what its inbound transactions have left is its balance."""
    for each in shop.documents("wallet"):
        inbound = transactions(shop, each["lago_id"])
        left = sum(t["remaining_amount_cents"] or 0 for t in inbound)
        assert left == each["balance_cents"] >= 0


async def ongoing(shop: Shop) -> int:
    found = await shop.engine.ongoing_balances(shop.id, "acme")
    (members,) = found.values()
    return int(members["ongoing_balance_cents"])


async def test_credits_pay_an_invoice_granted_before_purchased(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        made = await wallet(shop, granted_credits="30", paid_credits="50")
        assert (made["balance_cents"], made["credits_balance"]) == (3_000, "30.0")
        (top_up,) = shop.invoices("acme")
        assert (top_up["invoice_type"], top_up["total_amount_cents"]) == ("credit", 5_000)
        assert top_up["fees"][0]["item"]["type"] == "credit"
        payment = {"invoice_id": top_up["lago_id"], "amount_cents": 5_000, "reference": "r"}
        await shop.order(
            c.RecordManualPayment, "acme", invoice_id=UUID(top_up["lago_id"]), input=payment
        )
        assert balance(shop) == 8_000
        await shop.advance_to("2024-02-02")
        invoice = next(i for i in shop.invoices("acme") if i["invoice_type"] == "subscription")
        assert invoice["prepaid_credit_amount_cents"] == 8_000
        assert invoice["prepaid_granted_credit_amount_cents"] == 3_000
        assert invoice["prepaid_purchased_credit_amount_cents"] == 5_000
        assert (invoice["total_amount_cents"], invoice["payment_status"]) == (2_000, "pending")
        (after,) = shop.documents("wallet", "acme")
        assert (after["balance_cents"], after["consumed_credits"]) == (0, "80.0")
        links = shop.documents("wallet_consumption", after["lago_id"])
        assert sorted(link["amount_cents"] for link in links) == [3_000, 5_000]
        assert_traced(shop)
    home.assert_sound()


async def test_an_open_top_up_is_hidden_until_it_is_paid(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        made = await wallet(
            shop, paid_credits="10", invoice_requires_successful_payment=True, rate_amount="2.5"
        )
        assert shop.invoices("acme") == []
        (opened,) = shop.documents("open_invoice", "acme")
        assert (opened["status"], opened["total_amount_cents"]) == ("open", 2_500)
        await shop.at("2024-01-09")
        given = {"invoice_id": opened["lago_id"], "amount_cents": 2_500, "reference": "r"}
        await shop.order(
            c.RecordManualPayment, "acme", invoice_id=UUID(opened["lago_id"]), input=given
        )
        (invoice,) = shop.invoices("acme")
        assert (invoice["status"], invoice["issuing_date"]) == ("finalized", "2024-01-09")
        assert (invoice["total_paid_amount_cents"], invoice["total_due_amount_cents"]) == (2_500, 0)
        assert shop.documents("open_invoice") == []
        (settled,) = transactions(shop, made["lago_id"])
        assert (settled["status"], settled["remaining_amount_cents"]) == ("settled", 2_500)
        assert_traced(shop)
    home.assert_sound()


async def test_a_failed_top_up_settles_when_it_is_paid_later(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        made = await wallet(shop, paid_credits="10")
        (invoice,) = shop.invoices("acme")
        for status, expected in (("failed", "failed"), ("succeeded", "settled")):
            await shop.order(
                c.UpdateInvoice,
                "acme",
                invoice_id=UUID(invoice["lago_id"]),
                input={"payment_status": status},
            )
            (transaction,) = transactions(shop, made["lago_id"])
            assert transaction["status"] == expected
        assert transaction["failed_at"] is None
        assert balance(shop) == 1_000
    home.assert_sound()


async def test_wallets_pay_by_priority_and_within_their_limits(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        await wallet(shop, code="last", granted_credits="100")
        await wallet(
            shop,
            code="usage",
            granted_credits="50",
            priority=1,
            applies_to={"billable_metric_codes": ["calls"]},
        )
        await shop.ingest([shop.event("acme", "calls") for _ in range(20)])
        await shop.advance_to("2024-02-02")
        assert [balance(shop, 0), balance(shop, 1)] == [0, 3_000]
        (invoice,) = shop.invoices("acme")
        assert invoice["total_amount_cents"] == 0
        assert_traced(shop)
    home.assert_sound()


async def test_a_void_gives_back_what_the_credits_were(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        made = await wallet(shop, granted_credits="40")
        await shop.advance_to("2024-02-02")
        (invoice,) = shop.invoices("acme")
        assert invoice["prepaid_credit_amount_cents"] == 4_000
        await shop.order(c.VoidInvoice, "acme", invoice_id=UUID(invoice["lago_id"]), input={})
        back = next(t for t in transactions(shop, made["lago_id"]) if t["lago_voided_invoice_id"])
        assert (back["transaction_status"], back["amount"]) == ("granted", "40.0")
        (after,) = shop.documents("wallet", "acme")
        assert (after["balance_cents"], after["consumed_credits"]) == (4_000, "0.0")
        assert_traced(shop)
    home.assert_sound()


async def test_usage_shows_in_the_ongoing_balance_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0)
        await wallet(shop, granted_credits="10")
        for used in range(1, 13):
            await shop.use("acme", "calls")
            assert await ongoing(shop) == 1_000 - used * 100
        assert balance(shop) == 1_000
        await shop.advance_to("2024-02-02")
        assert (balance(shop), await ongoing(shop)) == (0, 0)
    home.assert_sound()


async def test_voided_credits_leave_the_wallet(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        made = await wallet(shop, granted_credits="10")
        await transact(shop, made["lago_id"], voided_credits="4", granted_credits="1")
        assert balance(shop) == 700
        (first, *_) = transactions(shop, made["lago_id"])
        await transact(shop, made["lago_id"], voided_transaction_id=first["lago_id"])
        assert_traced(shop)
    home.assert_sound()


async def test_a_terminated_wallet_pays_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop)
        await wallet(shop, granted_credits="10", expiration_at="2024-01-20T00:00:00Z")
        await shop.advance_to("2024-02-02")
        (ended,) = shop.documents("wallet", "acme")
        assert (ended["status"], ended["balance_cents"]) == ("terminated", 1_000)
        assert ended["terminated_at"] == "2024-01-20T00:00:00.000Z"
        (invoice,) = shop.invoices("acme")
        assert invoice["prepaid_credit_amount_cents"] == 0
    home.assert_sound()


THRESHOLD = {"trigger": "threshold", "threshold_credits": "5"}


async def test_a_used_up_wallet_is_told_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0)
        made = await wallet(shop, granted_credits="3")
        assert not shop.documents("wallet", "acme")[0]["ongoing_usage_balance_cents"]
        for _ in range(4):
            await shop.use("acme", "calls")
        await shop.engine.settle(shop.id)
        state = await shop.engine.customer(shop.id, "acme")
        assert state is not None
        (known,) = state.wallets.values()
        assert (known.depleted, known.ongoing_usage_cents) == (True, 300)
        await transact(shop, made["lago_id"], granted_credits="10")
        state = await shop.engine.customer(shop.id, "acme")
        assert state is not None
        assert not state.wallets[known.id].depleted
    home.assert_sound()


async def test_a_threshold_rule_fills_up_after_the_usage_that_crosses(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0)
        rule = {**THRESHOLD, "paid_credits": "10", "granted_credits": "1"}
        made = await wallet(shop, granted_credits="8", recurring_transaction_rules=[rule])
        for _ in range(2):
            await shop.use("acme", "calls")
        assert len(transactions(shop, made["lago_id"])) == 1
        await shop.use("acme", "calls")
        await shop.engine.settle(shop.id)
        _, paid, granted = transactions(shop, made["lago_id"])
        assert (paid["source"], paid["amount"], paid["status"]) == ("threshold", "10.0", "pending")
        assert (granted["transaction_status"], granted["amount"]) == ("granted", "1.0")
        # What is on its way counts: nothing more is bought until it is used up as well.
        await shop.use("acme", "calls")
        await shop.engine.settle(shop.id)
        assert len(transactions(shop, made["lago_id"])) == 3
    home.assert_sound()


async def test_a_target_is_granted_up_to_the_ongoing_balance(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0)
        rule = {
            **THRESHOLD,
            "method": "target",
            "target_ongoing_balance": "20",
            "grants_target_top_up": True,
        }
        made = await wallet(shop, granted_credits="8", recurring_transaction_rules=[rule])
        await shop.ingest([shop.event("acme", "calls") for _ in range(4)])
        await shop.engine.settle(shop.id)
        assert await ongoing(shop) == 2_000
        assert [t["amount"] for t in transactions(shop, made["lago_id"])] == ["8.0", "16.0"]
    home.assert_sound()


async def test_an_interval_rule_fires_on_its_days(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0, timezone="America/New_York")
        await shop.at("2024-01-31T12:00:00Z")
        rule = {"trigger": "interval", "interval": "monthly", "granted_credits": "5"}
        made = await wallet(shop, recurring_transaction_rules=[rule])
        await shop.advance_to("2024-05-01T12:00:00Z")
        fired = [t["created_at"] for t in transactions(shop, made["lago_id"])]
        assert fired == ["2024-02-29T05:00:00Z", "2024-03-31T04:00:00Z", "2024-04-30T04:00:00Z"]
        assert balance(shop) == 1_500
    home.assert_sound()


async def test_a_rule_ends_by_itself(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop_with(shop, amount_cents=0)
        rule = {
            "trigger": "interval",
            "interval": "weekly",
            "granted_credits": "5",
            "expiration_at": "2024-01-10T00:00:00Z",
        }
        await wallet(shop, recurring_transaction_rules=[rule])
        await shop.advance_to("2024-02-01")
        (after,) = shop.documents("wallet", "acme")
        assert (after["balance_cents"], after["recurring_transaction_rules"]) == (500, [])
    home.assert_sound()
