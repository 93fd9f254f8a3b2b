"""`wallet` and `wallet_transaction` documents (coupons_wallets_credit_notes.md §4, §6)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lago_engine.domain.decimals import to_wire
from lago_engine.domain.events import (
    DomainEvent,
    WalletBalanceRefreshed,
    WalletCreated,
    WalletRuleApplied,
    WalletTerminated,
    WalletTransactionCreated,
    WalletTransactionFailed,
    WalletTransactionSettled,
    WalletUpdated,
)
from lago_engine.domain.money import to_major
from lago_engine.domain.wallets.credits import to_credits
from lago_engine.domain.wallets.model import (
    Consumption,
    MetadataPair,
    RecurringRule,
    Wallet,
    WalletTransaction,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import HIDDEN
from lago_engine.projecting.wallets import TransactionHidden, WalletHidden, ongoing_members
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    instant_ms,
    instant_or_none,
    members,
    read_int,
    sort_key,
)

_hidden_decoder = msgspec.json.Decoder(TransactionHidden)


class WalletProjection(Projection):
    """Wallets, their transactions, and what these took of each other; key of all: lago_id.

    The ongoing balance of a document is that of the last evaluation; the API shows the one of now.
    """

    name = "wallets"
    kinds = ("wallet", "wallet_transaction", "wallet_consumption")
    handles = (
        WalletCreated,
        WalletUpdated,
        WalletTerminated,
        WalletRuleApplied,
        WalletBalanceRefreshed,
        WalletTransactionCreated,
        WalletTransactionSettled,
        WalletTransactionFailed,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(event, self.handles)
        wallet = event.wallet
        _put_wallet(wallet, context)
        if isinstance(
            event, WalletTransactionCreated | WalletTransactionSettled | WalletTransactionFailed
        ):
            _put_transaction(event.transaction, wallet, context)
            for link in event.transaction.consumed:
                _consume(link, event.transaction, wallet, context)


def _put_wallet(wallet: Wallet, context: Context) -> None:
    document = wallet_object(wallet)
    document[HIDDEN] = WalletHidden(billable_metric_ids=wallet.billable_metric_ids)
    context.put(
        "wallet",
        str(wallet.id),
        encode(document),
        parent=wallet.external_customer_id,
        sort_key=sort_key(wallet.created_at),
    )


def wallet_object(wallet: Wallet) -> Members:
    """A wallet; the codes of the metrics it is limited to are added when it is read."""
    document: Members = {
        "lago_id": wallet.id,
        "lago_customer_id": wallet.customer_id,
        "external_customer_id": wallet.external_customer_id,
        "billing_entity_code": wallet.billing_entity_code,
        "status": wallet.status,
        "currency": wallet.currency,
        "name": wallet.name,
        "code": wallet.code,
        "purchase_order_number": wallet.purchase_order_number,
        "rate_amount": to_wire(wallet.rate),
        "credits_balance": _credits(wallet.balance_cents, wallet),
        "balance": _amount(wallet.balance_cents, wallet),
        "balance_cents": wallet.balance_cents,
        **ongoing_members(wallet, wallet.ongoing_usage_cents),
        "consumed_credits": _credits(wallet.consumed_cents, wallet),
        "created_at": instant(wallet.created_at),
        "expiration_at": instant_or_none(wallet.expiration_at),
        "last_balance_sync_at": instant_or_none(wallet.last_balance_sync_at),
        "last_consumed_credit_at": instant_or_none(wallet.last_consumed_credit_at),
        "terminated_at": wallet.terminated_at and instant_ms(wallet.terminated_at),
        "invoice_requires_successful_payment": wallet.invoice_requires_successful_payment,
        "paid_top_up_min_amount_cents": wallet.paid_top_up_min_amount_cents,
        "paid_top_up_max_amount_cents": wallet.paid_top_up_max_amount_cents,
        "priority": wallet.priority,
        "payment_method": {"payment_method_id": None, "payment_method_type": "provider"},
        "recurring_transaction_rules": [
            rule_object(rule) for rule in wallet.rules if rule.status == "active"
        ],
        "applies_to": {"fee_types": wallet.fee_types, "billable_metric_codes": []},
        "applied_invoice_custom_sections": [],
    }
    if wallet.metadata is not None:
        document["metadata"] = wallet.metadata
    return document


def rule_object(rule: RecurringRule) -> Members:
    """A recurring top-up rule."""
    threshold, target = rule.threshold_credits, rule.target_ongoing_balance
    return {
        "lago_id": rule.id,
        "trigger": rule.trigger,
        "interval": rule.interval,
        "threshold_credits": None if threshold is None else to_wire(threshold),
        "method": rule.method,
        "paid_credits": to_wire(rule.paid_credits),
        "granted_credits": to_wire(rule.granted_credits),
        "target_ongoing_balance": None if target is None else to_wire(target),
        "grants_target_top_up": rule.grants_target_top_up,
        "started_at": instant_or_none(rule.started_at),
        "expiration_at": instant_or_none(rule.expiration_at),
        "status": rule.status,
        "invoice_requires_successful_payment": rule.invoice_requires_successful_payment,
        "ignore_paid_top_up_limits": rule.ignore_paid_top_up_limits,
        "transaction_name": rule.transaction_name,
        "transaction_metadata": _pairs(rule.transaction_metadata),
        "purchase_order_number": rule.purchase_order_number,
        "payment_method": {"payment_method_id": None, "payment_method_type": "provider"},
        "applied_invoice_custom_sections": [],
        "created_at": instant(rule.created_at),
    }


def _put_transaction(transaction: WalletTransaction, wallet: Wallet, context: Context) -> None:
    context.put(
        "wallet_transaction",
        str(transaction.id),
        encode(
            transaction_object(transaction, wallet)
            | {HIDDEN: TransactionHidden(created_at=transaction.created_at)}
        ),
        parent=str(wallet.id),
        sort_key=sort_key(transaction.created_at),
    )


def transaction_object(transaction: WalletTransaction, wallet: Wallet) -> Members:
    """Credits that came, are to come, or went."""
    return {
        "lago_id": transaction.id,
        "lago_wallet_id": wallet.id,
        "lago_invoice_id": transaction.invoice_id,
        "lago_credit_note_id": None,
        "lago_voided_invoice_id": transaction.voided_invoice_id,
        "billing_entity_code": wallet.billing_entity_code,
        "status": transaction.status,
        "source": transaction.source,
        "transaction_status": transaction.transaction_status,
        "transaction_type": transaction.transaction_type,
        "amount": _amount(transaction.amount_cents, wallet),
        "credit_amount": to_wire(transaction.credit_amount),
        **_remaining(transaction.remaining_amount_cents, wallet),
        "priority": transaction.priority,
        "purchase_order_number": transaction.purchase_order_number,
        "settled_at": instant_or_none(transaction.settled_at),
        "failed_at": instant_or_none(transaction.failed_at),
        "created_at": instant(transaction.created_at),
        "invoice_requires_successful_payment": transaction.invoice_requires_successful_payment,
        "metadata": _pairs(transaction.metadata),
        "name": transaction.name,
        "payment_method": {"payment_method_id": None, "payment_method_type": "provider"},
        "applied_invoice_custom_sections": [],
    }


def _consume(
    link: Consumption, outbound: WalletTransaction, wallet: Wallet, context: Context
) -> None:
    """An inbound transaction has that much less; the link can be read from both sides."""
    key = str(link.inbound_id)
    source = members(context.require("wallet_transaction", key))
    left = read_int(source["remaining_amount_cents"]) - link.amount_cents
    context.put(
        "wallet_transaction",
        key,
        encode(source | _remaining(left, wallet)),
        parent=str(wallet.id),
        sort_key=sort_key(_hidden_decoder.decode(source[HIDDEN]).created_at),
    )
    document = {
        "lago_id": link.id,
        "amount_cents": link.amount_cents,
        "credit_amount": _credits(link.amount_cents, wallet),
        "created_at": instant(outbound.created_at),
        "inbound_id": link.inbound_id,
        "outbound_id": outbound.id,
    }
    context.put(
        "wallet_consumption",
        str(link.id),
        encode(document),
        parent=str(wallet.id),
        sort_key=sort_key(outbound.created_at),
    )


def _remaining(cents: int | None, wallet: Wallet) -> Members:
    return {
        "remaining_amount_cents": cents,
        "remaining_credit_amount": None if cents is None else _credits(cents, wallet),
    }


def _amount(cents: int, wallet: Wallet) -> str:
    return to_wire(to_major(cents, wallet.currency))


def _credits(cents: int, wallet: Wallet) -> str:
    return to_wire(to_credits(cents, wallet.rate, wallet.currency))


def _pairs(pairs: Iterable[MetadataPair]) -> list[Members]:
    return [{"key": pair.key, "value": pair.value} for pair in pairs]
