"""Credits coming into a wallet: granted ones at once, purchased ones when their invoice is paid.

Source: coupons_wallets_credit_notes.md §6, §6.1.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.billing import dates_of, finalize, hash_of, local_today
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.payments import request_payment
from lago_engine.domain.customer.settings import issuing_settings
from lago_engine.domain.customer.wallet_ledger import credited
from lago_engine.domain.decimals import quantize_to
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.model import Fee, Invoice
from lago_engine.domain.invoicing.work import InvoiceInput, Line
from lago_engine.domain.money import PRECISE_PLACES, truncated_minor
from lago_engine.domain.wallets.credits import Bought
from lago_engine.domain.wallets.model import (
    LOWEST_PRIORITY,
    MetadataPair,
    Source,
    Wallet,
    WalletTransaction,
)

PAYMENT_NEWS: Final = (
    e.PaymentRecorded,
    e.PaymentStatusChanged,
    e.InvoicePaymentStatusUpdated,
)
"""Facts after which credits may be paid. A credit note that offsets their invoice pays for none."""


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """What is to come into a wallet, and what is said of it."""

    paid: Bought | None = None
    granted: Bought | None = None
    source: Source = "manual"
    priority: int = LOWEST_PRIORITY
    name: str | None = None
    metadata: tuple[MetadataPair, ...] = ()
    invoice_requires_successful_payment: bool = False
    purchase_order_number: str | None = None


def top_up(decision: Decision, wallet_id: UUID, asked: TopUp, *, at: datetime) -> None:
    """Record the transactions, paid before granted."""
    if asked.paid is not None:
        _sell(decision, wallet_id, asked, asked.paid, at=at)
    if asked.granted is not None:
        _grant(decision, wallet_id, asked, asked.granted, at=at)


def new_transaction(
    decision: Decision, wallet_id: UUID, asked: TopUp, bought: Bought, *, at: datetime
) -> WalletTransaction:
    """A granted transaction; other kinds differ from it."""
    serial = decision.state.items_count + 1
    return WalletTransaction(
        id=ids.derive(decision.state.id, "wallet_transaction", serial),
        wallet_id=wallet_id,
        transaction_type="inbound",
        transaction_status="granted",
        status="settled",
        amount_cents=bought.amount_cents,
        credit_amount=bought.credits,
        created_at=at,
        source=asked.source,
        priority=asked.priority,
        invoice_requires_successful_payment=asked.invoice_requires_successful_payment,
        name=asked.name,
        metadata=asked.metadata,
        purchase_order_number=asked.purchase_order_number,
    )


def _grant(
    decision: Decision, wallet_id: UUID, asked: TopUp, bought: Bought, *, at: datetime
) -> None:
    granted = replace(
        new_transaction(decision, wallet_id, asked, bought, at=at),
        remaining_amount_cents=bought.amount_cents,
        settled_at=at,
    )
    wallet = credited(decision.state.wallets[wallet_id], bought.amount_cents, at=at)
    decision.record(e.WalletTransactionCreated(wallet=wallet, transaction=granted), at=at)


def _sell(
    decision: Decision, wallet_id: UUID, asked: TopUp, bought: Bought, *, at: datetime
) -> None:
    new = new_transaction(decision, wallet_id, asked, bought, at=at)
    purchased = replace(
        new,
        transaction_status="purchased",
        status="pending",
        invoice_id=ids.derive(new.id, "invoice"),
    )
    wallet = decision.state.wallets[wallet_id]
    decision.record(e.WalletTransactionCreated(wallet=wallet, transaction=purchased), at=at)
    issue_top_up(decision, purchased, at=at)


# --- the invoice -------------------------------------------------------------------------------


def issue_top_up(decision: Decision, transaction: WalletTransaction, *, at: datetime) -> None:
    """The invoice of purchased credits: final at once, or open until it is paid."""
    wallet = decision.state.wallets[transaction.wallet_id]
    given = _invoice_input(decision, transaction, wallet, at=at)
    fee = _fee(given.invoice_id, transaction, wallet, at=at)
    draft = assemble(given, [Line(fee, ())], now=at)
    if transaction.invoice_requires_successful_payment:
        opened = replace(draft, status="open", number="")
        decision.record(e.InvoiceOpened(invoice=opened), at=at)
        request_payment(decision, opened.id, at=at)
    else:
        finalize(decision, draft, _inputs(draft), at=at)


def finalize_paid(decision: Decision, opened: Invoice, *, at: datetime) -> None:
    """An open invoice was paid: it gets today's dates and a number."""
    term = issuing_settings(
        decision.state.profile, decision.organization.organization
    ).net_payment_term
    dates = immediate_dates(local_today(decision, at), term)
    paid = replace(
        opened,
        payment_status="succeeded",
        issuing_date=dates.issuing_date,
        expected_finalization_date=dates.expected_finalization_date,
        payment_due_date=dates.payment_due_date,
        net_payment_term=dates.net_payment_term,
    )
    finalize(decision, paid, _inputs(paid), at=at, collect=False)


def _inputs(draft: Invoice) -> str:
    return hash_of([draft.customer, draft.fees, dates_of(draft)])


def _invoice_input(
    decision: Decision, transaction: WalletTransaction, wallet: Wallet, *, at: datetime
) -> InvoiceInput:
    state, organization = decision.state, decision.organization
    term = issuing_settings(state.profile, organization.organization).net_payment_term
    assert transaction.invoice_id is not None
    return InvoiceInput(
        invoice_id=transaction.invoice_id,
        kind="credit",
        organization=organization,
        profile=state.profile,
        currency=wallet.currency,
        items=(),
        dates=immediate_dates(local_today(decision, at), term),
        created_at=at,
    )


def _fee(invoice_id: UUID, transaction: WalletTransaction, wallet: Wallet, *, at: datetime) -> Fee:
    """The credits at their rate, never taxed."""
    amount = transaction.amount_cents
    return Fee(
        id=ids.derive(invoice_id, "fee", "credit"),
        fee_type="credit",
        subscription_id=None,
        external_subscription_id=None,
        item_id=transaction.id,
        item_type="WalletTransaction",
        item_code="credit",
        item_name=transaction.name or "credit",
        item_description=None,
        invoice_display_name="credit",
        amount_cents=amount,
        precise_amount_cents=quantize_to(Decimal(amount), PRECISE_PLACES),
        units=transaction.credit_amount,
        unit_amount_cents=truncated_minor(wallet.rate, wallet.currency),
        precise_unit_amount=quantize_to(wallet.rate, PRECISE_PLACES),
        amount_details={},
        pay_in_advance=False,
        from_datetime=at,
        to_datetime=at,
    )


# --- its payment -------------------------------------------------------------------------------


def follow_payments(decision: Decision) -> None:
    """What the payments in this decision make true of the credits that were sold."""
    for recorded in tuple(decision.recorded):
        event = recorded.event
        if isinstance(event, PAYMENT_NEWS):
            _follow(decision, _invoice_of(event), at=recorded.occurred_at)


def _invoice_of(
    event: e.PaymentRecorded | e.PaymentStatusChanged | e.InvoicePaymentStatusUpdated,
) -> UUID:
    if isinstance(event, e.InvoicePaymentStatusUpdated):
        return event.invoice_id
    return event.payment.invoice_id


def _follow(decision: Decision, invoice_id: UUID, *, at: datetime) -> None:
    state = decision.state
    record = state.invoices[invoice_id]
    sold = (each for each in state.inbound.values() if each.invoice_id == invoice_id)
    transaction = next(sold, None) if record.invoice_type == "credit" else None
    if transaction is None or transaction.status == "settled":
        return
    if record.payment_status == "succeeded":
        opened = state.open_invoices.get(invoice_id)
        if opened is not None:
            finalize_paid(decision, opened, at=at)
        _settle(decision, transaction, at=at)
    elif record.payment_status == "failed" and transaction.status == "pending":
        _fail(decision, transaction, at=at)


def _settle(decision: Decision, transaction: WalletTransaction, *, at: datetime) -> None:
    """The credits are paid, also after a failure; those of an ended wallet come too late."""
    wallet = decision.state.wallets[transaction.wallet_id]
    amount = transaction.amount_cents
    settled = replace(
        transaction,
        status="settled",
        settled_at=at,
        failed_at=None,
        remaining_amount_cents=amount,
    )
    after = replace(credited(wallet, amount, at=at), paid_top_up_failed_at=None)
    decision.record(e.WalletTransactionSettled(wallet=after, transaction=settled), at=at)


def _fail(decision: Decision, transaction: WalletTransaction, *, at: datetime) -> None:
    wallet = decision.state.wallets[transaction.wallet_id]
    if transaction.source != "manual":
        wallet = replace(wallet, paid_top_up_failed_at=at)
    failed = replace(transaction, status="failed", failed_at=at)
    decision.record(e.WalletTransactionFailed(wallet=wallet, transaction=failed), at=at)
