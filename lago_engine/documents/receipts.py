"""From the wire form of a payment to the receipt that a template prints (payments §10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from lago_engine.documents.frame import Frame, frame_of, year_month_day
from lago_engine.documents.model import Columns, DocumentView, Fact, Group, Line, Total
from lago_engine.domain.timezones import local_date

Wire = Mapping[str, Any]


def receipt_view(receipt: Wire, customer: Wire, organization: Wire) -> DocumentView:
    """Everything a template prints of a receipt, in the customer's language.

    receipt, customer, organization: the wire objects. Raises DocumentError for an unknown currency.
    """
    payment = receipt["payment"]
    frame = frame_of(
        customer,
        organization,
        currency=payment["amount_currency"],
        number=receipt["number"],
        self_billed=False,
    )
    labels = frame.labels
    paid_on = local_date(datetime.fromisoformat(payment["created_at"]), frame.zone)
    amount = frame.formats.amount(payment["amount_cents"])
    return DocumentView(
        **frame.common,
        title=labels.receipt,
        number=receipt["number"],
        watermark=None,
        issued_on=year_month_day(paid_on),
        facts=tuple(_facts(receipt, paid_on, frame)),
        columns=Columns(
            item=labels.item,
            units=None,
            unit_price=None,
            tax_rate=None,
            amount=labels.amount,
            subtotal=labels.group_subtotal,
        ),
        groups=(
            Group(
                title=None, reference=None, lines=(_line(payment, frame, amount),), subtotal=None
            ),
        ),
        totals=(),
        due=Total(label=labels.amount_paid, amount=amount),
        sections=(),
    )


def _facts(receipt: Wire, paid_on: date, frame: Frame) -> Iterable[Fact]:
    labels, payment = frame.labels, receipt["payment"]
    yield Fact(label=labels.document_number, value=receipt["number"])
    yield Fact(label=labels.paid_on, value=frame.formats.day(paid_on))
    method = payment["payment_provider_type"] or labels.manual_payment
    yield Fact(label=labels.payment_method, value=method)
    if reference := payment["reference"] or payment["provider_payment_id"]:
        yield Fact(label=labels.payment_reference, value=reference)


def _line(payment: Wire, frame: Frame, amount: str) -> Line:
    numbers = ", ".join(payment["invoice_numbers"])
    return Line(
        name=f"{frame.labels.invoice} {numbers}",
        notes=(),
        units=None,
        unit_price=None,
        tax_rate=None,
        amount=amount,
    )
