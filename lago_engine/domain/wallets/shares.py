"""Whole minor units for amounts that have fractions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from lago_engine.domain.decimals import precise, round_half_up


def largest_remainder(amounts: Sequence[Decimal]) -> list[int]:
    """Integers whose sum is that of `amounts` rounded once; each is its amount cut or raised to a whole.

    Those that lose most when cut are raised, of equal ones the first. Amounts are ≥ 0.
    """
    with precise():
        total = round_half_up(sum(amounts, Decimal(0)))
        whole = [int(amount) for amount in amounts]
        by_loss = sorted(range(len(amounts)), key=lambda i: whole[i] - amounts[i])
    for index in by_loss[: total - sum(whole)]:
        whole[index] += 1
    return whole
