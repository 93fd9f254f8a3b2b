"""What time does to wallets: their end, and recurring top-ups (coupons_wallets_credit_notes.md §4, §7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.billing import local_today
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.ongoing import ongoing_usage
from lago_engine.domain.customer.settings import timezone_of
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.top_ups import TopUp, top_up
from lago_engine.domain.customer.wallets import terminate_wallet
from lago_engine.domain.timezones import local_date, start_of_day, zone
from lago_engine.domain.wallets.calendar import is_day, next_day
from lago_engine.domain.wallets.credits import buy
from lago_engine.domain.wallets.model import RecurringRule, Source, Wallet
from lago_engine.domain.wallets.refill import Refill, interval_refill, threshold_refill

WalletDue = tuple[datetime, Literal["wallet_expirations", "wallet_rules"], UUID]

SUSPENDED_FOR: Final = timedelta(hours=1)
"""After a failed automatic top-up no paid one is tried."""


# --- the end of wallets and rules --------------------------------------------------------------


def due_items(state: CustomerState, tz: ZoneInfo) -> Iterator[WalletDue]:
    """Everything about wallets that will fall due if nothing else happens."""
    yield from _expirations(state)
    yield from _next_rules(state, tz)


def _expirations(state: CustomerState) -> Iterator[WalletDue]:
    """When wallets, or their rules, end by themselves."""
    for wallet in state.wallets.values():
        if wallet.status == "active":
            rule = wallet.rule
            ends = (wallet.expiration_at, None if rule is None else rule.expiration_at)
            yield from ((at, "wallet_expirations", wallet.id) for at in ends if at is not None)


def expire(decision: Decision, wallet_id: UUID, *, at: datetime) -> None:
    """The wallet, or only its rule, is over."""
    wallet = decision.state.wallets[wallet_id]
    if wallet.expiration_at is not None and wallet.expiration_at <= at:
        terminate_wallet(decision, wallet, at=at)
        return
    rules = tuple(
        replace(rule, status="terminated") if _is_over(rule, at) else rule for rule in wallet.rules
    )
    if rules != wallet.rules:
        decision.record(e.WalletUpdated(wallet=replace(wallet, rules=rules, updated_at=at)), at=at)


def _is_over(rule: RecurringRule, at: datetime) -> bool:
    return rule.expiration_at is not None and rule.expiration_at <= at


# --- interval rules ----------------------------------------------------------------------------


def _next_rules(state: CustomerState, tz: ZoneInfo) -> Iterator[WalletDue]:
    """When interval rules fire next: at the beginning of the customer's day, not before they start."""
    for wallet in state.wallets.values():
        rule = wallet.rule
        if wallet.status == "active" and rule is not None and rule.trigger == "interval":
            yield _next(wallet, rule, tz), "wallet_rules", wallet.id


def _next(wallet: Wallet, rule: RecurringRule, tz: ZoneInfo) -> datetime:
    assert rule.interval is not None
    anchor = local_date(rule.started_at or wallet.created_at, tz)
    after = max(local_date(wallet.created_at, tz), wallet.rule_checked_on or date.min)
    if rule.started_at is not None:
        after = max(after, anchor - timedelta(days=1))
    if wallet.rule_checked_on is None:
        # A rule that was added later does not make up for days before it.
        after = max(after, local_date(rule.created_at, tz) - timedelta(days=1))
    begin = start_of_day(next_day(rule.interval, anchor, after), tz)
    return begin if rule.started_at is None else max(begin, rule.started_at)


def fires_today(decision: Decision, wallet_id: UUID, now: datetime) -> bool:
    """Whether `now` lies on a day on which the wallet's interval rule fires."""
    wallet = decision.state.wallets[wallet_id]
    rule = wallet.rule
    assert rule is not None
    assert rule.interval is not None
    profile, organization = decision.state.profile, decision.organization.organization
    tz = zone(timezone_of(profile, organization))
    anchor = local_date(rule.started_at or wallet.created_at, tz)
    return is_day(rule.interval, anchor, local_date(now, tz))


def apply_interval_rule(decision: Decision, wallet_id: UUID, *, at: datetime) -> None:
    """Top up as the rule says; its day counts as done also when there is nothing to do."""
    wallet = decision.state.wallets[wallet_id]
    rule = wallet.rule
    assert rule is not None
    ongoing = wallet.balance_cents
    if rule.method == "target":
        ongoing -= _usage(decision, at=at).get(wallet_id, 0)
    refill = interval_refill(rule, wallet, ongoing)
    done = replace(wallet, rule_checked_on=local_today(decision, at))
    _apply(decision, done, rule, refill, "interval", at=at)


# --- threshold rules ---------------------------------------------------------------------------


def refresh_wallets(decision: Decision, *, at: datetime) -> None:
    """Tell of wallets that usage has used up, and top up those that fell to their threshold."""
    usage = _usage(decision, at=at)
    for wallet_id, used in usage.items():
        wallet = decision.state.wallets[wallet_id]
        left = wallet.balance_cents - used
        if (left <= 0) != wallet.depleted and (left > 0 or _had_something(wallet)):
            now = replace(wallet, depleted=left <= 0, ongoing_usage_cents=used)
            decision.record(e.WalletBalanceRefreshed(wallet=now), at=at)
        rule = wallet.rule
        if rule is not None and rule.trigger == "threshold":
            _check_threshold(decision, wallet_id, rule, left, at=at)


def _had_something(wallet: Wallet) -> bool:
    """A wallet that never had credits is not used up."""
    return wallet.balance_cents > 0 or wallet.consumed_cents > 0


def _check_threshold(
    decision: Decision, wallet_id: UUID, rule: RecurringRule, left: int, *, at: datetime
) -> None:
    wallet = decision.state.wallets[wallet_id]
    if rule.started_at is not None and rule.started_at > at:
        return
    refill = threshold_refill(rule, wallet, left, _pending(decision.state, wallet_id))
    failed = wallet.paid_top_up_failed_at
    if failed is not None and at < failed + SUSPENDED_FOR:
        refill = refill._replace(paid=refill.paid * 0)
    if refill.paid or refill.granted:
        _apply(decision, wallet, rule, refill, "threshold", at=at)


def _pending(state: CustomerState, wallet_id: UUID) -> int:
    """Credits on their way, in minor units."""
    return sum(
        each.amount_cents
        for each in state.inbound.values()
        if each.wallet_id == wallet_id and each.status == "pending"
    )


# --- both --------------------------------------------------------------------------------------


def _usage(decision: Decision, *, at: datetime) -> dict[UUID, int]:
    found = ongoing_usage(decision.state, decision.organization, decision.usage, now=at)
    return dict(found)


def _apply(
    decision: Decision,
    wallet: Wallet,
    rule: RecurringRule,
    refill: Refill,
    source: Source,
    *,
    at: datetime,
) -> None:
    decision.record(e.WalletRuleApplied(wallet=wallet, rule_id=rule.id), at=at)
    paid = buy(refill.paid, wallet.rate, wallet.currency)
    granted = buy(refill.granted, wallet.rate, wallet.currency)
    asked = TopUp(
        paid=paid if paid.amount_cents else None,
        granted=granted if granted.amount_cents else None,
        source=source,
        name=rule.transaction_name,
        metadata=rule.transaction_metadata,
        invoice_requires_successful_payment=rule.invoice_requires_successful_payment,
        purchase_order_number=rule.purchase_order_number,
    )
    top_up(decision, wallet.id, asked, at=at)
