"""What an invoice must know of a customer's fixed charges: units over time, and what was billed of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain.customer.state import BilledUnits, CustomerState, Subscription
from lago_engine.domain.invoicing.model import InvoiceLink
from lago_engine.domain.invoicing.work import FixedHistory, InvoiceInput


def with_fixed_charges(state: CustomerState, given: InvoiceInput) -> InvoiceInput:
    """The input with the units of each subscription whose plan has fixed charges."""
    fixed = {
        subscription.id: FixedHistory(
            steps=state.unit_steps.get(subscription.id, {}),
            billed=_others(state, subscription.id, given.invoice_id),
            before=_before(state, subscription, link, given.invoice_id),
        )
        for subscription, plan, link in given.items
        if plan.fixed_charges
    }
    return replace(given, fixed=fixed) if fixed else given


def hashed(given: InvoiceInput) -> list[Any]:
    """The histories as a hash of the inputs takes them."""
    return [
        (key, [*history.steps.items()], history.billed, history.before)
        for key, history in given.fixed.items()
    ]


def _others(state: CustomerState, subscription_id: UUID, invoice_id: UUID) -> Sequence[BilledUnits]:
    billed = state.billed_units.get(subscription_id, ())
    return tuple(each for each in billed if each.invoice_id != invoice_id)


def _before(
    state: CustomerState, subscription: Subscription, link: InvoiceLink, invoice_id: UUID
) -> Sequence[BilledUnits]:
    """Only the first invoice after an upgrade deducts what was paid before it."""
    change = subscription.replaces
    if not change or change.succession != "upgrade" or link.timestamp != subscription.started_at:
        return ()
    return _others(state, change.subscription_id, invoice_id)
