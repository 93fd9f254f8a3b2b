"""Making, changing and ending wallets (coupons_wallets_credit_notes.md §4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, get_args
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.subscription_input import (
    PURCHASE_ORDER_LENGTH_MAX,
    check_payment_method,
    read_instant,
    read_purchase_order_number,
)
from lago_engine.domain.customer.top_ups import TopUp, top_up
from lago_engine.domain.customer.wallet_input import (
    check_limits,
    read_bought,
    read_credits,
    read_pairs,
)
from lago_engine.domain.customer.wallet_rules_input import (
    FIELD,
    INVALID_RULE,
    RULE_METADATA_MAX,
    is_within_limits,
    read_rules,
)
from lago_engine.domain.timezones import micros
from lago_engine.domain.validation import ALREADY_EXISTS, MANDATORY, OUT_OF_RANGE, Checker, Reader
from lago_engine.domain.wallets.model import LOWEST_PRIORITY, FeeType, Wallet
from lago_engine.errors import NotFound, ValidationFailed

ACTIVE_WALLETS_MAX: Final = 6
NAME_LENGTH_MAX: Final = 255
MICROS: Final = 1_000_000

_SETTINGS: Final[Mapping[str, Reader]] = {
    "name": partial(Checker.text, max_length=NAME_LENGTH_MAX),
    "priority": partial(Checker.integer, at_least=1, at_most=LOWEST_PRIORITY),
    "invoice_requires_successful_payment": Checker.boolean,
    "paid_top_up_min_amount_cents": partial(Checker.integer, at_least=1),
    "paid_top_up_max_amount_cents": partial(Checker.integer, at_least=1),
    "purchase_order_number": partial(Checker.text, max_length=PURCHASE_ORDER_LENGTH_MAX),
}
_NOT_NULL: Final = ("priority", "invoice_requires_successful_payment")


# --- create ------------------------------------------------------------------------------------


def create_wallet(decision: Decision, given: Mapping[str, Any]) -> None:
    """A wallet, and its first top-up when credits are given."""
    check = Checker(given)
    check.refuse_unbuilt("invoice_custom_section")
    check_payment_method(check)
    _check_entity(decision, given)
    if sum(w.status == "active" for w in decision.state.wallets.values()) >= ACTIVE_WALLETS_MAX:
        check.fail("customer", "wallet_limit_reached")
    own = decision.state.profile.currency
    currency = check.currency("currency", missing=None if own else MANDATORY) or own
    rate = _rate(check)
    if rate is None or currency is None:
        check.raise_failures()
    assert rate is not None
    assert currency is not None
    wallet = _settings(decision, check, _blank(decision, check, rate, currency))
    if wallet.expiration_at is not None and wallet.expiration_at <= decision.now:
        check.fail("expiration_at", "invalid_date")
    wallet = _limited(decision.organization, check, wallet, create=True)
    asked = _first_top_up(check, wallet)
    initial = {each: read_credits(check, each) for each in ("paid_credits", "granted_credits")}
    rules = read_rules(check, wallet, initial=initial, serial=1, now=decision.now)
    check.raise_failures()
    wallet = replace(wallet, rules=rules)
    profile = decision.state.profile
    if profile.currency is None:
        profile = replace(profile, currency=currency, updated_at=decision.now)
    decision.record(e.WalletCreated(customer=profile, wallet=wallet))
    top_up(decision, wallet.id, asked, at=decision.now)


def _check_entity(decision: Decision, given: Mapping[str, Any]) -> None:
    code = given.get("billing_entity_code")
    if code and code != decision.organization.organization.billing_entity_code:
        raise NotFound("billing_entity")


def _rate(check: Checker) -> Decimal | None:
    rate = check.decimal("rate_amount", missing=MANDATORY)
    if rate is not None and rate <= 0:
        check.fail("rate_amount", OUT_OF_RANGE)
        return None
    return rate


def _blank(decision: Decision, check: Checker, rate: Decimal, currency: str) -> Wallet:
    profile, now = decision.state.profile, decision.now
    return Wallet(
        id=ids.derive(decision.state.id, "wallet", decision.state.items_count + 1),
        customer_id=profile.id,
        external_customer_id=profile.external_id,
        billing_entity_code=profile.billing_entity_code,
        currency=currency,
        code=_code(decision, check),
        rate=rate,
        created_at=now,
        updated_at=now,
        metadata=check.object_metadata("metadata"),
    )


def _code(decision: Decision, check: Checker) -> str:
    """As given, which must be free; else made of the name."""
    given = (check.text("code", max_length=NAME_LENGTH_MAX) or "").strip()
    taken = _active_codes(decision)
    if given:
        if given in taken:
            check.fail("code", ALREADY_EXISTS)
        return given
    words = re.findall(r"[a-z0-9]+", (check.text("name") or "").lower())
    code = "_".join(words) or "default"
    return code if code not in taken else f"{code}_{micros(decision.now) // MICROS}"


def _active_codes(decision: Decision) -> set[str]:
    return {w.code for w in decision.state.wallets.values() if w.status == "active"}


def _first_top_up(check: Checker, wallet: Wallet) -> TopUp:
    paid = read_bought(check, "paid_credits", wallet.rate, wallet.currency)
    granted = read_bought(check, "granted_credits", wallet.rate, wallet.currency)
    if check.boolean("ignore_paid_top_up_limits_on_creation") is not True:
        check_limits(check, wallet, paid)
    priority = check.integer("transaction_priority", at_least=1, at_most=LOWEST_PRIORITY)
    return TopUp(
        paid=paid,
        granted=granted,
        priority=priority or LOWEST_PRIORITY,
        name=check.text("transaction_name", max_length=NAME_LENGTH_MAX),
        metadata=read_pairs(check, "transaction_metadata", RULE_METADATA_MAX) or (),
        invoice_requires_successful_payment=wallet.invoice_requires_successful_payment,
        purchase_order_number=wallet.purchase_order_number,
    )


# --- what creating and updating share ----------------------------------------------------------


def _settings(decision: Decision, check: Checker, wallet: Wallet) -> Wallet:
    """The wallet with the settings that the request names."""
    changes = check.read_present(_SETTINGS)
    for name in _NOT_NULL:
        if changes.get(name, True) is None:
            del changes[name]
    if "purchase_order_number" in changes:
        changes["purchase_order_number"] = read_purchase_order_number(check)
    if "expiration_at" in check.values:
        changes["expiration_at"] = read_instant(check, "expiration_at")
    changed = replace(wallet, **changes)
    low, high = changed.paid_top_up_min_amount_cents, changed.paid_top_up_max_amount_cents
    if low is not None and high is not None and high < low:
        check.fail("paid_top_up_max_amount_cents", "must_be_greater_than_or_equal_min")
    return changed


def _limited(
    organization: OrganizationState, check: Checker, wallet: Wallet, *, create: bool
) -> Wallet:
    """The wallet with the limits of `applies_to`; one that is not named stays as it is."""
    limits = check.mapping("applies_to")
    if limits is None:
        return wallet
    types, codes = limits.get("fee_types"), limits.get("billable_metric_codes")
    if types is not None:
        if not isinstance(types, list) or not set(map(str, types)) <= set(get_args(FeeType)):
            where = ("applies_to", "invalid_limitations")
            check.fail(*(where if create else ("allowed_fee_types", "invalid_fee_types")))
        else:
            wallet = replace(wallet, fee_types=tuple(dict.fromkeys(types)))
    if codes is not None:
        metrics = organization.metrics
        if not isinstance(codes, list) or any(str(code) not in metrics for code in codes):
            where = ("applies_to", "invalid_limitations")
            check.fail(*(where if create else ("billable_metrics", "invalid_identifier")))
        else:
            found = dict.fromkeys(metrics[str(code)].id for code in codes)
            wallet = replace(wallet, billable_metric_ids=tuple(found))
    return wallet


# --- update, terminate, metadata ---------------------------------------------------------------


def update_wallet(decision: Decision, wallet_id: UUID, given: Mapping[str, Any]) -> None:
    """`PUT /wallets/:id`: what the request names; rules are replaced as a whole."""
    wallet = active_wallet(decision, wallet_id)
    check = Checker(given)
    check.refuse_unbuilt("invoice_custom_section")
    check_payment_method(check)
    _check_entity(decision, given)
    changed = _settings(decision, check, wallet)
    if changed.expiration_at != wallet.expiration_at and _is_past(changed, decision.now):
        check.fail("expiration_at", "invalid_date")
    changed = _recoded(decision, check, changed)
    changed = _limited(decision.organization, check, changed, create=False)
    if "metadata" in given:
        changed = replace(changed, metadata=check.object_metadata("metadata"))
    serial = decision.state.items_count + 1
    rules = read_rules(check, changed, initial={}, serial=serial, now=decision.now)
    if any(each.status == "active" and not is_within_limits(each, changed) for each in rules):
        check.fail(FIELD, INVALID_RULE)
    check.raise_failures()
    changed = replace(changed, rules=rules, updated_at=decision.now)
    decision.record(e.WalletUpdated(wallet=changed))


def _is_past(wallet: Wallet, now: datetime) -> bool:
    return wallet.expiration_at is not None and wallet.expiration_at <= now


def _recoded(decision: Decision, check: Checker, wallet: Wallet) -> Wallet:
    code = (check.text("code", max_length=NAME_LENGTH_MAX) or "").strip()
    if not code or code == wallet.code:
        return wallet
    if code in _active_codes(decision):
        check.fail("code", ALREADY_EXISTS)
    return replace(wallet, code=code)


def active_wallet(decision: Decision, wallet_id: UUID) -> Wallet:
    """A wallet that credits can still move in."""
    wallet = decision.state.wallets.get(wallet_id)
    if wallet is None:
        raise NotFound("wallet")
    if wallet.status != "active":
        raise ValidationFailed.of("wallet_id", "wallet_is_terminated")
    return wallet


def terminate_on_request(decision: Decision, wallet_id: UUID) -> None:
    """`DELETE /wallets/:id`; asked again it changes nothing."""
    wallet = decision.state.wallets.get(wallet_id)
    if wallet is None:
        raise NotFound("wallet")
    if wallet.status == "active":
        terminate_wallet(decision, wallet, at=decision.now)


def terminate_wallet(decision: Decision, wallet: Wallet, *, at: datetime) -> None:
    """Its rules end with it; what is left stays written, and is forfeited."""
    ended = replace(
        wallet,
        status="terminated",
        terminated_at=at,
        rules=tuple(replace(rule, status="terminated") for rule in wallet.rules),
        updated_at=at,
    )
    decision.record(e.WalletTerminated(wallet=ended), at=at)


def change_metadata(
    decision: Decision, wallet_id: UUID, change: str, given: Mapping[str, Any]
) -> None:
    """The metadata sub-resource (api_conventions.md §5): replace, merge, drop, or drop the key `given["key"]`."""
    wallet = decision.state.wallets.get(wallet_id)
    if wallet is None:
        raise NotFound("wallet")
    before, after = wallet.metadata, wallet.metadata
    if change in ("replace", "merge"):
        check = Checker(given)
        entries = check.object_metadata("metadata")
        check.raise_failures()
        merged = {**(before or {}), **entries} if entries else before
        after = entries if change == "replace" else merged
    elif change == "drop":
        after = None
    elif before is None:
        raise NotFound("metadata")
    else:
        after = {key: value for key, value in before.items() if key != given["key"]}
    if after != before:
        changed = replace(wallet, metadata=after, updated_at=decision.now)
        decision.record(e.WalletUpdated(wallet=changed))
