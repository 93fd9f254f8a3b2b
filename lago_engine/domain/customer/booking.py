"""Requests that book money and may be repeated: the same idempotency key books once.

The key is a fact of the customer's stream, in the commit of what it booked, so that neither a crash nor a lost answer
can separate the two. It counts for `KEY_LIFE`; keys of two customers have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from lago_engine.domain import commands as c
from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.evolve import KEY_LIFE
from lago_engine.domain.customer.state import BookedRequest
from lago_engine.domain.validation import TOO_LONG
from lago_engine.errors import ValidationFailed

KEY_LENGTH_MAX: Final = 255
FIELD: Final = "idempotency_key"


def is_repeated(decision: Decision, command: c.BookingCommand) -> bool:
    """Whether the request was carried out before. Raises ValidationFailed for another body under its key."""
    key = command.idempotency_key
    if key is None:
        return False
    if len(key) > KEY_LENGTH_MAX:
        raise ValidationFailed.of(FIELD, TOO_LONG)
    known = decision.state.booked.get(key) if decision.exists else None
    if known is None or decision.now >= known.booked_at + KEY_LIFE:
        return False
    if known.fingerprint != command.fingerprint:
        raise ValidationFailed.of(FIELD, "idempotency_key_reused")
    return True


def remember(decision: Decision, command: c.BookingCommand) -> None:
    """Keep the key with what was booked under it, and those that still count."""
    if command.idempotency_key is None:
        return
    made = tuple(booked_ids(command, (recorded.event for recorded in decision.recorded)))
    request = BookedRequest(
        key=command.idempotency_key,
        fingerprint=command.fingerprint,
        booked_at=decision.now,
        made=made,
    )
    decision.record(e.RequestBooked(request=request))


def booked_ids(command: c.BookingCommand, events: Iterable[e.DomainEvent]) -> list[UUID]:
    """The ids of what a command that books money was asked for."""
    match command:
        case c.CreateWalletTransactions():
            made = (each for each in events if isinstance(each, e.WalletTransactionCreated))
            return [each.transaction.id for each in made]
        case c.RecordManualPayment():
            return [each.payment.id for each in events if isinstance(each, e.PaymentRecorded)]
        case c.CreateCreditNote():
            return [each.credit_note.id for each in events if isinstance(each, e.CreditNoteCreated)]
        case c.CreateOneOffInvoice():
            return [each.invoice.id for each in events if isinstance(each, e.InvoiceFinalized)]
    raise TypeError(f"{type(command).__name__} books nothing")
