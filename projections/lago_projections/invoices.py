"""`invoice` documents with all sections, and the `fee` documents of their fees (invoices.md §2, §16.1)."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.state import InvoiceMetadata
from lago_engine.domain.decimals import as_json_number
from lago_engine.domain.events import (
    CreditNoteCreated,
    DocumentGenerated,
    DomainEvent,
    FeeCreated,
    FeeDeleted,
    FeePaymentStatusChanged,
    InvoiceClosed,
    InvoiceDeleted,
    InvoiceDrafted,
    InvoiceFinalized,
    InvoiceMetadataSet,
    InvoiceOpened,
    InvoicePaymentDisputeLost,
    InvoicePaymentOverdue,
    InvoicePaymentStatusUpdated,
    InvoiceRefreshed,
    InvoiceVoided,
    PaymentRecorded,
    PaymentStatusChanged,
)
from lago_engine.domain.invoicing.model import (
    AppliedTax,
    Invoice,
    InvoiceLink,
    PaymentStatus,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import HIDDEN, InvoiceHidden, present
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    instant_or_none,
    invoice_sort_key,
    members,
    members_list,
    read_int,
    read_string,
    sort_key,
)
from lago_projections.coupons import credit_object
from lago_projections.customers import customer_object
from lago_projections.fees import Holder, fee_object, fee_tax_object
from lago_projections.standalone import apply_standalone, put_on_invoice

_hidden_decoder = msgspec.json.Decoder(InvoiceHidden)


class InvoiceProjection(Projection):
    """Visible invoices, their fees, and what the files of all documents were made with; key of all: lago_id.

    An invoice event carries the whole invoice, so the document is made of it alone; what happens to
    its payment and status afterwards changes single members. A closed invoice is hidden. One that is open until it is
    paid is an `open_invoice`, which no list shows.
    """

    name = "invoices"
    kinds = ("invoice", "open_invoice", "fee", "generated_document")
    handles = (
        InvoiceDrafted,
        InvoiceRefreshed,
        InvoiceFinalized,
        InvoiceOpened,
        InvoiceClosed,
        InvoiceDeleted,
        InvoiceVoided,
        InvoicePaymentOverdue,
        PaymentRecorded,
        PaymentStatusChanged,
        FeeCreated,
        FeePaymentStatusChanged,
        FeeDeleted,
        InvoicePaymentStatusUpdated,
        InvoiceMetadataSet,
        InvoicePaymentDisputeLost,
        CreditNoteCreated,
        DocumentGenerated,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        if isinstance(event, DocumentGenerated):
            _put_generated(event, context)
        elif isinstance(event, FeeCreated | FeePaymentStatusChanged | FeeDeleted):
            apply_standalone(event, context)
        else:
            _apply(event, context)


def _apply(event: DomainEvent, context: Context) -> None:
    match event:
        case InvoiceDrafted() | InvoiceRefreshed() | InvoiceFinalized() | InvoiceOpened():
            (_open if isinstance(event, InvoiceOpened) else _replace)(event.invoice, context)
        case InvoiceClosed(invoice=invoice) | InvoiceDeleted(invoice=invoice):
            _forget_fees(invoice.id, context)
            context.delete("invoice", str(invoice.id))
        case InvoiceVoided(invoice_id=invoice_id, voided_at=voided_at):
            changes = {
                "status": "voided",
                "payment_overdue": False,
                "total_due_amount_cents": 0,
                "voided_at": instant(voided_at),
            }
            _change(invoice_id, changes, context)
        case InvoicePaymentOverdue(invoice_id=invoice_id):
            _change(invoice_id, {"payment_overdue": True}, context)
        case PaymentRecorded() | PaymentStatusChanged():
            _settle(
                event.payment.invoice_id,
                event.invoice_payment_status,
                context,
                paid=event.invoice_total_paid_amount_cents,
            )
        case InvoicePaymentStatusUpdated(invoice_id=invoice_id, payment_status=status):
            _settle(invoice_id, status, context)
        case CreditNoteCreated(credit_note=note):
            _settle(
                note.invoice_id,
                event.invoice_payment_status,
                context,
                offset=event.invoice_total_offsetted_amount_cents,
            )
        case InvoiceMetadataSet(invoice_id=invoice_id, metadata=metadata):
            _change(invoice_id, {"metadata": list(map(_metadata, metadata))}, context)
        case InvoicePaymentDisputeLost(invoice_id=invoice_id, lost_at=lost_at):
            lost = {"payment_dispute_lost_at": instant(lost_at), "payment_overdue": False}
            _change(invoice_id, lost, context)


def invoice_object(invoice: Invoice, organization: OrganizationState) -> Members:
    """An unpaid invoice without `subscriptions` and `fees`, which are left to fill in."""
    granted = sum(each.granted_amount_cents for each in invoice.prepaid or ())
    return {
        "lago_id": invoice.id,
        "billing_entity_code": invoice.billing_entity_code,
        "sequential_id": invoice.sequential_id,
        "number": invoice.number,
        "purchase_order_number": None,
        "issuing_date": invoice.issuing_date,
        "payment_due_date": invoice.payment_due_date,
        "net_payment_term": invoice.net_payment_term,
        "invoice_type": invoice.invoice_type,
        "status": invoice.status,
        "payment_status": invoice.payment_status,
        "payment_dispute_lost_at": None,
        "payment_overdue": False,
        "currency": invoice.currency,
        "fees_amount_cents": invoice.fees_amount_cents,
        "taxes_amount_cents": invoice.taxes_amount_cents,
        "progressive_billing_credit_amount_cents": invoice.credited_cents("invoice"),
        "coupons_amount_cents": invoice.credited_cents("coupon"),
        "credit_notes_amount_cents": invoice.credited_cents("credit_note"),
        "sub_total_excluding_taxes_amount_cents": invoice.sub_total_excluding_taxes_amount_cents,
        "sub_total_including_taxes_amount_cents": invoice.sub_total_including_taxes_amount_cents,
        "total_amount_cents": invoice.total_amount_cents,
        "total_due_amount_cents": invoice.total_amount_cents,
        "total_paid_amount_cents": 0,
        "total_offsetted_credit_note_amount_cents": 0,
        "prepaid_credit_amount_cents": invoice.prepaid_cents,
        "prepaid_granted_credit_amount_cents": granted or None,
        "prepaid_purchased_credit_amount_cents": invoice.prepaid_cents - granted or None,
        # `file_url` is added by the API once there is a file; the schema has no null for it.
        "xml_url": None,
        "web_url": None,
        "version_number": 4,
        "self_billed": invoice.self_billed,
        "created_at": instant(invoice.created_at),
        "updated_at": instant(invoice.updated_at),
        "voided_at": instant_or_none(invoice.voided_at),
        "customer": customer_object(invoice.customer, organization),
        "subscriptions": [],
        "billing_periods": [_billing_period(link) for link in _ordered_links(invoice)],
        "fees": [],
        "credits": _credits(invoice),
        "metadata": [],
        "applied_taxes": [_applied_tax(tax, invoice) for tax in invoice.applied_taxes],
        "error_details": [],
        "applied_invoice_custom_sections": [],
    }


def _credits(invoice: Invoice) -> list[Members]:
    shown = {"lago_id": invoice.id, "payment_status": invoice.payment_status}
    return [credit_object(each, invoice.currency, shown) for each in invoice.credits or ()]


def _replace(invoice: Invoice, context: Context) -> None:
    """Write the invoice and its fees anew; fees of an earlier draft that are gone are removed."""
    _forget_fees(invoice.id, context)
    document = invoice_object(invoice, context.organization)
    document["subscriptions"] = _subscriptions(invoice, context)
    if invoice.invoice_type == "advance_charges":
        fees = [put_on_invoice(fee, invoice.id, context) for fee in invoice.fees]
    else:
        fees = [fee_object(fee, Holder.invoice(invoice)) for fee in invoice.fees]
    document["fees"] = fees
    hidden = _hidden(invoice)
    _carry_payment(document, context)
    _put_invoice(str(invoice.id), document, hidden, context)
    if invoice.invoice_type == "advance_charges":
        return
    for fee, fee_document in zip(invoice.fees, fees, strict=True):
        taxes = [fee_tax_object(tax, fee, Holder.invoice(invoice)) for tax in fee.taxes]
        _put_fee(str(fee.id), {**fee_document, "applied_taxes": taxes}, hidden, context)


def _hidden(invoice: Invoice) -> InvoiceHidden:
    return InvoiceHidden(
        expected_finalization_date=invoice.expected_finalization_date,
        created_at=invoice.created_at,
        external_customer_id=invoice.customer.external_id,
    )


def _open(invoice: Invoice, context: Context) -> None:
    """Keep an invoice that nobody sees until it is paid."""
    document = invoice_object(invoice, context.organization)
    document["fees"] = [fee_object(fee, Holder.invoice(invoice)) for fee in invoice.fees]
    _put_invoice(str(invoice.id), document, _hidden(invoice), context, kind="open_invoice")


def _carry_payment(document: Members, context: Context) -> None:
    """An invoice that was open is final: what was paid of it shows."""
    key = str(document["lago_id"])
    opened = context.get("open_invoice", key)
    if opened is not None:
        before = members(opened)
        document["total_paid_amount_cents"] = read_int(before["total_paid_amount_cents"])
        document["total_due_amount_cents"] = read_int(before["total_due_amount_cents"])
        context.delete("open_invoice", key)


def _kind(invoice_id: UUID, context: Context) -> str:
    """Where the document of an invoice is kept."""
    return "invoice" if context.get("invoice", str(invoice_id)) is not None else "open_invoice"


def _put_invoice(
    key: str, document: Members, hidden: InvoiceHidden, context: Context, *, kind: str = "invoice"
) -> None:
    document[HIDDEN] = hidden
    context.put(
        kind,
        key,
        encode(document),
        parent=hidden.external_customer_id,
        sort_key=invoice_sort_key(read_string(document["issuing_date"]), hidden.created_at),
    )


def _put_fee(key: str, document: Members, hidden: InvoiceHidden, context: Context) -> None:
    context.put(
        "fee",
        key,
        encode(document),
        parent=hidden.external_customer_id,
        sort_key=sort_key(hidden.created_at),
    )


def _put_generated(event: DocumentGenerated, context: Context) -> None:
    """What a file was made with; key: the id of what it shows, whatever that is."""
    context.put(
        "generated_document",
        str(event.document.id),
        encode(event.document),
        sort_key=sort_key(context.occurred_at),
    )


def _forget_fees(invoice_id: UUID, context: Context) -> None:
    body = context.get("invoice", str(invoice_id))
    if body is not None:
        for fee in members_list(members(body)["fees"]):
            context.delete("fee", read_string(fee["lago_id"]))


def _change(invoice_id: UUID, changes: Members, context: Context) -> None:
    key, kind = str(invoice_id), _kind(invoice_id, context)
    document = members(context.require(kind, key))
    document.update(changes, updated_at=instant(context.occurred_at))
    _put_invoice(key, document, _hidden_decoder.decode(document[HIDDEN]), context, kind=kind)


def _settle(
    invoice_id: UUID,
    status: PaymentStatus,
    context: Context,
    *,
    paid: int | None = None,
    offset: int | None = None,
) -> None:
    """What was paid or offset, and how the payment stands; fees and credits show it too."""
    kind = _kind(invoice_id, context)
    document = members(context.require(kind, str(invoice_id)))
    old = _Settlement.of(document)
    new = _Settlement(
        status,
        old.paid if paid is None else paid,
        old.offset if offset is None else offset,
    )
    if new == old:
        return
    changes: Members = {
        "payment_status": status,
        "total_paid_amount_cents": new.paid,
        "total_offsetted_credit_note_amount_cents": new.offset,
    }
    if read_string(document["status"]) != "voided":
        total = read_int(document["total_amount_cents"])
        changes["total_due_amount_cents"] = total - new.paid - new.offset
    if status == "succeeded":
        changes["payment_overdue"] = False
    if status != old.status:
        fees = members_list(document["fees"])
        changes["fees"] = [{**fee, "payment_status": status} for fee in fees]
        shown = {"lago_id": invoice_id, "payment_status": status}
        credits = members_list(document["credits"])
        changes["credits"] = [{**credit, "invoice": shown} for credit in credits]
        if kind == "invoice":
            _set_fee_status(fees, status, _hidden_decoder.decode(document[HIDDEN]), context)
    _change(invoice_id, changes, context)


class _Settlement(NamedTuple):
    """How an invoice stands: its payment status, and what was paid and offset in minor units."""

    status: str
    paid: int
    offset: int

    @classmethod
    def of(cls, document: Members) -> _Settlement:
        return cls(
            read_string(document["payment_status"]),
            read_int(document["total_paid_amount_cents"]),
            read_int(document["total_offsetted_credit_note_amount_cents"]),
        )


def _metadata(entry: InvoiceMetadata) -> Members:
    return {
        "lago_id": entry.id,
        "key": entry.key,
        "value": entry.value,
        "created_at": instant(entry.created_at),
    }


def _set_fee_status(
    fees: list[Members], status: PaymentStatus, hidden: InvoiceHidden, context: Context
) -> None:
    for fee in fees:
        key = read_string(fee["lago_id"])
        document = members(context.require("fee", key))
        document["payment_status"] = status
        _put_fee(key, document, hidden, context)


def _subscriptions(invoice: Invoice, context: Context) -> list[Members]:
    return [
        present("subscription", body, context.organization, context.occurred_at)
        for link in _ordered_links(invoice)
        for body in [context.require("subscription", str(link.subscription_id))]
    ]


def _ordered_links(invoice: Invoice) -> list[InvoiceLink]:
    return sorted(invoice.links, key=lambda link: link.order_name)


def _billing_period(link: InvoiceLink) -> Members:
    return {
        "lago_subscription_id": link.subscription_id,
        "external_subscription_id": link.external_subscription_id,
        "lago_plan_id": link.plan_id,
        "subscription_from_datetime": instant(link.from_datetime),
        "subscription_to_datetime": instant(link.to_datetime),
        "charges_from_datetime": instant_or_none(link.charges_from_datetime),
        "charges_to_datetime": instant_or_none(link.charges_to_datetime),
        "fixed_charges_from_datetime": instant_or_none(link.fixed_charges_from_datetime),
        "fixed_charges_to_datetime": instant_or_none(link.fixed_charges_to_datetime),
        "invoicing_reason": link.invoicing_reason,
    }


def _applied_tax(tax: AppliedTax, invoice: Invoice) -> Members:
    return {
        "lago_id": tax.id,
        "lago_invoice_id": invoice.id,
        "lago_tax_id": tax.tax_id,
        "tax_name": tax.tax_name,
        "tax_code": tax.tax_code,
        "tax_rate": as_json_number(tax.tax_rate),
        "tax_description": tax.tax_description,
        "amount_cents": tax.amount_cents,
        "amount_currency": invoice.currency,
        "fees_amount_cents": tax.fees_amount_cents,
        "created_at": instant(invoice.created_at),
    }
