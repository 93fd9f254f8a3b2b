"""`payment` documents (payments.md §2)."""

from __future__ import annotations

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Payment, PaymentReceipt
from lago_engine.domain.events import (
    DomainEvent,
    PaymentLinkOpened,
    PaymentRecorded,
    PaymentRequested,
    PaymentStatusChanged,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import HIDDEN, payment_provider_name
from lago_engine.projecting.wire import Members, encode, instant, sort_key
from lago_projections.customers import customer_object

LINK = "payment_link"
"""Kind of the documents by which a provider's report about a hosted page finds its customer; key: id of the payment."""


class PaymentProjection(Projection):
    """Attempts and recorded transfers, and the receipts for them; key of both: lago_id."""

    name = "payments"
    kinds = ("payment", "payment_receipt", LINK)
    handles = (PaymentRequested, PaymentRecorded, PaymentStatusChanged, PaymentLinkOpened)

    def apply(self, event: DomainEvent, context: Context) -> None:
        if isinstance(event, PaymentLinkOpened):
            _put_link(event, context)
            return
        assert isinstance(event, PaymentRequested | PaymentRecorded | PaymentStatusChanged)
        payment = event.payment
        shown = payment_object(event.customer, payment, context.organization)
        context.put(
            "payment",
            str(payment.id),
            encode(shown),
            parent=event.customer.external_id,
            sort_key=sort_key(payment.created_at),
        )
        if not isinstance(event, PaymentRequested) and event.receipt is not None:
            customer = customer_object(event.customer, context.organization)
            context.put(
                "payment_receipt",
                str(event.receipt.id),
                encode(receipt_object(event.receipt, shown) | {HIDDEN: {"customer": customer}}),
                parent=event.customer.external_id,
                sort_key=sort_key(event.receipt.created_at),
            )


def receipt_object(receipt: PaymentReceipt, payment: Members) -> Members:
    """A receipt. `file_url` is added by the API."""
    return {
        "lago_id": receipt.id,
        "number": receipt.number,
        "file_url": None,
        "xml_url": None,
        "payment": payment,
        "created_at": instant(receipt.created_at),
    }


def _put_link(event: PaymentLinkOpened, context: Context) -> None:
    payment, owner = event.link.payment, event.customer.external_id
    body = encode({"lago_id": payment.id, "lago_customer_id": event.customer.id})
    context.put(LINK, str(payment.id), body, parent=owner, sort_key=sort_key(payment.created_at))


def payment_object(
    customer: CustomerProfile, payment: Payment, organization: OrganizationState
) -> Members:
    """A payment of one invoice. `next_action` says where the customer must go, when it must."""
    return {
        "lago_id": payment.id,
        "lago_customer_id": customer.id,
        "external_customer_id": customer.external_id,
        "invoice_ids": [payment.invoice_id],
        "invoice_numbers": [payment.invoice_number],
        "lago_payable_id": payment.invoice_id,
        "payable_type": "Invoice",
        "amount_cents": payment.amount_cents,
        "amount_currency": payment.amount_currency,
        "status": payment.status,
        "payment_status": payment.payment_status,
        "type": payment.type,
        # Text also where a provider's payment has none: the official clients require a string.
        "reference": payment.reference or "",
        "payment_provider_code": payment.connection_code,
        "payment_provider_type": payment_provider_name(payment, organization),
        "external_payment_id": payment.provider_payment_id,
        "provider_payment_id": payment.provider_payment_id,
        "provider_customer_id": payment.provider_customer_id,
        "next_action": _next_action(payment),
        "created_at": instant(payment.created_at),
    }


def _next_action(payment: Payment) -> Members:
    if payment.action_url is None:
        return {}
    return {"type": "redirect_to_url", "redirect_to_url": {"url": payment.action_url}}
