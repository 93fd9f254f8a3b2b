"""Fees that stand alone: whether they are paid, and taking them back (invoices.md §16.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.invoicing.model import FeePaymentStatus
from lago_engine.domain.validation import INVALID, Checker
from lago_engine.errors import NotAllowed

# Which fees stand alone is what the read side knows, since a customer may have millions of them: a command about one
# is only sent for a document that is on no invoice. Those that wait for an invoice are in the state as well.


def update_fee(
    decision: Decision, fee_id: UUID, given: Mapping[str, Any], *, regroup: bool
) -> None:
    """Say whether the fee is paid. Raises ValidationFailed, NotAllowed."""
    _check_open(decision, fee_id, regroup=regroup)
    check = Checker(given)
    status = check.choice("payment_status", get_args(FeePaymentStatus), missing=INVALID)
    check.raise_failures()
    assert status is not None
    event = e.FeePaymentStatusChanged(
        fee_id=fee_id, payment_status=_STATUSES[status], changed_at=decision.now
    )
    decision.record(event)


_STATUSES: Mapping[str, FeePaymentStatus] = {
    status: status for status in get_args(FeePaymentStatus)
}


def delete_fee(decision: Decision, fee_id: UUID, *, regroup: bool) -> None:
    """Take the fee back. Raises NotAllowed."""
    _check_open(decision, fee_id, regroup=regroup)
    decision.record(e.FeeDeleted(fee_id=fee_id))


def _check_open(decision: Decision, fee_id: UUID, *, regroup: bool) -> None:
    """A fee that was to be put on an invoice and does not wait any more is on one."""
    if regroup and fee_id not in decision.state.regrouping:
        raise NotAllowed("invoiced_fee")
