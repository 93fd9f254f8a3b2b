"""Step: prepaid credits. What wallets pay of the total (invoices.md §6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain.decimals import precise
from lago_engine.domain.invoicing.model import PrepaidCredit
from lago_engine.domain.invoicing.settlements import noted
from lago_engine.domain.invoicing.work import InvoiceInput, Line, Work
from lago_engine.domain.wallets.model import Wallet
from lago_engine.domain.wallets.shares import largest_remainder
from lago_engine.domain.wallets.traceability import take

Key = tuple[str, UUID | None]
"""A fee type and, of charges, the metric."""


class Bucket(msgspec.Struct):
    """Fees that the same wallets may pay, and what is left of them."""

    key: Key
    rest: Decimal


def apply_prepaid_credits(work: Work, given: InvoiceInput) -> Work:
    """Let the wallets pay, each what it may and has, in their order."""
    if work.total_cents <= 0 or not given.wallets:
        return work
    with precise():
        buckets = fee_buckets(work.lines, work.total_cents)
        exact = _takes([funded.wallet for funded in given.wallets], buckets, work.total_cents)
    taken = []
    for funded, amount in zip(given.wallets, largest_remainder(exact), strict=True):
        if amount:
            sources = take(funded.inbound, amount, given.invoice_id)
            granted = {each.id for each in funded.inbound if each.transaction_status == "granted"}
            free = sum(part.amount_cents for part in sources if part.inbound_id in granted)
            taken.append(
                PrepaidCredit(
                    wallet_id=funded.wallet.id, amount_cents=amount, granted_amount_cents=free
                )
            )
    return replace(work, prepaid=tuple(taken))


def fee_buckets(lines: Sequence[Line], total_cents: int) -> list[Bucket]:
    """What there is to pay, largest first; cents lost by rounding are put to the largest."""
    values: dict[Key, Decimal] = {}
    for line in lines:
        fee = line.fee
        discounted = fee.amount_cents - fee.precise_coupons_amount_cents
        value = max(discounted, Decimal(0)) + fee.precise_taxes_amount_cents - noted(fee)
        if discounted == 0 or value <= 0:
            continue
        key = fee.fee_type, fee.item_id if fee.fee_type == "charge" else None
        values[key] = values.get(key, Decimal(0)) + value
    buckets = [Bucket(*item) for item in sorted(values.items(), key=lambda item: -item[1])]
    lost = total_cents - sum(values.values(), Decimal(0))
    if 0 < lost <= len(buckets):
        buckets[0].rest += lost
    return buckets


def _takes(wallets: Sequence[Wallet], buckets: Sequence[Bucket], total: int) -> list[Decimal]:
    """What each wallet pays, before whole minor units are made of it."""
    rest, takes = Decimal(total), []
    for wallet in wallets:
        taken = Decimal(0)
        for bucket in buckets:
            if wallet.may_pay(*bucket.key):
                part = min(bucket.rest, wallet.balance_cents - taken, rest)
                bucket.rest -= part
                taken += part
                rest -= part
        takes.append(taken)
    return takes
