"""Credit notes for prepaid days that are not used (subscriptions.md §5.3, coupons_wallets_credit_notes.md §14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.domain import commands as c

AT = "2024-06-18T09:00:00Z"


async def subscribed(shop: Shop, amount: int = 9_900, **plan: Any) -> Shop:
    """A monthly plan in advance with 20 % tax, since 1 June."""
    await shop.at("2024-06-01")
    await shop.tax("vat", "20", applied_to_organization=True)
    await shop.plan("advance", amount, pay_in_advance=True, **plan)
    await shop.customer("acme")
    return await shop.subscribe("acme", "advance", "s")


async def end(shop: Shop, **given: Any) -> None:
    await shop.order(c.TerminateSubscription, "acme", external_id="s", input=given)


async def pay(shop: Shop, amount: int) -> None:
    invoice_id = UUID(shop.invoices("acme")[0]["lago_id"])
    given = {"invoice_id": str(invoice_id), "amount_cents": amount, "reference": "r"}
    await shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=given)


def notes(shop: Shop) -> list[tuple[int, int, int]]:
    """(credit, refund, offset) of each."""
    parts = ("credit_amount_cents", "refund_amount_cents", "offset_amount_cents")
    return [tuple(each[part] for part in parts) for each in shop.documents("credit_note", "acme")]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("paid", "way", "parts"),
    [
        (0, {}, (4_752, 0, 0)),
        (0, {"on_termination_credit_note": "credit"}, (4_752, 0, 0)),
        # Used: 18 days of 330 and 20 % = 7 128.
        (11_880, {"on_termination_credit_note": "refund"}, (0, 4_752, 0)),
        (10_000, {"on_termination_credit_note": "refund"}, (1_880, 2_872, 0)),
        (0, {"on_termination_credit_note": "refund"}, (4_752, 0, 0)),
        (10_000, {"on_termination_credit_note": "offset"}, (0, 2_872, 1_880)),
        (0, {"on_termination_credit_note": "offset"}, (0, 0, 4_752)),
    ],
)
async def test_the_ways_of_giving_back(
    tmp_path: Path, paid: int, way: dict[str, str], parts: tuple[int, int, int]
) -> None:
    """99.00 a month, ended on 18 June: 12 days of 330 are not used."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop)
        if paid:
            await pay(shop, paid)
        await shop.advance_to(AT)
        await end(shop, **way)
        assert notes(shop) == [parts]
        (note,) = shop.documents("credit_note")
        assert note["items"][0]["amount_cents"] == 3_960
        assert note["reason"] == "order_cancellation"
    home.assert_sound()


async def test_the_example_of_credit_notes(tmp_path: Path) -> None:
    """coupons_wallets_credit_notes.md §14: 36 000 of which 20 000 are paid, 12 of 30 days used."""
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, 30_000)
        await pay(shop, 20_000)
        await shop.advance_to("2024-06-12T10:00:00Z")
        await end(shop, on_termination_credit_note="refund")
        assert notes(shop) == [(16_000, 5_600, 0)]
    home.assert_sound()


@pytest.mark.parametrize("at", [AT, "2024-06-30T23:00:00Z"])
async def test_when_nothing_is_given_back(tmp_path: Path, at: str) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop)
        await shop.advance_to(at)
        await end(shop, **({"on_termination_credit_note": "skip"} if at == AT else {}))
        assert notes(shop) == []
    home.assert_sound()


async def test_an_end_known_from_the_beginning_gives_back_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-06-01")
        await shop.plan("advance", 3_000, pay_in_advance=True)
        await shop.customer("acme")
        await shop.subscribe("acme", "advance", "s", ending_at="2024-06-21T00:00:00Z")
        await shop.advance_to("2024-06-22")
        # Nine days after the 21st.
        assert notes(shop) == [(900, 0, 0)]
    home.assert_sound()


async def test_a_draft_is_corrected_when_it_is_finalized(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home, billing_configuration={"invoice_grace_period": 20}) as shop:
        await subscribed(shop)
        await shop.advance_to(AT)
        await end(shop)
        assert notes(shop) == []
        await shop.advance_to("2024-06-22")
        assert notes(shop) == [(4_752, 0, 0)]
    home.assert_sound()


async def test_days_of_a_trial_are_not_given_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await subscribed(shop, trial_period=10)
        await shop.advance_to("2024-06-12")
        (first,) = shop.invoices("acme")
        fee = first["fees"][0]["amount_cents"]
        await shop.advance_to(AT)
        await end(shop)
        (note,) = shop.documents("credit_note")
        assert note["items"][0]["amount_cents"] == 3_960 < fee
    home.assert_sound()
