"""Fields that wallets, their transactions and their rules read alike (coupons_wallets_credit_notes.md §4 - §6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lago_engine.domain.decimals import parse_decimal
from lago_engine.domain.validation import Checker
from lago_engine.domain.wallets.credits import Bought, buy
from lago_engine.domain.wallets.model import MetadataPair, Wallet
from lago_engine.errors import ValidationFailed

INVALID_CREDITS: Final = {
    "paid_credits": "invalid_paid_credits",
    "granted_credits": "invalid_granted_credits",
    "voided_credits": "invalid_voided_credits",
}
CREDITS_MAX: Final = Decimal(10) ** 25 - 1
METADATA_KEY_LENGTH_MAX: Final = 20
METADATA_VALUE_LENGTH_MAX: Final = 100


def read_credits(check: Checker, field: str) -> Decimal:
    """Credits as text, 0 when there are none; what is wrong is recorded."""
    value = check.values.get(field)
    if value is None or value == "":
        return Decimal(0)
    try:
        number = parse_decimal(value, field=field) if isinstance(value, str) else None
    except ValidationFailed:
        number = None
    if number is None or not 0 <= number <= CREDITS_MAX:
        check.fail(field, INVALID_CREDITS[field])
        check.fail(field, "invalid_amount")
        return Decimal(0)
    return number


def read_bought(check: Checker, field: str, rate: Decimal, currency: str) -> Bought | None:
    """Credits to come in and what they are worth; None for none."""
    credits = read_credits(check, field)
    if credits == 0:
        return None
    bought = buy(credits, rate, currency)
    if bought.amount_cents == 0:
        check.fail(field, "amount_rounds_to_zero")
        return None
    return bought


def check_limits(check: Checker, wallet: Wallet, paid: Bought | None) -> None:
    """Whether purchased credits are neither too few nor too many for the wallet."""
    if paid is None:
        return
    low, high = wallet.paid_top_up_min_amount_cents, wallet.paid_top_up_max_amount_cents
    if low is not None and paid.amount_cents < low:
        check.fail("paid_credits", "amount_below_minimum")
    if high is not None and paid.amount_cents > high:
        check.fail("paid_credits", "amount_above_maximum")


def read_pairs(check: Checker, field: str, at_most: int) -> tuple[MetadataPair, ...] | None:
    """Metadata as an array of keys and values (api_conventions.md §5); None when it is absent."""
    given = check.values.get(field)
    if given is None:
        return None
    if not isinstance(given, list):
        check.fail(field, "invalid_type")
        return None
    if len(given) > at_most:
        check.fail(field, "too_many_keys")
    pairs = []
    for item in given:
        problem = _problem(item)
        if problem is not None:
            check.fail(field, problem)
        else:
            pairs.append(MetadataPair(key=str(item["key"]), value=str(item["value"])))
    return tuple(pairs)


def _problem(item: Any) -> str | None:
    if not isinstance(item, Mapping) or item.keys() != {"key", "value"}:
        return "invalid_key_value_pair"
    if any(isinstance(value, list | Mapping) for value in item.values()):
        return "nested_structure_not_allowed"
    if len(str(item["key"])) > METADATA_KEY_LENGTH_MAX:
        return "key_too_long"
    if len(str(item["value"])) > METADATA_VALUE_LENGTH_MAX:
        return "value_too_long"
    return None
