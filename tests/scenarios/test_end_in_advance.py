"""A scheduled end of a plan paid in advance gives the unused days back (subscriptions.md §5.3, §5.4)."""

from __future__ import annotations

from pathlib import Path

from engine_kit import Home, sandbox


async def test_an_inherited_end_of_a_plan_in_advance(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with sandbox(home) as shop:
        await shop.at("2024-06-01")
        await shop.plan("small", 3000)
        await shop.plan("big", 12000, pay_in_advance=True)
        await shop.customer("acme")
        await shop.subscribe("acme", "small", ending_at="2024-06-21T10:00:00Z")
        await shop.advance_to("2024-06-11T09:00:00Z")
        await shop.subscribe("acme", "big")
        await shop.advance_to("2024-08-01")
        # The day that begins with the end counts: 20 of 30 days were paid, 9 are given back.
        (note,) = shop.documents("credit_note")
        assert note["total_amount_cents"] == 9 * 400
        assert [s["status"] for s in shop.documents("subscription")] == ["terminated"] * 2
    home.assert_sound()
