"""From the wire form of an invoice to what a template prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from lago_engine.documents.formats import Formats, formats_for
from lago_engine.documents.labels import Labels, labels_for
from lago_engine.documents.lines import fee_groups, invoice_days
from lago_engine.documents.model import Columns, DocumentError, Fact, InvoiceView, Section, Total
from lago_engine.documents.parties import customer_party, organization_party
from lago_engine.documents.totals import check_sums, total_rows
from lago_engine.domain.money import CURRENCIES
from lago_engine.domain.timezones import zone

Wire = Mapping[str, Any]

# Invoices §14: where the law wants the words "tax invoice".
_TAX_INVOICE_COUNTRIES = frozenset({"AE", "AU", "ID", "NZ", "SG"})
_LETTER_PAPER_COUNTRIES = frozenset({"CA", "CL", "CO", "MX", "PH", "US"})
_NOT_FINAL = frozenset({"draft", "failed", "pending"})


def invoice_view(invoice: Wire, organization: Wire) -> InvoiceView:
    """Everything an invoice template prints, formatted in the customer's language.

    invoice: the extended wire object with its sections (invoices §2); organization: the wire object.
    Raises DocumentError for an unknown currency or when the amounts do not add up.
    """
    if invoice["currency"] not in CURRENCIES:
        raise DocumentError(
            f"invoice {invoice['number']}: unknown currency {invoice['currency']!r}"
        )
    check_sums(invoice)
    customer = invoice["customer"]
    locale, labels = labels_for(_document_locale(customer, organization))
    formats = formats_for(locale, invoice["currency"])
    tz = zone(customer["applicable_timezone"])
    issued = date.fromisoformat(invoice["issuing_date"])
    issuer = organization_party(organization, labels, formats)
    partner = customer_party(customer, labels, formats)
    # A self-billed invoice is written by the buyer in the name of the partner who sells.
    seller, buyer = (partner, issuer) if invoice["self_billed"] else (issuer, partner)
    return InvoiceView(
        language=formats.language,
        region=formats.region,
        paper="us-letter" if organization.get("country") in _LETTER_PAPER_COUNTRIES else "a4",
        title=_title(invoice, organization, labels),
        number=invoice["number"],
        watermark=_watermark(invoice["status"], labels),
        issued_on=(issued.year, issued.month, issued.day),
        seller_heading=labels.seller,
        seller=seller,
        buyer_heading=labels.buyer,
        buyer=buyer,
        facts=tuple(_facts(invoice, issued, labels, formats, tz)),
        columns=_columns(labels),
        groups=fee_groups(invoice, labels, formats, tz),
        totals=total_rows(invoice, labels, formats),
        due=Total(label=labels.due, amount=formats.amount(invoice["total_due_amount_cents"])),
        sections=tuple(_sections(invoice)),
        footer=organization["billing_configuration"].get("invoice_footer") or None,
        page=labels.page,
    )


def _document_locale(customer: Wire, organization: Wire) -> str | None:
    own: str | None = (customer.get("billing_configuration") or {}).get("document_locale")
    common: str | None = organization["billing_configuration"].get("document_locale")
    return own or common


def _title(invoice: Wire, organization: Wire, labels: Labels) -> str:
    if invoice["self_billed"]:
        return labels.self_billing_invoice
    if invoice["invoice_type"] == "credit":
        return labels.prepaid_credit_invoice
    if organization.get("country") in _TAX_INVOICE_COUNTRIES:
        return labels.tax_invoice
    return labels.invoice


def _watermark(status: str, labels: Labels) -> str | None:
    if status in _NOT_FINAL:
        return labels.draft
    return labels.voided if status == "voided" else None


def _facts(
    invoice: Wire, issued: date, labels: Labels, formats: Formats, tz: ZoneInfo
) -> Iterable[Fact]:
    yield Fact(label=labels.number, value=invoice["number"])
    yield Fact(label=labels.issued_on, value=formats.day(issued))
    due_on = date.fromisoformat(invoice["payment_due_date"])
    yield Fact(label=labels.due_on, value=formats.day(due_on))
    days = invoice_days(invoice["fees"], tz)
    if days is not None:
        yield Fact(label=labels.period, value=formats.period(*days))
    if invoice.get("purchase_order_number"):
        yield Fact(label=labels.purchase_order, value=invoice["purchase_order_number"])
    for entry in invoice["customer"].get("metadata") or ():
        if entry["display_in_invoice"]:
            yield Fact(label=entry["key"], value=entry["value"])


def _columns(labels: Labels) -> Columns:
    return Columns(
        item=labels.item,
        units=labels.units,
        unit_price=labels.unit_price,
        tax_rate=labels.tax_rate,
        amount=labels.amount,
        subtotal=labels.group_subtotal,
    )


def _sections(invoice: Wire) -> Iterable[Section]:
    for section in invoice.get("applied_invoice_custom_sections") or ():
        yield Section(title=section.get("display_name") or "", body=section.get("details") or "")
