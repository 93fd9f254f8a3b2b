"""Which inbound transactions an outbound amount is taken from (coupons_wallets_credit_notes.md §6.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from lago_engine.domain import ids
from lago_engine.domain.wallets.model import Consumption, WalletTransaction


def in_order(inbound: Iterable[WalletTransaction]) -> Sequence[WalletTransaction]:
    """Those with something left, in the order in which they are eaten."""
    return sorted((each for each in inbound if each.remaining_amount_cents), key=_precedence)


def _precedence(transaction: WalletTransaction) -> tuple[int, bool, datetime, UUID]:
    purchased = transaction.transaction_status == "purchased"
    return transaction.priority, purchased, transaction.created_at, transaction.id


def take(
    inbound: Iterable[WalletTransaction], amount_cents: int, outbound_id: UUID
) -> tuple[Consumption, ...]:
    """What each inbound transaction gives of `amount_cents`, which together they have."""
    consumed = []
    left = amount_cents
    for source in in_order(inbound):
        if left == 0:
            break
        part = min(left, source.remaining_amount_cents or 0)
        link = ids.derive(outbound_id, "consumption", source.id)
        consumed.append(Consumption(id=link, inbound_id=source.id, amount_cents=part))
        left -= part
    assert left == 0, "a wallet's balance is what its inbound transactions have left"
    return tuple(consumed)
