"""Invoice numbers: no gap, no duplicate, whoever finalizes when (invoices.md §3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from engine_kit import Home, sandbox

from lago_engine.domain import commands as c

CUSTOMERS = 40
MONTHS = ("2024-02-10T12:00:00Z", "2024-03-10T12:00:00Z")


@pytest.mark.parametrize("numbering", ["per_customer", "per_organization"])
async def test_numbers_under_concurrent_finalization(tmp_path: Path, numbering: str) -> None:
    home = Home(tmp_path)
    async with sandbox(home, document_numbering=numbering) as shop:
        await shop.at("2024-01-01T00:00:00Z")
        await shop.plan("basic", 1000)
        for n in range(CUSTOMERS):
            await shop.customer(f"c{n}", billing_configuration={"invoice_grace_period": 20})
            await shop.subscribe(f"c{n}", "basic")
        for month in MONTHS:
            await shop.advance_to(month)
            drafts = [i for i in shop.invoices() if i["status"] == "draft"]
            assert len(drafts) == CUSTOMERS
            # Everybody at once, each of them twice: the second finalization is refused.
            orders = [
                shop.order(
                    c.FinalizeInvoice,
                    draft["customer"]["external_id"],
                    invoice_id=UUID(draft["lago_id"]),
                )
                for draft in drafts * 2
            ]
            answers = await asyncio.gather(*orders, return_exceptions=True)
            assert sum(isinstance(answer, Exception) for answer in answers) == CUSTOMERS
        final = shop.invoices()
    assert {invoice["status"] for invoice in final} == {"finalized"}
    if numbering == "per_customer":
        expected = {
            f"ACM-A5CE-{customer:03d}-{n:03d}"
            for customer in range(1, CUSTOMERS + 1)
            for n in (1, 2)
        }
    else:
        expected = {
            f"ACM-A5CE-2024{month:02d}-{(month - 2) * CUSTOMERS + n:03d}"
            for month in (2, 3)
            for n in range(1, CUSTOMERS + 1)
        }
    numbers = [invoice["number"] for invoice in final]
    assert len(numbers) == len(set(numbers)) == 2 * CUSTOMERS
    assert set(numbers) == expected
    home.assert_sound()
