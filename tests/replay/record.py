"""Records a history: `PYTHONPATH=tests python tests/replay/record.py FILE`. Refuses to replace one."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from uuid import UUID

from engine_kit import Home, Shop, sandbox
from replay.history import dump, write

from lago_engine.domain import commands as c

PROVIDER = {
    "payment_provider": "stripe",
    "payment_provider_code": "sim",
    "sync_with_provider": True,
}


async def live(shop: Shop) -> None:
    """Three months of a small business; the last commit bills."""
    await shop.at("2024-01-08T09:30:00Z")
    await shop.tax("vat", "20", applied_to_organization=True)
    await shop.tax("gst", "7.5")
    await shop.metric("calls")
    await shop.metric("gb", "amount", rounding_function="ceil", rounding_precision=1)
    prices = {"calls": "0.0173", "gb": "1.005"}
    await shop.plan("monthly", 4_900, prices)
    await shop.plan("weekly", 700, {"calls": "0.5"}, interval="weekly", pay_in_advance=True)
    await shop.plan("free", 0, {"calls": "0.01"}, tax_codes=["gst"])
    simulated = {"code": "sim", "type": "stripe", "outcome": "insufficient_funds"}
    await shop.organization(c.ConnectPaymentProvider, input=simulated)
    await shop.customer("acme", timezone="America/New_York", net_payment_term=10)
    await shop.customer("brio", billing_configuration={**PROVIDER, "invoice_grace_period": 3})
    await shop.customer("cato", timezone="Asia/Kolkata", finalize_zero_amount_invoice="skip")
    await shop.customer("dune", currency="EUR")
    await shop.subscribe("acme", "monthly")
    await shop.subscribe("brio", "monthly", billing_time="anniversary")
    await shop.subscribe("brio", "weekly", "brio-week")
    await shop.subscribe("cato", "free")
    await shop.subscribe("dune", "weekly", subscription_at="2024-01-20T12:00:00Z")
    names = ("acme", "brio", "brio-week", "cato", "dune")
    for day in range(9, 31, 3):
        at = f"2024-01-{day:02d}T{day % 24:02d}:59:59.999Z"
        events = [shop.event(name, "calls", at=at, id=f"{name}-{day}") for name in names]
        events += [
            shop.event("acme", "gb", at=at, id=f"gb-{day}", amount=f"{day}.{day}5"),
            shop.event("brio", "gb", at=at, id=f"gb-{day}", amount=str(-day if day % 2 else day)),
        ]
        await shop.ingest(events)
        await shop.ingest(events[:2])
    await shop.advance_to("2024-02-09T12:00:00Z")
    draft = next(invoice for invoice in shop.invoices("brio") if invoice["status"] == "draft")
    await shop.use("brio", "gb", at="2024-02-01T00:00:00Z", id="late", amount="0.01")
    await shop.order(c.RefreshInvoice, "brio", invoice_id=UUID(draft["lago_id"]))
    await shop.advance_to("2024-02-15T00:00:00Z")
    first = UUID(shop.invoices("acme")[0]["lago_id"])
    transfer = {"amount_cents": 1_000, "reference": "wire 1"}
    await shop.order(c.RecordManualPayment, "acme", invoice_id=first, input=transfer)
    unpaid = UUID(shop.invoices("brio")[0]["lago_id"])
    await shop.organization(c.ConnectPaymentProvider, input=simulated | {"outcome": "succeeded"})
    await shop.order(c.RetryPayment, "brio", invoice_id=unpaid, input={})
    await shop.customer("acme", timezone="Asia/Tokyo")
    skip = {"on_termination_credit_note": "skip"}
    await shop.order(c.TerminateSubscription, "dune", external_id="dune", input=skip)
    await shop.advance_to("2024-03-01T12:00:00Z")
    void = UUID(shop.invoices("dune")[0]["lago_id"])
    await shop.order(c.VoidInvoice, "dune", invoice_id=void, input={})
    for name in names[:4]:
        await shop.use(name, "calls", id=f"{name}-march")
    # Decided by hand, so that billing is the very last thing in the log.
    await shop.at("2024-03-31T15:00:00Z")
    await shop.order(c.AdvanceTime, "acme", until=shop.now)


async def record(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        async with sandbox(home) as shop:
            await live(shop)
        report = home.assert_sound()
        store = home.store(read_only=True)
        write(path, dump(store))
        store.close()
    print(report)


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1])))
