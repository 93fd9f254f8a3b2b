"""Credit notes and receipts as PDF: what stands on the page, in which words."""

from __future__ import annotations

from typing import Any

import pytest
from unit.test_invoice_pdf import CUSTOMER, ORGANIZATION, fee_of, text_of

from lago_engine.documents import DocumentError, Style, render_credit_note, render_receipt
from lago_engine.documents.credit_notes import credit_note_view
from lago_engine.documents.labels import LABELS
from lago_engine.documents.receipts import receipt_view


def note_of(*, locale: str | None = None, **more: Any) -> dict[str, Any]:
    """What coupons_wallets_credit_notes §11.1 computes for 50.00 and 6.17 of an invoice."""
    fees = [fee_of("Seats", 10_000), fee_of("Storage", 617, subscription=2, rate=25.5)]
    return {
        "number": "HOO-12-3-CN001",
        "invoice_number": "HOO-1234-012-003",
        "purchase_order_number": None,
        "issuing_date": "2026-06-02",
        "currency": "EUR",
        "self_billed": False,
        "credit_status": "available",
        "total_amount_cents": 5_823,
        "credit_amount_cents": 4_000,
        "refund_amount_cents": 1_800,
        "offset_amount_cents": 23,
        "sub_total_excluding_taxes_amount_cents": 4_828,
        "taxes_amount_cents": 995,
        "coupons_adjustment_amount_cents": 789,
        "customer": {**CUSTOMER, "billing_configuration": {"document_locale": locale}},
        "items": [
            {"amount_cents": cents, "fee": fee}
            for cents, fee in zip((5_000, 617), fees, strict=True)
        ],
        "applied_taxes": [
            {"tax_name": "VAT", "tax_rate": 20, "base_amount_cents": 4_828, "amount_cents": 966},
            {"tax_name": "City", "tax_rate": 5.5, "base_amount_cents": 530, "amount_cents": 29},
        ],
        **more,
    }


RECEIPT: dict[str, Any] = {
    "number": "HOO-12-RCPT-000001",
    "payment": {
        "amount_cents": 148_147,
        "amount_currency": "EUR",
        "created_at": "2026-06-03T05:00:00Z",
        "invoice_numbers": ["HOO-1234-012-003"],
        "payment_provider_type": None,
        "provider_payment_id": None,
        "reference": "transfer 17",
    },
}


def test_a_credit_note_says_what_is_given_back_and_how() -> None:
    page = text_of(render_credit_note(note_of(), ORGANIZATION))
    for shown in (
        "Credit note",
        "Number HOO-12-3-CN001",
        "Invoice number HOO-1234-012-003",
        "Issue date June 2, 2026",
        "Seats May 1 – 31, 2026 20% €50.00",
        "Storage May 1 – 31, 2026 25.5% €6.17",
        "Coupons -€7.89",
        "Subtotal excluding tax €48.28",
        "VAT (20% on €48.28) €9.66",
        "City (5.5% on €5.30) €0.29",
        "Total tax €9.95",
        "Credited to future invoices €40.00",
        "Refunded €18.00",
        "Deducted from invoice HOO-1234-012-003 €0.23",
        "Total credited €58.23",
    ):
        assert shown in page, shown
    assert "Unit price" not in page


def test_a_voided_note_is_marked() -> None:
    assert credit_note_view(note_of(credit_status="voided"), ORGANIZATION).watermark == "Voided"
    assert credit_note_view(note_of(), ORGANIZATION).watermark is None


@pytest.mark.parametrize("member", ["offset_amount_cents", "taxes_amount_cents"])
def test_a_note_that_does_not_add_up_is_refused(member: str) -> None:
    with pytest.raises(DocumentError, match="total_amount_cents is 5823"):
        render_credit_note(note_of(**{member: 1}), ORGANIZATION)


def test_the_partner_gives_a_self_billed_note() -> None:
    view = credit_note_view(note_of(self_billed=True), ORGANIZATION)
    assert (view.seller.name, view.buyer.name) == ("Acme Robotics Inc.", "Hooli Cloud Services SAS")


def test_a_receipt_says_what_was_paid_when_and_how() -> None:
    page = text_of(render_receipt(RECEIPT, CUSTOMER, ORGANIZATION))
    for shown in (
        "Number HOO-12-RCPT-000001",
        # 05:00 UTC is the evening before in Los Angeles.
        "Payment date June 2, 2026",
        "Payment method Bank transfer or other",
        "Payment reference transfer 17",
        "Invoice HOO-1234-012-003 €1,481.47",
        "Amount paid €1,481.47",
    ):
        assert shown in page, shown
    assert "Unit price" not in page
    assert "Tax €" not in page


@pytest.mark.parametrize("locale", LABELS)
def test_both_are_written_in_every_language_and_archived(locale: str) -> None:
    labels, archival = LABELS[locale], Style(archival=True)
    note = text_of(render_credit_note(note_of(locale=locale), ORGANIZATION, archival))
    for word in (labels.credit_note_title, labels.credited, labels.refunded, labels.total_credited):
        assert word in note
    customer = {**CUSTOMER, "billing_configuration": {"document_locale": locale}}
    receipt = text_of(render_receipt(RECEIPT, customer, ORGANIZATION, archival))
    for word in (labels.receipt, labels.paid_on, labels.manual_payment, labels.amount_paid):
        assert word in receipt


def test_a_receipt_of_a_provider_names_it() -> None:
    payment = {**RECEIPT["payment"], "payment_provider_type": "stripe", "reference": ""}
    payment["provider_payment_id"] = "pi_1"
    facts = receipt_view({**RECEIPT, "payment": payment}, CUSTOMER, ORGANIZATION).facts
    assert [fact.value for fact in facts][-2:] == ["stripe", "pi_1"]
