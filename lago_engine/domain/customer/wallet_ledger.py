"""What moves a wallet's balance, and the facts that say so (coupons_wallets_credit_notes.md §6)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.state import CustomerState, InvoiceRecord
from lago_engine.domain.invoicing.work import FundedWallet
from lago_engine.domain.wallets.credits import to_credits
from lago_engine.domain.wallets.model import Wallet, WalletTransaction
from lago_engine.domain.wallets.traceability import in_order, take


def in_paying_order(state: CustomerState, currency: str) -> list[Wallet]:
    """Active wallets of a currency: by priority, then the older one."""
    wallets = [w for w in state.wallets.values() if w.status == "active"]
    return sorted(
        (wallet for wallet in wallets if wallet.currency == currency),
        key=lambda wallet: (wallet.priority, wallet.created_at),
    )


def inbound_of(state: CustomerState, wallet_id: UUID) -> tuple[WalletTransaction, ...]:
    """Its inbound transactions with something left, in the order in which they are consumed."""
    mine = (each for each in state.inbound.values() if each.wallet_id == wallet_id)
    return tuple(in_order(mine))


def funded_wallets(state: CustomerState, currency: str) -> tuple[FundedWallet, ...]:
    """What may pay an invoice in `currency`."""
    return tuple(
        FundedWallet(wallet, inbound_of(state, wallet.id))
        for wallet in in_paying_order(state, currency)
        if wallet.balance_cents > 0
    )


def credited(wallet: Wallet, amount_cents: int, *, at: datetime) -> Wallet:
    """The wallet with more in it."""
    return replace(
        wallet,
        balance_cents=wallet.balance_cents + amount_cents,
        last_balance_sync_at=at,
        updated_at=at,
    )


def debited(wallet: Wallet, amount_cents: int, *, at: datetime) -> Wallet:
    """The wallet with less in it."""
    balance = wallet.balance_cents - amount_cents
    assert balance >= 0, "a wallet never pays what it does not have"
    return replace(
        wallet,
        balance_cents=balance,
        consumed_cents=wallet.consumed_cents + amount_cents,
        last_balance_sync_at=at,
        last_consumed_credit_at=at,
        updated_at=at,
    )


def debit(
    state: CustomerState, wallet_id: UUID, amount_cents: int, invoice_id: UUID, *, at: datetime
) -> e.WalletTransactionCreated:
    """The fact that an invoice was paid with credits."""
    wallet = state.wallets[wallet_id]
    outbound_id = ids.derive(invoice_id, "wallet_transaction", wallet_id)
    outbound = WalletTransaction(
        id=outbound_id,
        wallet_id=wallet_id,
        transaction_type="outbound",
        transaction_status="invoiced",
        status="settled",
        amount_cents=amount_cents,
        credit_amount=to_credits(amount_cents, wallet.rate, wallet.currency),
        created_at=at,
        settled_at=at,
        invoice_id=invoice_id,
        consumed=take(inbound_of(state, wallet_id), amount_cents, outbound_id),
    )
    return e.WalletTransactionCreated(
        wallet=debited(wallet, amount_cents, at=at), transaction=outbound
    )


def void_credits(
    decision: Decision,
    wallet: Wallet,
    amount_cents: int,
    credits: Decimal,
    template: WalletTransaction,
    source: WalletTransaction | None = None,
) -> None:
    """Take credits away; source: only from this inbound transaction. template: what else is said of it."""
    sources = inbound_of(decision.state, wallet.id) if source is None else (source,)
    outbound = replace(
        template,
        transaction_type="outbound",
        transaction_status="voided",
        status="settled",
        amount_cents=amount_cents,
        credit_amount=credits,
        settled_at=decision.now,
        consumed=take(sources, amount_cents, template.id),
    )
    after = debited(wallet, amount_cents, at=decision.now)
    decision.record(e.WalletTransactionCreated(wallet=after, transaction=outbound))


def give_back_credits(decision: Decision, record: InvoiceRecord) -> None:
    """A voided invoice returns what wallets paid, to those still active.

    Credits come back as what they were: purchased or granted, with their priority (invoices.md §11 step 6, improved).
    """
    now = decision.now
    for wallet_id, link in record.prepaid:
        wallet = decision.state.wallets[wallet_id]
        if wallet.status != "active":
            continue
        origin = decision.state.inbound[link.inbound_id]
        back = WalletTransaction(
            id=ids.derive(link.id, "voided_invoice", record.id),
            wallet_id=wallet_id,
            transaction_type="inbound",
            transaction_status=origin.transaction_status,
            status="settled",
            amount_cents=link.amount_cents,
            credit_amount=to_credits(link.amount_cents, wallet.rate, wallet.currency),
            created_at=now,
            settled_at=now,
            priority=origin.priority,
            remaining_amount_cents=link.amount_cents,
            voided_invoice_id=record.id,
        )
        less = replace(wallet, consumed_cents=wallet.consumed_cents - link.amount_cents)
        after = credited(less, link.amount_cents, at=now)
        decision.record(e.WalletTransactionCreated(wallet=after, transaction=back))
