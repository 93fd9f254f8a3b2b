"""From the wire form of a credit note to what a template prints (coupons_wallets_credit_notes §9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from lago_engine.documents.frame import Frame, frame_of, year_month_day
from lago_engine.documents.lines import fee_name, fee_notes
from lago_engine.documents.model import (
    Columns,
    DocumentError,
    DocumentView,
    Fact,
    Group,
    Line,
    Total,
)
from lago_engine.documents.view import shown_metadata

Wire = Mapping[str, Any]


def credit_note_view(note: Wire, organization: Wire) -> DocumentView:
    """Everything a template prints of a credit note, in the customer's language.

    note: the wire object with its sections; organization: the wire object. Raises DocumentError for an unknown
    currency or when the amounts do not add up.
    """
    frame = frame_of(
        note["customer"],
        organization,
        currency=note["currency"],
        number=note["number"],
        self_billed=note["self_billed"],
    )
    _check_sums(note)
    labels = frame.labels
    issued = date.fromisoformat(note["issuing_date"])
    return DocumentView(
        **frame.common,
        title=labels.credit_note_title,
        number=note["number"],
        watermark=labels.voided if note["credit_status"] == "voided" else None,
        issued_on=year_month_day(issued),
        facts=tuple(_facts(note, issued, frame)),
        columns=Columns(
            item=labels.item,
            units=None,
            unit_price=None,
            tax_rate=labels.tax_rate,
            amount=labels.amount,
            subtotal=labels.group_subtotal,
        ),
        groups=tuple(_groups(note, frame)),
        totals=tuple(_totals(note, frame)),
        due=Total(
            label=labels.total_credited, amount=frame.formats.amount(note["total_amount_cents"])
        ),
        sections=(),
    )


def _check_sums(note: Wire) -> None:
    """Refuse a note whose sums disagree (§9, §11.1); its items may be fractions of a cent."""
    total = note["total_amount_cents"]
    for what, parts in (
        ("its parts", ("credit_amount_cents", "refund_amount_cents", "offset_amount_cents")),
        ("net and tax", ("sub_total_excluding_taxes_amount_cents", "taxes_amount_cents")),
    ):
        given = sum(note[name] for name in parts)
        if given != total:
            raise DocumentError(
                f"credit note {note['number']}: total_amount_cents is {total}, {what} give {given}"
            )


def _facts(note: Wire, issued: date, frame: Frame) -> Iterable[Fact]:
    labels = frame.labels
    yield Fact(label=labels.document_number, value=note["number"])
    yield Fact(label=labels.issued_on, value=frame.formats.day(issued))
    yield Fact(label=labels.number, value=note["invoice_number"])
    if note.get("purchase_order_number"):
        yield Fact(label=labels.purchase_order, value=note["purchase_order_number"])
    yield from shown_metadata(note["customer"])


def _groups(note: Wire, frame: Frame) -> Iterable[Group]:
    """One group per subscription, in the order of the items."""
    items_of: dict[str | None, list[Wire]] = {}
    for item in note["items"]:
        items_of.setdefault(item["fee"].get("external_subscription_id"), []).append(item)
    for reference, items in items_of.items():
        yield Group(
            title=reference,
            reference=reference,
            lines=tuple(_line(item, frame) for item in items),
            subtotal=None,
        )


def _line(item: Wire, frame: Frame) -> Line:
    fee = item["fee"]
    return Line(
        name=fee_name(fee, frame.labels),
        notes=tuple(fee_notes(fee, frame.formats, frame.zone)),
        units=None,
        unit_price=None,
        tax_rate=frame.formats.rate(fee["taxes_rate"]),
        amount=frame.formats.amount(item["amount_cents"]),
    )


def _totals(note: Wire, frame: Frame) -> Iterable[Total]:
    labels, amount = frame.labels, frame.formats.amount
    if note["coupons_adjustment_amount_cents"]:
        deducted = amount(-note["coupons_adjustment_amount_cents"])
        yield Total(label=labels.coupons, amount=deducted)
    net = amount(note["sub_total_excluding_taxes_amount_cents"])
    yield Total(label=labels.subtotal_excluding_tax, amount=net, strong=True)
    for tax in note["applied_taxes"]:
        label = labels.tax_on.format(
            name=tax["tax_name"],
            rate=frame.formats.rate(tax["tax_rate"]),
            base=amount(tax["base_amount_cents"]),
        )
        yield Total(label=label, amount=amount(tax["amount_cents"]))
    taxes = note["taxes_amount_cents"]
    if [tax["amount_cents"] for tax in note["applied_taxes"]] != [taxes]:
        yield Total(label=labels.tax_total, amount=amount(taxes))
    yield Total(label=labels.total, amount=amount(note["total_amount_cents"]), strong=True)
    for label, cents in (
        (labels.credited, note["credit_amount_cents"]),
        (labels.refunded, note["refund_amount_cents"]),
        (labels.offset_on.format(name=note["invoice_number"]), note["offset_amount_cents"]),
    ):
        if cents:
            yield Total(label=label, amount=amount(cents))
