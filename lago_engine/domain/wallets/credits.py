"""Credits and money (coupons_wallets_credit_notes.md §5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from lago_engine.domain.decimals import precise, quantize_to, truncate
from lago_engine.domain.money import to_major, to_minor

CREDIT_PLACES: Final = 5


class Bought(NamedTuple):
    """Credits and what they are worth."""

    amount_cents: int
    credits: Decimal


def buy(credits: Decimal, rate: Decimal, currency: str) -> Bought:
    """Credits coming in: only whole minor units exist, so the credits are those of the rounded amount."""
    with precise():
        amount = to_minor(truncate(credits, CREDIT_PLACES) * rate, currency)
        return Bought(amount, to_credits(amount, rate, currency))


def give_up(credits: Decimal, rate: Decimal, currency: str) -> Bought:
    """Voided credits keep the figure that was asked for; only the amount is rounded."""
    with precise():
        cut = truncate(credits, CREDIT_PLACES)
        return Bought(to_minor(cut * rate, currency), cut)


def to_credits(amount_cents: int, rate: Decimal, currency: str) -> Decimal:
    """An amount in credits, to five decimals."""
    with precise():
        return quantize_to(to_major(amount_cents, currency) / rate, CREDIT_PLACES).normalize()
