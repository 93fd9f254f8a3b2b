"""`credit_note` documents (coupons_wallets_credit_notes.md §9)."""

from __future__ import annotations

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.decimals import as_json_number, to_wire
from lago_engine.domain.events import (
    CreditNoteConsumed,
    CreditNoteCreated,
    CreditNoteRestored,
    CreditNoteUpdated,
    CreditNoteVoided,
    DomainEvent,
    RefundStatusChanged,
)
from lago_engine.domain.invoicing.credit_note import CreditNote, CreditNoteItem, CreditNoteTax
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    instant_or_none,
    members,
    read_string,
    sort_key,
    without,
)
from lago_projections.customers import customer_object

REFUND = "refund"
"""Kind of the documents by which a provider's report about a refund finds its note; key: the provider's reference."""


class CreditNoteProjection(Projection):
    """Finalized credit notes; key: lago_id."""

    name = "credit_notes"
    kinds = ("credit_note", REFUND)
    handles = (
        CreditNoteCreated,
        CreditNoteConsumed,
        CreditNoteRestored,
        CreditNoteUpdated,
        CreditNoteVoided,
        RefundStatusChanged,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(
            event,
            CreditNoteCreated
            | CreditNoteConsumed
            | CreditNoteRestored
            | CreditNoteUpdated
            | CreditNoteVoided
            | RefundStatusChanged,
        )
        note = event.credit_note
        if isinstance(event, CreditNoteCreated):
            document = credit_note_object(note, event.customer, context.organization)
            document["items"] = [_item(item, note, context) for item in note.amounts.items]
        else:
            document = members(context.require("credit_note", str(note.id)))
            document |= _changing(note)
        if isinstance(event, RefundStatusChanged):
            _put_refund(event, context)
        customer = members(encode(document["customer"]))
        context.put(
            "credit_note",
            str(note.id),
            encode(document),
            parent=read_string(customer["external_id"]),
            sort_key=sort_key(note.created_at),
        )


def _put_refund(event: RefundStatusChanged, context: Context) -> None:
    reference, owner = event.refund.provider_refund_id, event.customer.external_id
    if reference:
        body = encode({"lago_id": event.credit_note.id, "lago_customer_id": event.customer.id})
        context.put(REFUND, reference, body, parent=owner)


def credit_note_object(
    note: CreditNote, customer: CustomerProfile, organization: OrganizationState
) -> Members:
    """A note without its items, which are left to fill in."""
    amounts = note.amounts
    return {
        "lago_id": note.id,
        "billing_entity_code": note.billing_entity_code,
        "sequential_id": note.sequential_id,
        "number": note.number,
        "lago_invoice_id": note.invoice_id,
        "invoice_number": note.invoice_number,
        "purchase_order_number": note.purchase_order_number,
        "issuing_date": note.issuing_date,
        "reason": note.reason,
        "description": note.description,
        "currency": note.currency,
        "total_amount_cents": note.total_amount_cents,
        "precise_total_amount_cents": to_wire(amounts.precise_total_amount_cents),
        "taxes_amount_cents": amounts.taxes_amount_cents,
        "precise_taxes_amount_cents": to_wire(amounts.precise_taxes_amount_cents),
        "sub_total_excluding_taxes_amount_cents": amounts.sub_total_excluding_taxes_amount_cents,
        "credit_amount_cents": note.credit_amount_cents,
        "refund_amount_cents": note.refund_amount_cents,
        "offset_amount_cents": note.offset_amount_cents,
        "coupons_adjustment_amount_cents": amounts.coupons_adjustment_amount_cents,
        "taxes_rate": as_json_number(amounts.taxes_rate),
        "created_at": instant(note.created_at),
        "file_url": None,
        "xml_url": None,
        "self_billed": False,
        **_changing(note),
        "items": [],
        "applied_taxes": [_applied_tax(tax, note) for tax in amounts.applied_taxes],
        "customer": customer_object(customer, organization),
        "error_details": [],
    }


def _changing(note: CreditNote) -> Members:
    return {
        "credit_status": note.credit_status,
        "refund_status": note.refund_status,
        "refunded_at": instant_or_none(note.refunded_at),
        "balance_amount_cents": note.balance_amount_cents,
        "updated_at": instant(note.updated_at),
        "metadata": note.metadata,
    }


def _item(item: CreditNoteItem, note: CreditNote, context: Context) -> Members:
    fee = members(context.require("fee", str(item.fee_id)))
    return {
        "lago_id": item.id,
        "amount_cents": item.amount_cents,
        "precise_amount_cents": to_wire(item.precise_amount_cents),
        "amount_currency": note.currency,
        "fee": without(fee, "_", "applied_taxes"),
    }


def _applied_tax(tax: CreditNoteTax, note: CreditNote) -> Members:
    return {
        "lago_id": tax.id,
        "lago_credit_note_id": note.id,
        "lago_tax_id": tax.tax_id,
        "tax_name": tax.tax_name,
        "tax_code": tax.tax_code,
        "tax_rate": as_json_number(tax.tax_rate),
        "tax_description": tax.tax_description,
        "base_amount_cents": tax.base_amount_cents,
        "amount_cents": tax.amount_cents,
        "amount_currency": note.currency,
        "created_at": instant(note.created_at),
    }
