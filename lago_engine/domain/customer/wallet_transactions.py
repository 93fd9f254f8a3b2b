"""`POST /wallet_transactions`: credits bought, given or taken away by hand (coupons_wallets_credit_notes.md §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from lago_engine.domain.catalog.references import uuid_or_none
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.subscription_input import (
    check_payment_method,
    read_purchase_order_number,
)
from lago_engine.domain.customer.top_ups import TopUp, new_transaction, top_up
from lago_engine.domain.customer.wallet_input import (
    check_limits,
    read_bought,
    read_credits,
    read_pairs,
)
from lago_engine.domain.customer.wallet_ledger import void_credits
from lago_engine.domain.customer.wallets import active_wallet
from lago_engine.domain.validation import Checker
from lago_engine.domain.wallets.credits import Bought, give_up, to_credits
from lago_engine.domain.wallets.model import LOWEST_PRIORITY, Wallet, WalletTransaction
from lago_engine.errors import ValidationFailed

METADATA_MAX: Final = 15
NAME_LENGTH_MAX: Final = 255


def create_transactions(decision: Decision, wallet_id: UUID, given: Mapping[str, Any]) -> None:
    """One transaction per kind of credits that is given: paid, granted, voided."""
    if wallet_id not in decision.state.wallets:
        raise ValidationFailed.of("wallet_id", "wallet_not_found")
    wallet = active_wallet(decision, wallet_id)
    check = Checker(given)
    check.refuse_unbuilt("invoice_custom_section")
    check_payment_method(check)
    asked = _asked(check, wallet)
    source = _source(decision, check, wallet)
    voided = _voided(check, wallet, source)
    check.raise_failures()
    top_up(decision, wallet.id, asked, at=decision.now)
    if voided is not None:
        template = new_transaction(decision, wallet.id, asked, voided, at=decision.now)
        now_in_it = decision.state.wallets[wallet.id]
        void_credits(decision, now_in_it, voided.amount_cents, voided.credits, template, source)


def _asked(check: Checker, wallet: Wallet) -> TopUp:
    paid = read_bought(check, "paid_credits", wallet.rate, wallet.currency)
    if check.boolean("ignore_paid_top_up_limits") is not True:
        check_limits(check, wallet, paid)
    gated = check.boolean("invoice_requires_successful_payment")
    priority = check.integer("priority", at_least=1, at_most=LOWEST_PRIORITY)
    return TopUp(
        paid=paid,
        granted=read_bought(check, "granted_credits", wallet.rate, wallet.currency),
        priority=priority or LOWEST_PRIORITY,
        name=_name(check),
        metadata=read_pairs(check, "metadata", METADATA_MAX) or (),
        invoice_requires_successful_payment=(
            wallet.invoice_requires_successful_payment if gated is None else gated
        ),
        purchase_order_number=read_purchase_order_number(check) or wallet.purchase_order_number,
    )


def _name(check: Checker) -> str | None:
    name = check.values.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip():
        check.fail("name", "invalid_value")
        return None
    if len(name) > NAME_LENGTH_MAX:
        check.fail("name", "too_long")
    return name


def _source(decision: Decision, check: Checker, wallet: Wallet) -> WalletTransaction | None:
    """The inbound transaction that alone is to be reduced."""
    asked = check.values.get("voided_transaction_id")
    if not asked:
        return None
    transaction_id = uuid_or_none(asked)
    found = None if transaction_id is None else decision.state.inbound.get(transaction_id)
    if found is None or found.wallet_id != wallet.id:
        check.fail("voided_transaction_id", "wallet_transaction_not_found")
        return None
    if not found.remaining_amount_cents:
        check.fail("voided_transaction_id", "no_remaining_amount")
        return None
    return found


def _voided(check: Checker, wallet: Wallet, source: WalletTransaction | None) -> Bought | None:
    """What is taken away: as asked, else the whole remainder of `source`."""
    credits = read_credits(check, "voided_credits")
    if credits == 0:
        if source is None:
            return None
        rest = source.remaining_amount_cents or 0
        return Bought(rest, to_credits(rest, wallet.rate, wallet.currency))
    voided = give_up(credits, wallet.rate, wallet.currency)
    if voided.amount_cents == 0:
        check.fail("voided_credits", "amount_rounds_to_zero")
    elif voided.amount_cents > wallet.balance_cents or _exceeds(credits, wallet):
        check.fail("voided_credits", "insufficient_credits")
    elif source is not None and voided.amount_cents > (source.remaining_amount_cents or 0):
        check.fail("amount_cents", "exceeds_remaining_transaction_amount")
    return voided


def _exceeds(credits: Decimal, wallet: Wallet) -> bool:
    return credits > to_credits(wallet.balance_cents, wallet.rate, wallet.currency)
