"""Webhooks about wallets and their transactions (api_conventions.md §10.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from lago_engine.domain import events
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.wallets.model import Wallet, WalletTransaction
from lago_engine.projecting.presenting import payment_provider_name, present
from lago_engine.projecting.projection import Context
from lago_engine.projecting.wire import Members, members, members_list, read_string
from lago_engine.webhooks.notice import Notice


def _shown(kind: str, key: object, context: Context) -> Members:
    body = context.require(kind, str(key))
    return present(kind, body, context.organization, context.occurred_at)


def _wallet(done: str, wallet: Wallet, context: Context) -> Notice:
    return Notice(f"wallet.{done}", "wallet", lambda: _shown("wallet", wallet.id, context))


def _transaction(done: str, transaction: WalletTransaction, context: Context) -> Notice:
    def payload() -> Members:
        shown = _shown("wallet_transaction", transaction.id, context)
        return {**shown, "wallet": _shown("wallet", transaction.wallet_id, context)}

    return Notice(f"wallet_transaction.{done}", "wallet_transaction", payload)


def _wallet_created(event: events.WalletCreated, context: Context) -> Iterator[Notice]:
    yield _wallet("created", event.wallet, context)


def _wallet_updated(event: events.WalletUpdated, context: Context) -> Iterator[Notice]:
    yield _wallet("updated", event.wallet, context)


def _wallet_terminated(event: events.WalletTerminated, context: Context) -> Iterator[Notice]:
    yield _wallet("terminated", event.wallet, context)


def _refreshed(event: events.WalletBalanceRefreshed, context: Context) -> Iterator[Notice]:
    if event.wallet.depleted:
        yield _wallet("depleted_ongoing_balance", event.wallet, context)


def _transaction_created(
    event: events.WalletTransactionCreated, context: Context
) -> Iterator[Notice]:
    yield _transaction("created", event.transaction, context)
    if event.transaction.status == "settled":
        yield _wallet("updated", event.wallet, context)


def _transaction_settled(
    event: events.WalletTransactionSettled, context: Context
) -> Iterator[Notice]:
    yield _transaction("updated", event.transaction, context)
    yield _wallet("updated", event.wallet, context)


def _transaction_failed(
    event: events.WalletTransactionFailed, context: Context
) -> Iterator[Notice]:
    yield _transaction("updated", event.transaction, context)


def payment_failure(event: events.PaymentStatusChanged, context: Context) -> Iterator[Notice]:
    """An attempt to collect a top-up failed; nothing for payments of other invoices."""
    payment, customer = event.payment, event.customer
    invoice_id = str(payment.invoice_id)
    body = context.get("open_invoice", invoice_id) or context.require("invoice", invoice_id)
    sold = members(body)
    if read_string(sold["invoice_type"]) != "credit":
        return

    def payload() -> Members:
        (fee,) = members_list(sold["fees"])
        return {
            "lago_wallet_transaction_id": members(fee["item"])["lago_item_id"],
            "lago_customer_id": customer.id,
            "external_customer_id": customer.external_id,
            "provider_customer_id": payment.provider_customer_id,
            "payment_provider": payment_provider_name(payment, context.organization),
            "payment_provider_code": payment.connection_code,
            "provider_error": {
                "message": payment.error_message,
                "error_code": payment.error_code,
            },
        }

    yield Notice(
        "wallet_transaction.payment_failure",
        "payment_provider_wallet_transaction_payment_error",
        payload,
    )


NOTICES: Final[dict[type[DomainEvent], Callable[[Any, Context], Iterator[Notice]]]] = {
    events.WalletCreated: _wallet_created,
    events.WalletUpdated: _wallet_updated,
    events.WalletTerminated: _wallet_terminated,
    events.WalletBalanceRefreshed: _refreshed,
    events.WalletTransactionCreated: _transaction_created,
    events.WalletTransactionSettled: _transaction_settled,
    events.WalletTransactionFailed: _transaction_failed,
}
