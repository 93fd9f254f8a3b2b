"""How much a recurring rule puts into its wallet (coupons_wallets_credit_notes.md §7)."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from lago_engine.domain.decimals import floor_to, precise
from lago_engine.domain.wallets.credits import to_credits
from lago_engine.domain.wallets.model import RecurringRule, Wallet

NOTHING = Decimal(0)


class Refill(NamedTuple):
    """Credits to buy and to give."""

    paid: Decimal
    granted: Decimal


def interval_refill(rule: RecurringRule, wallet: Wallet, ongoing_cents: int) -> Refill:
    """What an interval rule puts in; the ongoing balance in minor units."""
    if rule.method == "fixed":
        return Refill(rule.paid_credits, rule.granted_credits)
    return _to_target(rule, wallet, _credits(ongoing_cents, wallet))


def threshold_refill(
    rule: RecurringRule, wallet: Wallet, ongoing_cents: int, pending_cents: int
) -> Refill:
    """What a threshold rule puts in; nothing while what is left, or is on its way, is above it."""
    threshold = rule.threshold_credits
    assert threshold is not None
    ongoing = _credits(ongoing_cents, wallet)
    pending = _credits(pending_cents, wallet)
    if ongoing > threshold or ongoing + pending > threshold:
        return Refill(NOTHING, NOTHING)
    if rule.method == "target":
        return _to_target(rule, wallet, ongoing + pending)
    with precise():
        gap = threshold - ongoing - rule.granted_credits - pending
        paid = rule.paid_credits
        if paid and gap >= paid:
            paid *= floor_to(gap / paid) + 1
    return Refill(_at_most(paid, rule, wallet), rule.granted_credits)


def _to_target(rule: RecurringRule, wallet: Wallet, ongoing: Decimal) -> Refill:
    target = rule.target_ongoing_balance
    assert target is not None
    gap = max(target - ongoing, NOTHING)
    if rule.grants_target_top_up or gap == 0:
        return Refill(NOTHING, gap)
    return Refill(_at_least(gap, rule, wallet), NOTHING)


def _at_least(paid: Decimal, rule: RecurringRule, wallet: Wallet) -> Decimal:
    low = wallet.paid_top_up_min_amount_cents
    if low is None or rule.ignore_paid_top_up_limits:
        return paid
    return max(paid, _credits(low, wallet))


def _at_most(paid: Decimal, rule: RecurringRule, wallet: Wallet) -> Decimal:
    high = wallet.paid_top_up_max_amount_cents
    if high is None or rule.ignore_paid_top_up_limits:
        return paid
    return min(paid, _credits(high, wallet))


def _credits(cents: int, wallet: Wallet) -> Decimal:
    return to_credits(cents, wallet.rate, wallet.currency)
