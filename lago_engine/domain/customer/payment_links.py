"""Hosted pages on which an invoice can be paid: one at a time, for a day (payments.md §6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import due_amount
from lago_engine.domain.customer.state import (
    CustomerState,
    InvoiceRecord,
    Payment,
    PaymentLink,
)
from lago_engine.errors import NotFound, ValidationFailed

VALID_FOR: Final = timedelta(hours=24)


def wanted_link(
    state: CustomerState | None, organization: OrganizationState, invoice_id: UUID, now: datetime
) -> PaymentLink:
    """The page of an invoice that is still good, or a new one without its `url`.

    A page is good for a day, while the amount due and the connection are the same.
    """
    if state is None or (invoice_id not in state.invoices and invoice_id not in state.drafts):
        raise NotFound("invoice")
    connection = _connection(state, organization)
    record = state.invoices.get(invoice_id)
    if record is None or record.status != "finalized" or record.payment_status == "succeeded":
        raise ValidationFailed.of("base", "invalid_invoice_status_or_payment_status")
    if due_amount(record) <= 0:
        raise ValidationFailed.of("base", "invalid_invoice_status_or_payment_status")
    remote_id = state.profile.billing_configuration.provider_customer_id
    if remote_id is None:
        raise ValidationFailed.of("base", "missing_payment_provider_customer")
    links = [link for link in state.payment_links.values() if link.payment.invoice_id == invoice_id]
    latest = links[-1] if links else None
    if latest is not None and _is_good(latest, record, connection, now):
        return latest
    return _new_link(record, connection, remote_id, serial=len(links) + 1, now=now)


def _connection(state: CustomerState, organization: OrganizationState) -> PaymentConnection:
    link = state.profile.billing_configuration
    if link.payment_provider is None:
        raise ValidationFailed.of("base", "no_linked_payment_provider")
    connection = organization.connections.get(link.payment_provider_code or "")
    if connection is None:
        raise ValidationFailed.of("base", "missing_payment_provider")
    return connection


def _is_good(
    link: PaymentLink, record: InvoiceRecord, connection: PaymentConnection, now: datetime
) -> bool:
    same = link.payment.connection_code == connection.code
    return same and link.payment.amount_cents == due_amount(record) and now < link.expires_at


def _new_link(
    record: InvoiceRecord,
    connection: PaymentConnection,
    remote_id: str,
    *,
    serial: int,
    now: datetime,
) -> PaymentLink:
    payment_id = ids.derive(record.id, "payment_link", serial, due_amount(record))
    payment = Payment(
        id=payment_id,
        invoice_id=record.id,
        invoice_number=record.number,
        type="provider",
        amount_cents=due_amount(record),
        amount_currency=record.currency,
        status="pending",
        payment_status="pending",
        created_at=now,
        provider=connection.provider,
        connection_code=connection.code,
        provider_customer_id=remote_id,
        idempotency_key=f"{payment_id}:checkout:1",
    )
    return PaymentLink(payment=payment, url="", expires_at=now + VALID_FOR)


def open_link(decision: Decision, link: PaymentLink) -> None:
    """The provider made the page; one that two requests asked for at once is the same page."""
    if link.payment.id not in decision.state.payment_links:
        decision.record(e.PaymentLinkOpened(customer=decision.state.profile, link=link))
