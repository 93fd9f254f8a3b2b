"""PDFs are made after the fact, recorded by hash, and made again by the replay."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from uuid import UUID

from engine_kit import Home, Shop, instant, running
from msgspec.structs import replace

from lago_engine.audit.replay import Report, replay
from lago_engine.bootstrap import event_codec, fingerprint_secret
from lago_engine.clock import ManualClock
from lago_engine.documents.stored import generated_document
from lago_engine.domain import commands as c
from lago_engine.domain import ids
from lago_engine.domain.invoicing.issued import DocumentKind
from lago_engine.projecting.inline import find_projections

START = "2024-01-01"


async def billed(shop: Shop, *customers: str) -> None:
    await shop.tax("vat", "20", applied_to_organization=True)
    await shop.plan("basic", 1_000)
    for name in customers:
        await shop.customer(name, name=name.title(), country="DE")
        await shop.subscribe(name, "basic")
    await shop.advance_to("2024-02-01T06:00:00Z")


def replayed(home: Home) -> Report:
    store = home.store(read_only=True)
    try:
        return replay(
            store,
            event_codec(),
            find_projections().projections,
            fingerprint_secret(store),
            pdfs=True,
        )
    finally:
        store.close()


async def pdf_of(shop: Shop, kind: DocumentKind, document_id: str) -> bytes:
    return await shop.engine.document_pdf(shop.id, kind, UUID(document_id))


async def test_the_hash_of_every_document_is_a_fact_that_replays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant(START)), document_workers=2) as opened:
        shop = await Shop(opened).found(legal_name="Acme SAS", country="FR")
        await billed(shop, "acme", "globex")
        [invoice, other] = shop.invoices()
        await shop.engine.documents.settle()
        generated = {each["id"]: each for each in shop.documents("generated_document")}
        assert set(generated) == {invoice["lago_id"], other["lago_id"]}
        found = generated[invoice["lago_id"]]
        pdf = await pdf_of(shop, "invoice", invoice["lago_id"])
        assert (found["kind"], found["number"]) == ("invoice", invoice["number"])
        assert (found["sha256"], found["size_bytes"]) == (sha256(pdf).hexdigest(), len(pdf))
        assert found["pdf_standard"] == "a-3b"
        assert found["issuer"] == {"name": "Acme", "legal_name": "Acme SAS", "country": "FR"}

        # Neither a payment nor a new address changes what was issued.
        payment = {"invoice_id": invoice["lago_id"], "amount_cents": 1_200, "reference": "r"}
        invoice_id = UUID(invoice["lago_id"])
        await shop.order(c.RecordManualPayment, "acme", invoice_id=invoice_id, input=payment)
        await shop.organization(c.UpdateOrganization, input={"legal_name": "Acme SA"})
        assert await pdf_of(shop, "invoice", invoice["lago_id"]) == pdf

        items = [{"fee_id": invoice["fees"][0]["lago_id"], "amount_cents": 500}]
        note = {"invoice_id": invoice["lago_id"], "credit_amount_cents": 600, "items": items}
        await shop.order(c.CreateCreditNote, "acme", invoice_id=invoice_id, input=note)
        await shop.engine.documents.settle()
        [credit_note] = shop.documents("credit_note")
        [of_receipt, of_note] = shop.documents("generated_document")[2:]
        [receipt] = shop.documents("payment_receipt")
        assert (of_receipt["kind"], of_receipt["number"]) == ("payment_receipt", receipt["number"])
        pdf = await pdf_of(shop, "payment_receipt", receipt["lago_id"])
        assert of_receipt["sha256"] == sha256(pdf).hexdigest()
        pdf = await pdf_of(shop, "credit_note", credit_note["lago_id"])
        assert of_note["sha256"] == sha256(pdf).hexdigest()
        assert of_note["issuer"]["legal_name"] == "Acme SA"

        # A voided invoice is downloaded with its watermark; what was issued stays on record.
        await shop.order(c.VoidInvoice, "globex", invoice_id=UUID(other["lago_id"]), input={})
        voided = await pdf_of(shop, "invoice", other["lago_id"])
        assert sha256(voided).hexdigest() != generated[other["lago_id"]]["sha256"]
    home.assert_sound()
    report = replayed(home)
    assert (report.identical, report.pdfs, report.pdfs_of_others) == (True, 4, 0)


async def test_what_was_not_made_before_the_end_is_made_after_the_start(tmp_path: Path) -> None:
    home, clock = Home(tmp_path), ManualClock(instant(START))
    async with running(home, clock, document_workers=1) as opened:
        shop = await Shop(opened).found()
        await billed(shop, *(f"c{number}" for number in range(20)))
        assert shop.engine.documents.waiting > 0
    async with running(home, clock, document_workers=1) as opened:
        await opened.engine.documents.settle()
        shop = Shop(opened)
        generated = {each["id"] for each in shop.documents("generated_document")}
        assert generated == {invoice["lago_id"] for invoice in shop.invoices()}
        position = shop.engine.store.last_position()
    async with running(home, clock, document_workers=1) as opened:
        await opened.engine.documents.settle()
        assert opened.engine.store.last_position() == position
    # One fact each: what was recorded is not made again.
    report = replayed(home)
    assert (report.identical, report.pdfs) == (True, 20)


async def test_a_name_without_glyphs_gives_an_ordinary_pdf(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant(START)), document_workers=1) as opened:
        shop = await Shop(opened).found(legal_name="日本")
        await billed(shop, "acme")
        await shop.engine.documents.settle()
        [generated] = shop.documents("generated_document")
        assert generated["pdf_standard"] is None
    report = replayed(home)
    assert (report.identical, report.pdfs) == (True, 1)


async def test_a_hash_that_is_wrong_is_found(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with running(home, ManualClock(instant(START)), document_workers=1) as opened:
        shop = await Shop(opened).found()
        await billed(shop, "acme")
        await shop.engine.documents.settle()
    # A later fact says that the same invoice had other bytes.
    async with running(home, ManualClock(instant(START))) as opened:
        shop = Shop(opened)
        invoice_id = UUID(shop.invoices()[0]["lago_id"])
        known = generated_document(shop.engine.store, shop.id, invoice_id)
        assert known is not None
        for forged in (replace(known, sha256="00" * 32), replace(known, compiler="typst 0.1")):
            await shop.engine.execute(
                c.RecordDocument(
                    organization_id=shop.id,
                    customer_id=ids.customer_id(shop.id, "acme"),
                    document=forged,
                ),
                actor="test",
            )
    report = replayed(home)
    assert (report.pdfs, report.pdfs_of_others) == (2, 1)
    [mismatch] = report.mismatches
    assert (mismatch.kind, mismatch.stored) == ("pdf", "00" * 32)
    assert mismatch.replayed == known.sha256
