"""What may be said about an invoice afterwards: its payment, its metadata, a lost dispute (invoices.md §11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args
from uuid import UUID

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import due_amount, record_payment
from lago_engine.domain.customer.state import InvoiceMetadata, InvoiceRecord
from lago_engine.domain.invoicing.model import PaymentStatus
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotAllowed, NotFound

METADATA_MAX: Final = 5
METADATA_KEY_LENGTH_MAX: Final = 20
METADATA_VALUE_LENGTH_MAX: Final = 140
MARKED_AS_PAID: Final = "payment_status: succeeded"
"""The reference of the payment that stands for an invoice that somebody marked as paid."""


def update_invoice(decision: Decision, invoice_id: UUID, given: Mapping[str, Any]) -> None:
    """`PUT /invoices/:id`: payment status and metadata."""
    status = given.get("payment_status")
    if invoice_id in decision.state.drafts:
        _refuse_on_draft(decision, invoice_id, given)
        return
    record = _record(decision, invoice_id)
    if record.status == "voided":
        raise NotAllowed("update_on_voided_invoice")
    check = Checker(given)
    if status is not None and status not in get_args(PaymentStatus):
        check.fail("payment_status", "value_is_invalid")
    asked = given.get("metadata") is not None
    metadata = _metadata(check, record, decision) if asked else None
    check.raise_failures()
    if status is not None and status != record.payment_status:
        _set_payment_status(decision, record, status)
    if metadata is not None and metadata != record.metadata:
        decision.record(e.InvoiceMetadataSet(invoice_id=record.id, metadata=metadata))


def _refuse_on_draft(decision: Decision, invoice_id: UUID, given: Mapping[str, Any]) -> None:
    if given.get("metadata"):
        raise NotAllowed("metadata_on_draft_invoice")
    status = given.get("payment_status")
    if status not in (None, decision.state.drafts[invoice_id].payment_status):
        raise NotAllowed("payment_status_update_on_draft_invoice")


def _record(decision: Decision, invoice_id: UUID) -> InvoiceRecord:
    record = decision.state.invoices.get(invoice_id)
    if record is None:
        raise NotFound("invoice")
    return record


def _set_payment_status(decision: Decision, record: InvoiceRecord, status: PaymentStatus) -> None:
    """An invoice that is said to be paid has a payment of what was due, so that totals agree."""
    due = due_amount(record)
    if status == "succeeded" and due > 0:
        record_payment(decision, record, due, reference=MARKED_AS_PAID, paid_at=decision.now)
    else:
        decision.record(e.InvoicePaymentStatusUpdated(invoice_id=record.id, payment_status=status))


def _metadata(
    check: Checker, record: InvoiceRecord, decision: Decision
) -> tuple[InvoiceMetadata, ...]:
    """The full new set: entries with a known id are updated, others created (api_conventions.md §5)."""
    given = check.array("metadata") or []
    if len(given) > METADATA_MAX:
        check.fail("metadata", "invalid_count")
    known = {str(entry.id): entry for entry in record.metadata}
    entries = []
    for index, item in enumerate(given):
        problem = _problem(item)
        if problem is not None:
            check.fail("metadata", problem)
            continue
        kept = known.get(str(item.get("id", "")))
        serial = decision.state.items_count + 1
        entry_id = kept.id if kept else ids.derive(record.id, "metadata", serial, index)
        created_at = kept.created_at if kept else decision.now
        entries.append(
            InvoiceMetadata(
                id=entry_id, key=item["key"], value=item["value"], created_at=created_at
            )
        )
    if len({entry.key for entry in entries}) < len(entries):
        check.fail("metadata", "value_already_exist")
    return tuple(entries)


def _problem(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return "invalid_type"
    key, value = item.get("key"), item.get("value")
    if not isinstance(key, str) or not key.strip() or not isinstance(value, str) or not value:
        return "invalid_key_value_pair"
    if len(key) > METADATA_KEY_LENGTH_MAX:
        return "key_too_long"
    return "value_too_long" if len(value) > METADATA_VALUE_LENGTH_MAX else None


def lose_dispute(decision: Decision, invoice_id: UUID) -> None:
    """The bank gave the payment back; said again it changes nothing."""
    if invoice_id in decision.state.drafts:
        raise NotAllowed("not_disputable")
    record = _record(decision, invoice_id)
    if record.payment_dispute_lost_at is None:
        decision.record(e.InvoicePaymentDisputeLost(invoice_id=record.id, lost_at=decision.now))


def delete_draft(decision: Decision, invoice_id: UUID) -> None:
    """`DELETE /invoices/:id`: the draft is gone; its periods are not billed again."""
    draft = decision.state.drafts.get(invoice_id)
    if draft is None:
        _record(decision, invoice_id)
        raise NotAllowed("not_deletable")
    decision.record(e.InvoiceDeleted(invoice=draft))


def refuse_retry(decision: Decision, invoice_id: UUID) -> None:
    """`POST /invoices/:id/retry` is for invoices that a tax provider refused; there are none."""
    if invoice_id not in decision.state.drafts:
        _record(decision, invoice_id)
    raise NotAllowed("invalid_status")
