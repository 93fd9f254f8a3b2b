"""From the wire form of an invoice to what a template prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from lago_engine.documents.frame import Frame, frame_of, year_month_day
from lago_engine.documents.labels import Labels
from lago_engine.documents.lines import fee_groups, invoice_days
from lago_engine.documents.model import Columns, DocumentView, Fact, Section, Total
from lago_engine.documents.totals import check_sums, total_rows

Wire = Mapping[str, Any]

# Invoices §14: where the law wants the words "tax invoice".
_TAX_INVOICE_COUNTRIES = frozenset({"AE", "AU", "ID", "NZ", "SG"})
_NOT_FINAL = frozenset({"draft", "failed", "pending"})


def invoice_view(invoice: Wire, organization: Wire) -> DocumentView:
    """Everything an invoice template prints, formatted in the customer's language.

    invoice: the extended wire object with its sections (invoices §2); organization: the wire object.
    Raises DocumentError for an unknown currency or when the amounts do not add up.
    """
    frame = frame_of(
        invoice["customer"],
        organization,
        currency=invoice["currency"],
        number=invoice["number"],
        self_billed=invoice["self_billed"],
    )
    check_sums(invoice)
    labels, formats = frame.labels, frame.formats
    issued = date.fromisoformat(invoice["issuing_date"])
    return DocumentView(
        **frame.common,
        title=_title(invoice, organization, labels),
        number=invoice["number"],
        watermark=_watermark(invoice["status"], labels),
        issued_on=year_month_day(issued),
        facts=tuple(_facts(invoice, issued, frame)),
        columns=_columns(labels),
        groups=fee_groups(invoice, labels, formats, frame.zone),
        totals=total_rows(invoice, labels, formats),
        due=Total(label=labels.due, amount=formats.amount(invoice["total_due_amount_cents"])),
        sections=tuple(_sections(invoice)),
    )


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


def _facts(invoice: Wire, issued: date, frame: Frame) -> Iterable[Fact]:
    labels, formats = frame.labels, frame.formats
    yield Fact(label=labels.number, value=invoice["number"])
    yield Fact(label=labels.issued_on, value=formats.day(issued))
    due_on = date.fromisoformat(invoice["payment_due_date"])
    yield Fact(label=labels.due_on, value=formats.day(due_on))
    days = invoice_days(invoice["fees"], frame.zone)
    if days is not None:
        yield Fact(label=labels.period, value=formats.period(*days))
    if invoice.get("purchase_order_number"):
        yield Fact(label=labels.purchase_order, value=invoice["purchase_order_number"])
    yield from shown_metadata(invoice["customer"])


def shown_metadata(customer: Wire) -> Iterable[Fact]:
    """What the customer wants to read on its documents."""
    for entry in customer.get("metadata") or ():
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
