"""Recurring top-up rules as requests write them (coupons_wallets_credit_notes.md §7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, get_args
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.customer.wallet_input import read_pairs
from lago_engine.domain.decimals import parse_decimal
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.validation import Checker
from lago_engine.domain.wallets.credits import buy
from lago_engine.domain.wallets.model import RecurringRule, RuleInterval, Wallet
from lago_engine.errors import ValidationFailed

FIELD: Final = "recurring_transaction_rules"
INVALID_RULE: Final = "invalid_recurring_rule"
RULE_METADATA_MAX: Final = 5
NAME_LENGTH_MAX: Final = 255


def read_rules(
    check: Checker,
    wallet: Wallet,
    *,
    initial: Mapping[str, Decimal],
    serial: int,
    now: datetime,
) -> tuple[RecurringRule, ...]:
    """The wallet's rules after the request: missing ones are terminated.

    initial: credits of the wallet's first top-up, which a fixed rule without credits takes over. serial: makes the ids
    of new rules unique.
    """
    given = check.array(FIELD)
    if given is None:
        return wallet.rules
    if len(given) > 1:
        check.fail(FIELD, "invalid_number_of_recurring_rules")
        return wallet.rules
    known = {str(rule.id): rule for rule in wallet.rules if rule.status == "active"}
    rules = {rule.id: replace(rule, status="terminated") for rule in wallet.rules}
    for item in given:
        rule_id = ids.derive(wallet.id, "rule", serial)
        old = known.get(str(item.get("lago_id"))) if isinstance(item, Mapping) else None
        rule = _rule(item, wallet, old, rule_id, initial, now)
        if rule is None:
            check.fail(FIELD, INVALID_RULE)
        else:
            rules[rule.id] = rule
    return tuple(rules.values())


def _rule(
    item: Any,
    wallet: Wallet,
    old: RecurringRule | None,
    rule_id: UUID,
    initial: Mapping[str, Decimal],
    now: datetime,
) -> RecurringRule | None:
    """The rule, None when anything about it is wrong."""
    if not isinstance(item, Mapping):
        return None
    check = Checker(item)
    check.refuse_unbuilt("invoice_custom_section")
    try:
        rule = _read(check, wallet, old, rule_id, initial, now)
        check.raise_failures()
    except ValidationFailed:
        return None
    return rule if is_sound(rule, wallet, now) else None


def _read(
    check: Checker,
    wallet: Wallet,
    old: RecurringRule | None,
    rule_id: UUID,
    initial: Mapping[str, Decimal],
    now: datetime,
) -> RecurringRule:
    base = old or RecurringRule(
        id=rule_id,
        trigger="threshold",
        created_at=now,
        invoice_requires_successful_payment=wallet.invoice_requires_successful_payment,
    )
    trigger: Any = check.choice("trigger", ("interval", "threshold"))
    if trigger is None and old is None:
        check.fail("trigger", "value_is_mandatory")
    method: Any = check.choice("method", ("fixed", "target"))
    interval: Any = check.choice("interval", get_args(RuleInterval))
    changes: dict[str, Any] = {
        "trigger": trigger,
        "method": method,
        "interval": interval,
        "threshold_credits": _credits(check, "threshold_credits"),
        "target_ongoing_balance": _credits(check, "target_ongoing_balance"),
        "paid_credits": _credits(check, "paid_credits"),
        "granted_credits": _credits(check, "granted_credits"),
        "grants_target_top_up": check.boolean("grants_target_top_up"),
        "started_at": _instant(check, "started_at"),
        "expiration_at": _instant(check, "expiration_at"),
        "invoice_requires_successful_payment": check.boolean("invoice_requires_successful_payment"),
        "ignore_paid_top_up_limits": check.boolean("ignore_paid_top_up_limits"),
        "transaction_name": check.text("transaction_name", max_length=NAME_LENGTH_MAX),
        "transaction_metadata": read_pairs(check, "transaction_metadata", RULE_METADATA_MAX),
        "purchase_order_number": check.text("purchase_order_number", max_length=NAME_LENGTH_MAX),
    }
    rule = replace(base, **{name: value for name, value in changes.items() if value is not None})
    if old is None and rule.method == "fixed" and not (rule.paid_credits or rule.granted_credits):
        rule = replace(rule, **initial)
    return rule


def _credits(check: Checker, field: str) -> Decimal | None:
    """A decimal as text, not negative."""
    value = check.values.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        check.fail(field, "invalid_value")
        return None
    number = parse_decimal(value, field=field)
    if number < 0:
        check.fail(field, "invalid_value")
    return number


def _instant(check: Checker, field: str) -> datetime | None:
    value = check.values.get(field)
    if value is None or value == "":
        return None
    moment = parse_instant(value)
    if moment is None:
        check.fail(field, "invalid_date")
    return moment


def is_sound(rule: RecurringRule, wallet: Wallet, now: datetime) -> bool:
    """Whether the members of a rule fit each other and the wallet's limits."""
    if rule.trigger == "interval" and rule.interval is None:
        return False
    if rule.trigger == "threshold" and rule.threshold_credits is None:
        return False
    if rule.expiration_at is not None and rule.expiration_at <= now:
        return False
    if rule.method == "target":
        target = rule.target_ongoing_balance
        return target is not None and target >= (rule.threshold_credits or 0)
    return not rule.grants_target_top_up and is_within_limits(rule, wallet)


def is_within_limits(rule: RecurringRule, wallet: Wallet) -> bool:
    """Whether what a fixed rule buys is neither too little nor too much for the wallet."""
    if rule.ignore_paid_top_up_limits or not rule.paid_credits or rule.method != "fixed":
        return True
    amount = buy(rule.paid_credits, wallet.rate, wallet.currency).amount_cents
    low, high = wallet.paid_top_up_min_amount_cents, wallet.paid_top_up_max_amount_cents
    return (low is None or amount >= low) and (high is None or amount <= high)
