"""Money coming in: manual payments, attempts through a provider, and what providers report.

Source: payments.md §3, §7, §11.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.state import (
    InvoiceRecord,
    Payment,
    PaymentReceipt,
    PaymentState,
)
from lago_engine.domain.instants import parse_instant
from lago_engine.errors import Forbidden, NotAllowed, NotFound, ValidationFailed

REFERENCE_LENGTH_MAX = 40


class PaymentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer or report, reduced to what the ledger keeps.

    status: the provider's own word. `unknown` outcomes never get here: they are reconciled first.
    """

    status: str
    payment_status: PaymentState
    provider_payment_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    action_url: str | None = None


def due_amount(record: InvoiceRecord) -> int:
    """What is still to be collected, in minor units."""
    if record.status == "voided":
        return 0
    settled = record.total_paid_amount_cents + record.total_offsetted_amount_cents
    return record.total_amount_cents - settled


def request_payment(decision: Decision, invoice_id: UUID, *, at: datetime) -> bool:
    """Ask the customer's provider for the amount due; False when there is nothing or nobody to ask."""
    record = decision.state.invoices[invoice_id]
    profile = decision.state.profile
    link = profile.billing_configuration
    connection = decision.organization.connections.get(link.payment_provider_code or "")
    if due_amount(record) <= 0 or record.payment_status == "succeeded" or record.status == "voided":
        return False
    if connection is None or link.provider_customer_id is None:
        return False
    payment_id = ids.derive(profile.id, "payment", decision.state.items_count + 1)
    payment = Payment(
        id=payment_id,
        invoice_id=invoice_id,
        invoice_number=record.number,
        type="provider",
        amount_cents=due_amount(record),
        amount_currency=record.currency,
        status="pending",
        payment_status="pending",
        created_at=at,
        provider=connection.provider,
        connection_code=connection.code,
        provider_customer_id=link.provider_customer_id,
        idempotency_key=f"{payment_id}:charge:1",
    )
    decision.record(e.PaymentRequested(customer=profile, payment=payment), at=at)
    return True


def manual_invoice_id(given: Mapping[str, Any]) -> UUID:
    """Which invoice a manual payment is for, with what is checked before the invoice is looked up."""
    invoice_id = given.get("invoice_id")
    if invoice_id is None or invoice_id == "":
        raise ValidationFailed.of("invoice_id", "value_is_mandatory")
    manual_amount(given)
    try:
        return UUID(str(invoice_id))
    except ValueError:
        raise NotFound("invoice") from None


def manual_amount(given: Mapping[str, Any]) -> int:
    """A JSON integer above 0, in minor units."""
    amount = given.get("amount_cents")
    if isinstance(amount, bool) or not isinstance(amount, int) or amount <= 0:
        raise ValidationFailed.of("amount_cents", "invalid_value")
    return amount


def record_manual_payment(decision: Decision, invoice_id: UUID, given: Mapping[str, Any]) -> None:
    """A transfer that somebody recorded; checks in the order of payments.md §7."""
    amount = manual_amount(given)
    if invoice_id in decision.state.drafts:
        raise Forbidden("feature_unavailable")
    record = decision.state.invoices.get(invoice_id)
    if record is None:
        raise NotFound("invoice")
    if record.status not in ("finalized", "open"):
        raise Forbidden("feature_unavailable")
    paid_at = _paid_at(given.get("paid_at"))
    reference = given.get("reference")
    if not isinstance(reference, str) or not reference.strip():
        raise ValidationFailed.of("reference", "value_is_mandatory")
    if len(reference) > REFERENCE_LENGTH_MAX:
        raise ValidationFailed.of("reference", "value_is_too_long")
    if amount > due_amount(record):
        raise ValidationFailed.of("amount_cents", "value_is_out_of_range")
    record_payment(decision, record, amount, reference=reference, paid_at=paid_at or decision.now)


def record_payment(
    decision: Decision, record: InvoiceRecord, amount: int, *, reference: str, paid_at: datetime
) -> None:
    """Money that came another way than through a provider."""
    payment = Payment(
        id=ids.derive(decision.state.id, "payment", decision.state.items_count + 1),
        invoice_id=record.id,
        invoice_number=record.number,
        type="manual",
        amount_cents=amount,
        amount_currency=record.currency,
        status="succeeded",
        payment_status="succeeded",
        created_at=paid_at,
        reference=reference,
    )
    paid = record.total_paid_amount_cents + amount
    event = e.PaymentRecorded(
        customer=decision.state.profile,
        payment=payment,
        invoice_payment_status=_covered(record, paid) or record.payment_status,
        invoice_total_paid_amount_cents=paid,
        receipt=_receipt(decision, payment.id),
    )
    decision.record(event)


def _receipt(decision: Decision, payment_id: UUID) -> PaymentReceipt | None:
    """The next receipt of the customer; a partner, who sends the invoices, gets none (payments.md §10)."""
    profile = decision.state.profile
    if profile.account_type == "partner":
        return None
    number = decision.state.receipts_count + 1
    return PaymentReceipt(
        id=ids.derive(payment_id, "receipt"),
        number=f"{profile.slug}-RCPT-{number:06d}",
        created_at=decision.now,
    )


def _paid_at(value: object) -> datetime | None:
    if value is None:
        return None
    paid_at = parse_instant(value)
    if paid_at is None:
        raise ValidationFailed.of("paid_at", "invalid_date")
    return paid_at


def _covered(record: InvoiceRecord, paid: int) -> Literal["succeeded"] | None:
    settled = paid + record.total_offsetted_amount_cents
    return "succeeded" if settled >= record.total_amount_cents else None


def retry_payment(decision: Decision, invoice_id: UUID) -> None:
    """A new attempt; 405 while one is under way or when nothing can be collected (payments.md §3)."""
    if invoice_id in decision.state.drafts:
        raise NotAllowed("invalid_status")
    record = decision.state.invoices.get(invoice_id)
    if record is None:
        raise NotFound("invoice")
    if record.status != "finalized" or record.payment_status == "succeeded":
        raise NotAllowed("invalid_status")
    if any(payment.invoice_id == invoice_id for payment in decision.state.payments.values()):
        raise NotAllowed("payment_processor_is_currently_handling_payment")
    request_payment(decision, invoice_id, at=decision.now)


def cancel_payments(decision: Decision, invoice_id: UUID) -> None:
    """Have what is under way for an invoice stopped."""
    for payment in decision.state.payments.values():
        if payment.invoice_id == invoice_id:
            event = e.PaymentCancelRequested(customer=decision.state.profile, payment=payment)
            decision.record(event)


def record_outcome(decision: Decision, payment_id: UUID, outcome: PaymentOutcome) -> None:
    """Fold a provider's report into its payment; a repeated or late report changes nothing."""
    payment = decision.state.payments.get(payment_id)
    if payment is None:
        if payment_id in decision.state.settled_payments:
            return
        link = decision.state.payment_links.get(payment_id)
        if link is None:
            raise NotFound("payment")
        payment = replace(link.payment, created_at=decision.now)
    moved = replace(
        payment,
        status=outcome.status,
        payment_status=outcome.payment_status,
        provider_payment_id=outcome.provider_payment_id or payment.provider_payment_id,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        action_url=outcome.action_url,
    )
    if moved == payment:
        return
    record = decision.state.invoices[payment.invoice_id]
    paid = record.total_paid_amount_cents
    status = record.payment_status
    if moved.payment_status == "succeeded":
        paid += payment.amount_cents
        status = _covered(record, paid) or status
    elif moved.payment_status == "failed" and status != "succeeded":
        status = "failed"
    elif moved.payment_status in ("pending", "processing") and status == "failed":
        status = "pending"
    event = e.PaymentStatusChanged(
        customer=decision.state.profile,
        payment=moved,
        invoice_payment_status=status,
        invoice_total_paid_amount_cents=paid,
        receipt=_receipt(decision, payment_id) if moved.payment_status == "succeeded" else None,
    )
    decision.record(event)
