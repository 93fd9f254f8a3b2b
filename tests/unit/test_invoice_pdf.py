"""The invoice PDF: what stands on the page, in which locale, and that nothing in the data is markup."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from lago_engine.documents import TEMPLATE, DocumentError, MissingGlyph, Style, render_invoice
from lago_engine.documents.formats import formats_for
from lago_engine.documents.labels import LABELS, Labels, labels_for
from lago_engine.documents.model import (
    Columns,
    DocumentView,
    Fact,
    Group,
    Line,
    Party,
    Section,
    Total,
)
from lago_engine.documents.view import invoice_view
from lago_engine.domain.money import CURRENCIES

ORGANIZATION: dict[str, Any] = {
    "lago_id": "5f1f2c1e-0000-4000-8000-000000000001",
    "name": "Hooli",
    "legal_name": "Hooli Cloud Services SAS",
    "legal_number": "RCS Paris 812 345 678",
    "tax_identification_number": "FR40812345678",
    "address_line1": "12 rue de la Paix",
    "address_line2": None,
    "zipcode": "75002",
    "city": "Paris",
    "state": None,
    "country": "FR",
    "email": "billing@hooli.example",
    "billing_configuration": {
        "invoice_footer": "Hooli Cloud Services SAS, capital 100 000 €\nThank you for your business.",
        "document_locale": "en",
    },
}

CUSTOMER: dict[str, Any] = {
    "external_id": "acme",
    "name": "Acme",
    "legal_name": "Acme Robotics Inc.",
    "firstname": None,
    "lastname": None,
    "address_line1": "500 Market Street",
    "address_line2": "Suite 12",
    "zipcode": "94105",
    "city": "San Francisco",
    "state": "CA",
    "country": "US",
    "email": "ap@acme.example",
    "tax_identification_number": "US-99-1234567",
    "legal_number": None,
    "applicable_timezone": "America/Los_Angeles",
    "billing_configuration": {"document_locale": None},
    "metadata": [
        {"key": "Cost center", "value": "CC-42", "display_in_invoice": True},
        {"key": "Segment", "value": "secret-segment", "display_in_invoice": False},
    ],
}


def subscription_of(number: int, *, name: str | None = None) -> dict[str, Any]:
    return {
        "lago_id": f"sub-{number}",
        "external_id": f"acme-{number}",
        "name": name,
        "plan_code": "pro_monthly",
    }


def fee_of(
    name: str,
    amount_cents: int,
    *,
    units: str = "1.0",
    unit: str = "10.0",
    kind: str = "charge",
    subscription: int | None = 1,
    rate: float = 20.0,
    **more: Any,
) -> dict[str, Any]:
    item = {
        "type": kind,
        "code": "code",
        "name": name,
        "invoice_display_name": name,
        "filters": None,
        "filter_invoice_display_name": None,
        "grouped_by": {},
        **more.pop("item", {}),
    }
    return {
        "item": item,
        "lago_subscription_id": None if subscription is None else f"sub-{subscription}",
        "external_subscription_id": None if subscription is None else f"acme-{subscription}",
        "lago_true_up_parent_fee_id": None,
        "description": None,
        "amount_cents": amount_cents,
        "units": units,
        "precise_unit_amount": unit,
        "taxes_rate": rate,
        "from_date": "2026-05-01T07:00:00+00:00",
        "to_date": "2026-06-01T06:59:59+00:00",
        **more,
    }


def invoice_of(
    fees: list[dict[str, Any]],
    *,
    currency: str = "EUR",
    locale: str | None = None,
    credits_: list[dict[str, Any]] | None = None,
    prepaid: int = 0,
    paid: int = 0,
    customer: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An extended invoice with 20 % VAT whose totals follow from the fees, credits and payments."""
    given = credits_ or []
    gross = sum(fee["amount_cents"] for fee in fees)
    net = gross - sum(credit["amount_cents"] for credit in given if credit["before_taxes"])
    tax = (net * 2 + 5) // 10
    after = sum(credit["amount_cents"] for credit in given if not credit["before_taxes"])
    total = net + tax - after - prepaid
    numbers = sorted(
        {int(fee["lago_subscription_id"][4:]) for fee in fees if fee["lago_subscription_id"]}
    )
    return {
        "lago_id": "6a0c8f2e-0000-4000-8000-00000000000a",
        "number": "HOO-1234-012-003",
        "invoice_type": "subscription",
        "status": "finalized",
        "self_billed": False,
        "purchase_order_number": "PO-77",
        "issuing_date": "2026-06-01",
        "payment_due_date": "2026-07-01",
        "currency": currency,
        "fees_amount_cents": gross,
        "sub_total_excluding_taxes_amount_cents": net,
        "taxes_amount_cents": tax,
        "sub_total_including_taxes_amount_cents": net + tax,
        "prepaid_credit_amount_cents": prepaid,
        "total_amount_cents": total,
        "total_paid_amount_cents": paid,
        "total_offsetted_credit_note_amount_cents": 0,
        "total_due_amount_cents": total - paid,
        "customer": {
            **CUSTOMER,
            "billing_configuration": {"document_locale": locale},
            **(customer or {}),
        },
        "subscriptions": [subscription_of(number) for number in numbers],
        "fees": fees,
        "credits": given,
        "applied_taxes": [
            {"tax_name": "VAT", "tax_rate": 20.0, "fees_amount_cents": net, "amount_cents": tax}
        ],
        "applied_invoice_custom_sections": [],
        **more,
    }


def credit_of(kind: str, name: str, cents: int, *, before_taxes: bool) -> dict[str, Any]:
    return {
        "amount_cents": cents,
        "before_taxes": before_taxes,
        "item": {"type": kind, "code": name, "name": name},
    }


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page; zero-width break marks and runs of white space are removed."""
    reader = PdfReader(io.BytesIO(pdf))
    return [" ".join(page.extract_text().replace("\u200b", "").split()) for page in reader.pages]


def text_of(pdf: bytes) -> str:
    return " ".join(pages_of(pdf))


SETUP = fee_of("Setup", 123456, unit="1234.56")


def flat(text: str) -> str:
    """The same white space as `pages_of` gives."""
    return " ".join(text.split())


# ---- content ------------------------------------------------------------------------------------
def test_a_small_invoice_shows_who_what_and_how_much() -> None:
    (page,) = pages_of(render_invoice(invoice_of([SETUP]), ORGANIZATION))
    for expected in (
        "Invoice number HOO-1234-012-003",
        "Issue date June 1, 2026",
        "Due date July 1, 2026",
        "Billing period May 1 – 31, 2026",
        "Purchase order PO-77",
        "From Hooli Cloud Services SAS 12 rue de la Paix 75002 Paris France billing@hooli.example",
        "Tax ID: FR40812345678 Company number: RCS Paris 812 345 678",
        "Bill to Acme Robotics Inc. 500 Market Street Suite 12 San Francisco, CA 94105 United States",
        "Item Units Unit price Tax Amount",
        "pro_monthly acme-1",
        "Setup 1 €1,234.56 20% €1,234.56",
        "Subtotal excluding tax €1,234.56",
        "VAT (20% on €1,234.56) €246.91",
        "Total €1,481.47",
        "Total due €1,481.47",
        "Thank you for your business.",
        "Page 1 of 1",
    ):
        assert expected in page


def test_only_customer_metadata_meant_for_invoices_is_printed() -> None:
    page = text_of(render_invoice(invoice_of([SETUP]), ORGANIZATION))
    assert "Cost center CC-42" in page
    assert "secret-segment" not in page


def test_every_page_of_a_long_table_repeats_the_column_and_group_headings() -> None:
    fees = [
        fee_of(f"Metric {number:03}", 100 + number, subscription=1 if number < 70 else 2)
        for number in range(120)
    ]
    pages = pages_of(render_invoice(invoice_of(fees), ORGANIZATION))
    assert len(pages) == 3
    for number, page in enumerate(pages, start=1):
        assert page.count("Item Units Unit price Tax Amount") == 1
        assert f"Page {number} of 3" in page
    assert [("acme-1" in page, "acme-2" in page) for page in pages] == [
        (True, False),
        (True, True),
        (False, True),
    ]
    text = " ".join(pages)
    assert all(f"Metric {number:03} " in text for number in range(120))


def test_groups_follow_the_subscriptions_and_have_a_subtotal_when_there_are_several() -> None:
    fees = [
        fee_of("Second", 200, subscription=2),
        fee_of("First", 100),
        fee_of("Pro plan", 4900, kind="subscription"),
        fee_of("Setup", 50, kind="add_on", subscription=None),
    ]
    invoice = invoice_of(fees)
    invoice["subscriptions"][1]["name"] = "Staging"
    groups = invoice_view(invoice, ORGANIZATION).groups
    assert [(group.title, group.reference, group.subtotal) for group in groups] == [
        ("Pro plan", "acme-1", "€50.00"),
        ("Staging", "acme-2", "€2.00"),
        (None, None, "€0.50"),
    ]
    assert invoice_view(invoice_of([SETUP]), ORGANIZATION).groups[0].subtotal is None


def test_a_line_says_its_filter_group_and_own_period() -> None:
    fees = [
        fee_of(
            "Storage",
            100,
            item={"filters": {"region": ["eu", "us"]}, "grouped_by": {"project": "alpha"}},
        ),
        fee_of(
            "Named", 100, item={"filters": {"a": ["b"]}, "filter_invoice_display_name": "Europe"}
        ),
        fee_of("Storage", 100, lago_true_up_parent_fee_id="fee-1"),
        fee_of("Pro plan", 100, kind="commitment"),
        fee_of(
            "Pro plan",
            100,
            kind="subscription",
            from_date="2026-06-01T07:00:00+00:00",
            to_date="2026-07-01T06:59:59+00:00",
        ),
    ]
    view = invoice_view(invoice_of(fees), ORGANIZATION)
    lines = [(line.name, [flat(note) for note in line.notes]) for line in view.groups[0].lines]
    assert lines == [
        ("Storage", ["eu, us", "project: alpha", "May 1 – 31, 2026"]),
        ("Named", ["Europe", "May 1 – 31, 2026"]),
        ("Storage – minimum spend", ["May 1 – 31, 2026"]),
        ("Pro plan – minimum commitment", ["May 1 – 31, 2026"]),
        ("Pro plan", ["Jun 1 – 30, 2026"]),
    ]
    period = next(fact.value for fact in view.facts if fact.label == "Billing period")
    assert flat(period) == "May 1 – Jun 30, 2026"


def test_deductions_and_payments_lead_from_the_fees_to_the_amount_due() -> None:
    given = [
        credit_of("coupon", "SPRING", 1000, before_taxes=True),
        credit_of("invoice", "HOO-002", 500, before_taxes=True),
        credit_of("credit_note", "HOO-001-CN001", 300, before_taxes=False),
    ]
    invoice = invoice_of([fee_of("Usage", 11500)], credits_=given, prepaid=200, paid=1500)
    view = invoice_view(invoice, ORGANIZATION)
    assert [(row.label, row.amount) for row in view.totals] == [
        ("Fees", "€115.00"),
        ("Coupon SPRING", "-€10.00"),
        ("Already billed on invoice HOO-002", "-€5.00"),
        ("Subtotal excluding tax", "€100.00"),
        ("VAT (20% on €100.00)", "€20.00"),
        ("Subtotal including tax", "€120.00"),
        ("Credit note HOO-001-CN001", "-€3.00"),
        ("Prepaid credits", "-€2.00"),
        ("Total", "€115.00"),
        ("Paid", "-€15.00"),
    ]
    assert view.due.amount == "€100.00"


def test_the_tax_total_is_shown_when_the_tax_rows_do_not_say_it() -> None:
    # Invoices §6.4: the rows are rounded one by one, the total once.
    taxes = [
        {"tax_name": "VAT", "tax_rate": 20.0, "fees_amount_cents": 12, "amount_cents": 2},
        {"tax_name": "City", "tax_rate": 5.5, "fees_amount_cents": 12, "amount_cents": 1},
    ]
    invoice = invoice_of(
        [fee_of("Usage", 12)],
        applied_taxes=taxes,
        taxes_amount_cents=4,
        sub_total_including_taxes_amount_cents=16,
        total_amount_cents=16,
        total_due_amount_cents=16,
    )
    rows = [(row.label, row.amount) for row in invoice_view(invoice, ORGANIZATION).totals]
    assert rows[1:4] == [
        ("VAT (20% on €0.12)", "€0.02"),
        ("City (5.5% on €0.12)", "€0.01"),
        ("Total tax", "€0.04"),
    ]


@pytest.mark.parametrize(
    "member",
    [
        "fees_amount_cents",
        "sub_total_excluding_taxes_amount_cents",
        "sub_total_including_taxes_amount_cents",
        "total_amount_cents",
    ],
)
def test_an_invoice_that_does_not_add_up_is_refused(member: str) -> None:
    invoice = invoice_of([SETUP])
    invoice[member] += 1
    with pytest.raises(DocumentError, match=r"its parts give"):
        render_invoice(invoice, ORGANIZATION)


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(DocumentError, match="unknown currency 'XXX'"):
        render_invoice({**invoice_of([SETUP]), "currency": "XXX"}, ORGANIZATION)


@pytest.mark.parametrize(
    ("status", "watermark"),
    [("draft", "DRAFT"), ("pending", "DRAFT"), ("failed", "DRAFT"), ("voided", "VOIDED")],
)
def test_a_document_not_in_force_is_marked_on_every_page(status: str, watermark: str) -> None:
    fees = [fee_of(f"Metric {number}", 100) for number in range(60)]
    pages = pages_of(render_invoice(invoice_of(fees, status=status), ORGANIZATION))
    assert len(pages) == 2
    assert all(page.count(watermark) == 1 for page in pages)
    final = text_of(render_invoice(invoice_of(fees), ORGANIZATION))
    assert "DRAFT" not in final
    assert "VOIDED" not in final


@pytest.mark.parametrize(
    ("changes", "country", "title"),
    [
        ({}, "FR", "Invoice"),
        ({}, "AU", "Tax invoice"),
        ({"invoice_type": "credit"}, "AU", "Prepaid credit invoice"),
        ({"self_billed": True}, "FR", "Self-billing invoice"),
    ],
)
def test_the_title_names_the_kind_of_invoice(
    changes: dict[str, Any], country: str, title: str
) -> None:
    pdf = render_invoice(invoice_of([SETUP], **changes), {**ORGANIZATION, "country": country})
    assert text_of(pdf).startswith(f"{title} From")


def test_the_partner_is_the_seller_of_a_self_billed_invoice() -> None:
    view = invoice_view(invoice_of([SETUP], self_billed=True), ORGANIZATION)
    assert (view.seller.name, view.buyer.name) == ("Acme Robotics Inc.", "Hooli Cloud Services SAS")


def test_a_customer_without_names_is_called_by_its_id() -> None:
    nameless = {"legal_name": None, "name": None}
    person = {**nameless, "firstname": "Ada", "lastname": "Lovelace"}
    names = [
        invoice_view(invoice_of([SETUP], customer=who), ORGANIZATION).buyer.name
        for who in (nameless, person)
    ]
    assert names == ["acme", "Ada Lovelace"]


def test_custom_sections_are_printed_after_the_totals() -> None:
    section = {"display_name": "Payment instructions", "details": "IBAN FR76\nBIC AGRIFRPP"}
    invoice = invoice_of([SETUP], applied_invoice_custom_sections=[section])
    page = text_of(render_invoice(invoice, ORGANIZATION))
    assert "Total due €1,481.47 Payment instructions IBAN FR76 BIC AGRIFRPP" in page


# ---- numbers, dates and languages ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("locale", "currency", "cents", "expected"),
    [
        ("en", "JPY", 123456, "¥123,456"),
        ("en", "BHD", 1234567, "BHD 1,234.567"),
        ("en", "HUF", 12345, "HUF 12,345"),
        ("en", "CLF", 12345, "CLF 1.2345"),
        ("en", "MRO", 6, "MRO 1.2"),
        ("en", "USD", -1050, "-$10.50"),
        ("en", "EUR", 10**35, "€1,000,000,000,000,000,000,000,000,000,000,000.00"),
        ("fr", "EUR", 123456789, "1 234 567,89 €"),
        ("de", "EUR", 123456789, "1.234.567,89 €"),
        ("es", "EUR", 123456789, "1.234.567,89 €"),
        ("it", "EUR", 123456789, "1.234.567,89 €"),
        ("pt-BR", "BRL", 123456789, "R$ 1.234.567,89"),
        ("nb", "NOK", 123456789, "1 234 567,89 kr"),
        ("sv", "SEK", 123456789, "1 234 567,89 kr"),
    ],
)
def test_amounts_have_the_currencys_decimals_and_the_locales_signs(
    locale: str, currency: str, cents: int, expected: str
) -> None:
    assert flat(formats_for(locale, currency).amount(cents)) == expected


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("49.0", "€49.00"),
        ("0.000000123456789", "€0.000000123456789"),
        ("3.174285714285714", "€3.174285714285714"),
        ("12345678901234567.123456789012345", "€12,345,678,901,234,567.123456789012345"),
    ],
)
def test_unit_prices_keep_every_digit(price: str, expected: str) -> None:
    assert formats_for("en", "EUR").unit_price(price) == expected


def test_quantities_and_rates_keep_their_digits() -> None:
    formats = formats_for("de", "EUR")
    assert formats.quantity("1234567.0") == "1.234.567"
    assert formats.quantity("0.123456789012345") == "0,123456789012345"
    assert [flat(formats.rate(rate)) for rate in (20, 5.5, 0.0, Decimal("20.47682"))] == [
        "20 %",
        "5,5 %",
        "0 %",
        "20,47682 %",
    ]


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        (
            "en",
            ["Invoice From", "Issue date June 1, 2026", "May 1 – 31, 2026", "Total due €1,481.47"],
        ),
        (
            "fr",
            [
                "Facture De",
                "Date d’émission 1 juin 2026",
                "1–31 mai 2026",
                "Total à payer 1 481,47 €",
            ],
        ),
        (
            "de",
            [
                "Rechnung Rechnungssteller",
                "Rechnungsdatum 1. Juni 2026",
                "1.–31. Mai 2026",
                "Zu zahlender Betrag 1.481,47 €",
                "Vereinigte Staaten",
            ],
        ),
        (
            "es",
            [
                "Factura De",
                "Fecha de emisión 1 de junio de 2026",
                "1–31 may 2026",
                "Total a pagar 1.481,47 €",
            ],
        ),
        (
            "it",
            [
                "Fattura Da",
                "Data di emissione 1 giugno 2026",
                "01–31 mag 2026",
                "Totale da pagare 1.481,47 €",
            ],
        ),
        (
            "pt-BR",
            [
                "Fatura De",
                "Data de emissão 1 de junho de 2026",
                "1 – 31 de mai. de 2026",
                "Total a pagar € 1.481,47",
            ],
        ),
        (
            "nb",
            ["Faktura Fra", "Fakturadato 1. juni 2026", "1.–31. mai 2026", "Å betale 1 481,47 €"],
        ),
        (
            "sv",
            ["Faktura Från", "Fakturadatum 1 juni 2026", "1–31 maj 2026", "Att betala 1 481,47 €"],
        ),
    ],
)
def test_a_document_is_written_in_the_customers_language(locale: str, expected: list[str]) -> None:
    page = text_of(render_invoice(invoice_of([SETUP], locale=locale), ORGANIZATION))
    for text in expected:
        assert text in page


def test_the_organizations_language_counts_when_the_customer_has_none() -> None:
    billing = {**ORGANIZATION["billing_configuration"], "document_locale": "sv"}
    organization = {**ORGANIZATION, "billing_configuration": billing}
    assert invoice_view(invoice_of([SETUP]), organization).language == "sv"
    assert invoice_view(invoice_of([SETUP], locale="fr"), organization).language == "fr"


def test_a_language_without_a_table_is_written_in_english() -> None:
    assert labels_for("zh-TW") == labels_for(None) == ("en", LABELS["en"])


@pytest.mark.parametrize("locale", LABELS)
def test_every_label_is_translated_with_the_same_places_to_fill(locale: str) -> None:
    def places(text: str) -> list[str]:
        return sorted(part.split("}")[0] for part in text.split("{")[1:])

    for name in Labels.__struct_fields__:
        text = getattr(LABELS[locale], name)
        assert text.strip(), name
        assert places(text) == places(getattr(LABELS["en"], name)), name


@pytest.mark.parametrize("locale", LABELS)
def test_every_label_and_currency_sign_has_a_glyph(locale: str) -> None:
    # PDF/A refuses a character without a glyph, so writing it is the check.
    amounts = [formats_for(locale, currency).amount(12345678) for currency in CURRENCIES]
    words = [getattr(LABELS[locale], name) for name in Labels.__struct_fields__]
    section = {"display_name": "All", "details": "\n".join(amounts + words)}
    invoice = invoice_of([SETUP], locale=locale, applied_invoice_custom_sections=[section])
    page = text_of(render_invoice(invoice, ORGANIZATION, Style(archival=True)))
    assert all(flat(amount) in page for amount in amounts)


def test_days_are_those_of_the_customers_time_zone() -> None:
    view = invoice_view(invoice_of([SETUP], customer={"applicable_timezone": "UTC"}), ORGANIZATION)
    period = next(fact.value for fact in view.facts if fact.label == "Billing period")
    assert flat(period) == "May 1 – Jun 1, 2026"


# ---- hostile and foreign text -------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "#panic()",
        "#{1+1} $x^2$ *bold* _it_ `raw`",
        '#import "/etc/passwd"',
        "@ref <label> [x] = heading",
        "// comment /* block */",
        "\\u{41} \\ #sys.inputs",
        '"quoted" {page} {name}',
        "{{}} %s %(x)s",
        "Ωmega Жук Ñandú Łódź ẞ",
    ],
)
def test_data_is_never_markup(text: str) -> None:
    invoice = invoice_of(
        [fee_of(text, 123456, description=text)],
        customer={"legal_name": text, "city": text},
        purchase_order_number=text,
        number=text,
    )
    page = text_of(render_invoice(invoice, {**ORGANIZATION, "legal_name": text}))
    # Seller, buyer, city, purchase order, number in the header and below, line and its note.
    assert page.count(flat(text)) == 8
    assert "Total due €1,481.47" in page


def test_hebrew_and_arabic_are_set_from_embedded_fonts() -> None:
    invoice = invoice_of([SETUP], customer={"legal_name": "שלום עולם", "city": "مرحبا"})
    pdf = render_invoice(invoice, ORGANIZATION, Style(archival=True))
    assert "שלום" in text_of(pdf)


def test_a_long_word_is_broken_inside_its_column() -> None:
    name = "X" * 500
    reader = PdfReader(
        io.BytesIO(render_invoice(invoice_of([SETUP], customer={"legal_name": name}), ORGANIZATION))
    )
    text = "\n".join(page.extract_text() for page in reader.pages).replace("\u200b", "")
    assert text.count("X") == 500
    assert max(line.count("X") for line in text.splitlines()) < 40


def test_control_characters_are_left_out_and_line_feeds_kept() -> None:
    invoice = invoice_of([SETUP], customer={"legal_name": "Ac\x00me\x1b[31m\tInc\x7f"})
    page = text_of(render_invoice(invoice, ORGANIZATION, Style(archival=True)))
    assert "Bill to Acme[31m Inc 500 Market" in page


@settings(max_examples=40, deadline=None)
@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_any_text_can_be_a_name(name: str) -> None:
    invoice = invoice_of([fee_of(name, 123456)], customer={"legal_name": name})
    total = "Total due €1,481.47"
    page = text_of(render_invoice(invoice, ORGANIZATION))
    # A reader gives an invisible character of the name back wherever its neighbour's glyph is used.
    assert total in "".join(c for c in page if c in total or c not in name)


# ---- the file -----------------------------------------------------------------------------------
def test_the_same_input_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    invoice = invoice_of([SETUP, fee_of("Seats", 200, subscription=2)])
    source = tmp_path / "input.json"
    source.write_bytes(msgspec.json.encode([invoice, ORGANIZATION]))
    program = (
        "import json, sys\n"
        "from lago_engine.documents import render_invoice\n"
        "sys.stdout.buffer.write(render_invoice(*json.load(open(sys.argv[1], 'rb'))))\n"
    )
    environment = {"TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"}
    here = render_invoice(invoice, ORGANIZATION)
    there = subprocess.run(
        [sys.executable, "-c", program, str(source)],
        check=True,
        capture_output=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    ).stdout
    assert here == there
    assert render_invoice({**invoice, "number": "HOO-2"}, ORGANIZATION) != here


def test_the_documents_date_is_the_issuing_date() -> None:
    metadata = PdfReader(io.BytesIO(render_invoice(invoice_of([SETUP]), ORGANIZATION))).metadata
    assert metadata is not None
    assert metadata.title == "Invoice HOO-1234-012-003"
    assert metadata.creation_date is not None
    assert metadata.creation_date.date().isoformat() == "2026-06-01"


def test_threads_render_at_the_same_time() -> None:
    invoices = [invoice_of([fee_of(f"Usage {number}", 100)]) for number in range(6)]
    expected = [render_invoice(invoice, ORGANIZATION) for invoice in invoices]
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        results[number] = render_invoice(invoices[number], ORGANIZATION)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number] for number in range(6)] == expected


def test_every_font_is_embedded_and_comes_with_the_compiler() -> None:
    invoice = invoice_of([SETUP], customer={"legal_name": "مرحبا 中文"})
    reader = PdfReader(io.BytesIO(render_invoice(invoice, ORGANIZATION)))
    names = set()
    resources: Any = reader.pages[0]["/Resources"]
    for font in resources["/Font"].values():
        descriptor = (
            font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        )
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)
        names.add(str(descriptor["/FontName"]).split("+")[1].split("-")[0])
    assert names == {"LibertinusSerif", "DejaVuSansMono"}


def test_the_archival_form_declares_pdf_a_and_refuses_missing_glyphs() -> None:
    pdf = render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(archival=True))
    assert b"<pdfaid:part>3</pdfaid:part>" in pdf
    chinese = invoice_of([SETUP], customer={"legal_name": "中文"})
    with pytest.raises(MissingGlyph, match="could not be displayed"):
        render_invoice(chinese, ORGANIZATION, Style(archival=True))
    assert "Total due €1,481.47" in text_of(render_invoice(chinese, ORGANIZATION))


# ---- own templates ------------------------------------------------------------------------------
def test_an_own_template_gets_the_same_data_and_may_read_its_folder(tmp_path: Path) -> None:
    (tmp_path / "slogan.txt").write_text("Own slogan", encoding="utf-8")
    template = tmp_path / "own.typ"
    template.write_text(
        "#let invoice = json(bytes(sys.inputs.data))\n"
        '#read("slogan.txt") #invoice.number #invoice.due.amount',
        encoding="utf-8",
    )
    pdf = render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(template=str(template)))
    assert text_of(pdf) == "Own slogan HOO-1234-012-003 €1,481.47"


def test_a_copy_of_the_template_gives_the_same_document(tmp_path: Path) -> None:
    copy = tmp_path / "copy.typ"
    copy.write_bytes(TEMPLATE.read_bytes())
    invoice = invoice_of([SETUP])
    own = render_invoice(invoice, ORGANIZATION, Style(template=str(copy)))
    assert text_of(own) == text_of(render_invoice(invoice, ORGANIZATION))


def test_a_template_cannot_read_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "templates").mkdir()
    template = tmp_path / "templates" / "own.typ"
    template.write_text('#read("../secret.txt")', encoding="utf-8")
    with pytest.raises(DocumentError):
        render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(template=str(template)))


def test_a_broken_template_is_reported_with_its_place(tmp_path: Path) -> None:
    template = tmp_path / "broken.typ"
    template.write_text("#let x = 1\n#unknown-name()", encoding="utf-8")
    with pytest.raises(
        DocumentError, match=r"unknown variable: unknown-name[\s\S]*broken\.typ:2:1"
    ):
        render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(template=str(template)))


def test_missing_template_and_fonts_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="template"):
        render_invoice(
            invoice_of([SETUP]), ORGANIZATION, Style(template=str(tmp_path / "none.typ"))
        )
    with pytest.raises(DocumentError, match="fonts folder"):
        render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(fonts=str(tmp_path / "none")))


def test_an_invoice_without_fees_has_only_totals() -> None:
    page = text_of(render_invoice(invoice_of([]), ORGANIZATION))
    assert "Total due €0.00" in page
    assert "Billing period" not in page


def test_the_guide_names_every_member_a_template_gets() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "invoice-template.md").read_text(encoding="utf-8")
    table = set(re.findall(r"[a-z_]+", "".join(re.findall(r"`[^`\n]+`", guide))))
    for struct in (DocumentView, Party, Fact, Columns, Group, Line, Total, Section):
        assert set(struct.__struct_fields__) <= table, struct.__name__


def test_today_in_an_own_template_is_the_issuing_date(tmp_path: Path) -> None:
    template = tmp_path / "own.typ"
    template.write_text("#datetime.today().display()", encoding="utf-8")
    pdf = render_invoice(invoice_of([SETUP]), ORGANIZATION, Style(template=str(template)))
    assert text_of(pdf) == "2026-06-01"
