"""What a customer was billed already of the periods that an invoice brings up to their minimum commitment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain.customer.settings import period_subject
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.invoicing.commitment import Reconciled, belongs, reconciled_by
from lago_engine.domain.invoicing.ledger import FeeRecord, fee_record, unpacked
from lago_engine.domain.invoicing.work import InvoiceInput
from lago_engine.domain.periods import PeriodSubject


def with_billed_fees(state: CustomerState, given: InvoiceInput) -> InvoiceInput:
    """The input with the fees that count towards the commitments it reconciles, by subscription."""
    billed: dict[UUID, Sequence[FeeRecord]] = {}
    for subscription, plan, link in given.items:
        if plan.minimum_commitment is None:
            continue
        owner = given.organization.organization
        subject = period_subject(subscription, plan, given.profile, owner)
        reconciled = reconciled_by(subject, link)
        if reconciled is not None:
            zoned = replace(subject, timezone=link.timezone)
            billed[subscription.id] = tuple(
                _billed(state, given.invoice_id, subscription.id, reconciled, zoned)
            )
    return replace(given, billed=billed) if billed else given


def _billed(
    state: CustomerState,
    invoice_id: UUID,
    subscription_id: UUID,
    reconciled: Reconciled,
    subject: PeriodSubject,
) -> Iterator[FeeRecord]:
    for draft in state.drafts.values():
        if draft.id != invoice_id:
            for fee in draft.fees:
                if belongs(fee, subscription_id, reconciled.period, subject):
                    yield fee_record(fee)
    for record in reversed(tuple(state.invoices.values())):
        own = [f for f in unpacked(record.ledger).fees if f.subscription_id == subscription_id]
        if record.status != "voided":
            yield from (f for f in own if belongs(f, subscription_id, reconciled.period, subject))
        base = [f for f in own if f.fee_type == "subscription"]
        if base and all(subject.local_date(f.to_datetime) < reconciled.period.first for f in base):
            # Invoices are in the order in which they were finalized: what is older than the base fee of an earlier
            # period is not looked at. The invoice of a late event has no base fee, and says nothing of the rest.
            return
