"""What usage that is not billed yet will take of the wallets (coupons_wallets_credit_notes.md §6.3).

A pure function of state, catalog and usage: reads ask it at once, decisions when usage may have crossed a balance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import UsageReader
from lago_engine.domain.customer.settings import fee_taxes, plan_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.wallet_ledger import in_paying_order
from lago_engine.domain.decimals import precise, round_half_up
from lago_engine.domain.invoicing.prepaid import Key
from lago_engine.domain.rating.buckets import RatedBucket
from lago_engine.domain.rating.current_usage import RatedUsage, rated_usage
from lago_engine.domain.rating.usage_question import AskedUsage, UsageQuestion, ask_usage
from lago_engine.domain.rating.window_usage import usage_in
from lago_engine.domain.wallets.model import Wallet
from lago_engine.domain.wallets.shares import largest_remainder

Nets = dict[Key, Decimal]
"""What is to be billed, in minor units of one currency."""


def ongoing_usage(
    state: CustomerState, organization: OrganizationState, usage: UsageReader, *, now: datetime
) -> Mapping[UUID, int]:
    """Minor units by active wallet. Raises what `usage` raises when a window is not at hand."""
    if not any(wallet.status == "active" for wallet in state.wallets.values()):
        return {}
    with precise():
        shares: dict[UUID, int] = {}
        for currency, nets in _nets(state, organization, usage, now).items():
            shares |= _allocated(in_paying_order(state, currency), nets)
    return {w.id: shares.get(w.id, 0) for w in state.wallets.values() if w.status == "active"}


def _nets(
    state: CustomerState, organization: OrganizationState, usage: UsageReader, now: datetime
) -> Mapping[str, Nets]:
    nets: dict[str, Nets] = {}
    for currency, key, amount in (
        *_drafted(state),
        *_used(state, organization, usage, now),
    ):
        of_currency = nets.setdefault(currency, {})
        of_currency[key] = of_currency.get(key, Decimal(0)) + amount
    return nets


def _drafted(state: CustomerState) -> Iterator[tuple[str, Key, Decimal]]:
    """Fees of drafts that will have to be paid."""
    for draft in state.drafts.values():
        for fee in draft.fees if draft.total_amount_cents else ():
            key = fee.fee_type, fee.item_id if fee.fee_type == "charge" else None
            taxed = fee.amount_cents + fee.taxes_amount_cents
            yield draft.currency, key, taxed - fee.precise_coupons_amount_cents


def _used(
    state: CustomerState, organization: OrganizationState, usage: UsageReader, now: datetime
) -> Iterator[tuple[str, Key, Decimal]]:
    """Usage of the running periods; what is paid in advance is billed already."""
    for subscription in state.subscriptions.values():
        if subscription.status != "active":
            continue
        plan = plan_of(subscription, organization)
        if all(charge.pay_in_advance for charge in plan.charges):
            continue
        for item, asked in _rated(state, organization, subscription, usage, now):
            yield plan.amount_currency, ("charge", item.metric.id), _worth(item, asked)


def _rated(
    state: CustomerState,
    organization: OrganizationState,
    subscription: Subscription,
    usage: UsageReader,
    now: datetime,
) -> Iterator[tuple[RatedUsage[RatedBucket], AskedUsage]]:
    question = UsageQuestion()
    asked = ask_usage(state, organization, subscription, question, now=now)
    window = asked.start, asked.end
    used = usage_in(usage, asked.plan, asked.subject, subscription.id, window)
    for item in rated_usage(asked, used):
        if not item.charge.pay_in_advance:
            yield item, asked


def _worth(item: RatedUsage[RatedBucket], asked: AskedUsage) -> Decimal:
    """Amount and taxes of the fees there would be."""
    taxes = fee_taxes(asked.organization, asked.state.profile, asked.plan, item.charge)
    rate = sum((tax.rate for tax in taxes), Decimal(0))
    amounts = [bucket.rated.amount_cents for bucket in item.buckets]
    return Decimal(sum(amount + round_half_up(amount * rate / 100) for amount in amounts))


def _allocated(wallets: list[Wallet], nets: Nets) -> dict[UUID, int]:
    """What each wallet is to pay: up to its balance, but everything left falls on the last that may pay it.

    A wallet that is topped up at a threshold takes everything too: it will have it.
    """
    budget = max(Decimal(0), sum(nets.values(), Decimal(0)))
    taken = dict.fromkeys((wallet.id for wallet in wallets), Decimal(0))
    for key, net in sorted(nets.items(), key=lambda item: -item[1]):
        rest = min(max(net, Decimal(0)), budget)
        paying = [wallet for wallet in wallets if wallet.may_pay(*key)]
        for wallet in paying:
            unbounded = wallet is paying[-1] or _refills(wallet)
            part = rest if unbounded else min(rest, wallet.balance_cents - taken[wallet.id])
            part = max(part, Decimal(0))
            taken[wallet.id] += part
            rest -= part
            budget -= part
    return dict(zip(taken, largest_remainder(list(taken.values())), strict=True))


def _refills(wallet: Wallet) -> bool:
    return wallet.rule is not None and wallet.rule.trigger == "threshold"
