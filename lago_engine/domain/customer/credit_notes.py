"""Making, changing and voiding credit notes (coupons_wallets_credit_notes.md §10 - §13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.references import uuid_or_none
from lago_engine.domain.customer.credit_note_limits import (
    Parts,
    check_note,
    fees_of,
    max_offsettable,
    max_refundable,
    notes_of,
)
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.refunds import refunded, request_refund
from lago_engine.domain.customer.settings import timezone_of
from lago_engine.domain.customer.state import CustomerState, InvoiceRecord
from lago_engine.domain.decimals import parse_decimal, truncate
from lago_engine.domain.invoicing.credit_note import (
    CreditNote,
    CreditNoteAmounts,
    Reason,
    RefundStatus,
)
from lago_engine.domain.invoicing.credit_note_amounts import (
    ITEM_PLACES,
    Items,
    creditable,
    expected_total,
    note_amounts,
    reconciled,
)
from lago_engine.domain.timezones import local_date, zone
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotAllowed, NotFound, ValidationFailed

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
REFUND_STATUSES: Final[tuple[RefundStatus, ...]] = get_args(RefundStatus)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a note over some items would be (§12)."""

    record: InvoiceRecord
    amounts: CreditNoteAmounts
    max_creditable_amount_cents: int
    max_refundable_amount_cents: int
    max_offsettable_amount_cents: int


# --- on request --------------------------------------------------------------------------------


def create_credit_note(decision: Decision, invoice_id: UUID, given: Mapping[str, Any]) -> None:
    """`POST /credit_notes`: give back parts of fees as credit, refund, or offset."""
    state = decision.state
    record = _open_invoice(state, invoice_id)
    check = Checker(given)
    items = _items(state, record, given)
    parts = Parts(
        credit=check.integer("credit_amount_cents", at_least=0) or 0,
        refund=check.integer("refund_amount_cents", at_least=0) or 0,
        offset=check.integer("offset_amount_cents", at_least=0) or 0,
    )
    reason: Any = check.choice("reason", REASONS) or "other"
    metadata = check.object_metadata("metadata")
    note_id = next_note_id(decision)
    amounts = note_amounts(note_id, fees_of(record), items, notes_of(state, record))
    check_note(check, state, record, parts, expected_total(amounts))
    check.raise_failures()
    description = check.text("description")
    record_note(
        decision,
        record,
        amounts,
        parts,
        reason=reason,
        at=decision.now,
        description=description,
        metadata=metadata,
    )


def estimate_credit_note(
    state: CustomerState, invoice_id: UUID, given: Mapping[str, Any]
) -> Estimate:
    """`POST /credit_notes/estimate`: the same checks of items, cut to whole minor units; nothing is kept."""
    record = _open_invoice(state, invoice_id)
    items = [(fee_id, truncate(amount)) for fee_id, amount in _items(state, record, given)]
    amounts = note_amounts(record.id, fees_of(record), items, notes_of(state, record))
    amounts, total = reconciled(amounts, expected_total(amounts))
    return Estimate(
        record=record,
        amounts=amounts,
        max_creditable_amount_cents=total,
        max_refundable_amount_cents=min(total, int(max_refundable(state, record))),
        max_offsettable_amount_cents=min(total, int(max_offsettable(state, record))),
    )


def _open_invoice(state: CustomerState, invoice_id: UUID) -> InvoiceRecord:
    """A finalized invoice; nothing can be given back of another one."""
    if invoice_id in state.drafts:
        raise NotAllowed("invalid_type_or_status")
    record = state.invoices.get(invoice_id)
    if record is None:
        raise NotFound("invoice")
    if record.status != "finalized":
        raise NotAllowed("invalid_type_or_status")
    return record


def _items(state: CustomerState, record: InvoiceRecord, given: Mapping[str, Any]) -> Items:
    """What is given back of which fee. Raises NotFound for a fee, ValidationFailed for an amount."""
    if not isinstance(given.get("items"), list):
        raise ValidationFailed.of("items", "must_be_an_array")
    left = creditable(fees_of(record), notes_of(state, record))
    asked: dict[UUID, Decimal] = {}
    for item in given["items"]:
        fee_id = uuid_or_none(item.get("fee_id")) if isinstance(item, Mapping) else None
        if fee_id is None or fee_id not in left:
            raise NotFound("fee")
        amount = asked.get(fee_id, Decimal(0)) + _item_amount(item.get("amount_cents"))
        if amount > left[fee_id]:
            raise ValidationFailed.of("amount_cents", "higher_than_remaining_fee_amount")
        asked[fee_id] = amount
    return tuple(asked.items())


def _item_amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValidationFailed.of("amount_cents", "invalid_value")
    text = str(value) if isinstance(value, Decimal) else value
    amount = truncate(parse_decimal(text, field="amount_cents"), ITEM_PLACES)
    if amount < 0:
        raise ValidationFailed.of("amount_cents", "invalid_value")
    return amount


# --- recording ---------------------------------------------------------------------------------


def next_note_id(decision: Decision) -> UUID:
    """The id of the note that is made next."""
    return ids.derive(decision.state.id, "credit_note", decision.state.items_count + 1)


def record_note(
    decision: Decision,
    record: InvoiceRecord,
    amounts: CreditNoteAmounts,
    parts: Parts,
    *,
    reason: Reason,
    at: datetime,
    description: str | None = None,
    metadata: Mapping[str, str | None] | None = None,
) -> CreditNote:
    """Number and keep a note. Its parts are made to agree with sub-total and taxes."""
    profile, organization = decision.state.profile, decision.organization.organization
    amounts, total = reconciled(amounts, parts.total)
    parts = parts.changed_to(total)
    sequential_id = len(notes_of(decision.state, record)) + 1
    note = CreditNote(
        id=next_note_id(decision),
        customer_id=profile.id,
        invoice_id=record.id,
        invoice_number=record.number,
        billing_entity_code=profile.billing_entity_code,
        sequential_id=sequential_id,
        number=f"{record.number}-CN{sequential_id:03d}",
        currency=record.currency,
        issuing_date=local_date(at, zone(timezone_of(profile, organization))),
        reason=reason,
        amounts=amounts,
        total_amount_cents=total,
        credit_amount_cents=parts.credit,
        refund_amount_cents=parts.refund,
        offset_amount_cents=parts.offset,
        balance_amount_cents=parts.credit,
        created_at=at,
        updated_at=at,
        refund_status="pending" if parts.refund else None,
        description=description,
        metadata=metadata,
    )
    offsetted = record.total_offsetted_amount_cents + parts.offset
    is_settled = record.total_paid_amount_cents + offsetted >= record.total_amount_cents
    event = e.CreditNoteCreated(
        customer=profile,
        credit_note=note,
        invoice_payment_status="succeeded"
        if parts.offset and is_settled
        else record.payment_status,
        invoice_total_offsetted_amount_cents=offsetted,
    )
    decision.record(event, at=at)
    request_refund(decision, note, at=at)
    return note


# --- afterwards --------------------------------------------------------------------------------


def update_credit_note(decision: Decision, note_id: UUID, given: Mapping[str, Any]) -> None:
    """`PUT /credit_notes/:id`: what became of a refund, and metadata, which is merged."""
    note = _note(decision, note_id)
    check = Checker(given)
    status: Any = check.choice("refund_status", REFUND_STATUSES)
    metadata = check.object_metadata("metadata")
    check.raise_failures()
    changed = note
    if status is not None:
        changed = refunded(note, status, at=decision.now)
    if metadata is not None:
        changed = replace(changed, metadata={**(note.metadata or {}), **metadata})
    _record_changed(decision, note, changed)


def change_metadata(
    decision: Decision, note_id: UUID, change: str, given: Mapping[str, Any]
) -> None:
    """The metadata sub-resource (api_conventions.md §5): replace, merge, drop, or drop the key `given["key"]`."""
    note = _note(decision, note_id)
    before, after = note.metadata, note.metadata
    if change in ("replace", "merge"):
        check = Checker(given)
        entries = check.object_metadata("metadata") or {}
        check.raise_failures()
        merged = {**(before or {}), **entries}
        after = entries if change == "replace" else merged if entries else before
    elif change == "drop":
        after = None
    elif before is None:
        raise NotFound("metadata")
    else:
        after = {key: value for key, value in before.items() if key != given["key"]}
    _record_changed(decision, note, replace(note, metadata=after))


def _record_changed(decision: Decision, note: CreditNote, changed: CreditNote) -> None:
    if changed != note:
        changed = replace(changed, updated_at=decision.now)
        decision.record(e.CreditNoteUpdated(credit_note=changed))


def void_credit_note(decision: Decision, note_id: UUID) -> None:
    """`PUT /credit_notes/:id/void`: give up the balance; the fees stay credited."""
    note = _note(decision, note_id)
    if note.credit_status == "voided" or note.balance_amount_cents == 0:
        raise NotAllowed("no_voidable_amount")
    record_void(decision, note, at=decision.now)


def record_void(decision: Decision, note: CreditNote, *, at: datetime) -> None:
    """The note without its balance."""
    voided = replace(note, credit_status="voided", balance_amount_cents=0, updated_at=at)
    decision.record(e.CreditNoteVoided(credit_note=voided), at=at)


def _note(decision: Decision, note_id: UUID) -> CreditNote:
    note = decision.state.credit_notes.get(note_id)
    if note is None or note.status != "finalized":
        raise NotFound("credit_note")
    return note


def spread(left: Mapping[UUID, Decimal], share: Decimal) -> Sequence[tuple[UUID, Decimal]]:
    """`share` (0..1) of what is left of each fee."""
    return tuple(
        (fee_id, truncate(amount * share, ITEM_PLACES)) for fee_id, amount in left.items() if amount
    )
