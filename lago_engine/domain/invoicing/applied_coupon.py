"""A coupon in a customer's hands: what it can still take off, and what using it leaves of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from lago_engine.domain.catalog.entities import CouponFrequency


class AppliedCoupon(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A coupon applied to a customer, with the values that hold for this customer.

    Either amount_cents with amount_currency or percentage_rate is set. frequency_duration_remaining: how many
    invoices a recurring one still applies to. credited_cents: what one that is used once has taken off invoices
    that stand. used_up: a use ended it.
    """

    id: UUID
    coupon_id: UUID
    coupon_code: str
    frequency: CouponFrequency
    created_at: datetime
    status: Literal["active", "terminated"] = "active"
    amount_cents: int | None = None
    amount_currency: str | None = None
    percentage_rate: Decimal | None = None
    frequency_duration: int | None = None
    frequency_duration_remaining: int | None = None
    credited_cents: int = 0
    terminated_at: datetime | None = None
    used_up: bool = False

    @property
    def amount_cents_remaining(self) -> int | None:
        """What is left of a fixed amount that is used once; None for every other coupon."""
        if self.amount_cents is None or self.frequency != "once":
            return None
        return self.amount_cents - self.credited_cents


def used(coupon: AppliedCoupon, amount_cents: int, *, at: datetime) -> AppliedCoupon:
    """The coupon after it took `amount_cents` off an invoice (coupons_wallets_credit_notes.md §3)."""
    assert amount_cents > 0
    after = replace(coupon, credited_cents=coupon.credited_cents + amount_cents)
    if coupon.frequency == "forever":
        return after
    if coupon.frequency == "recurring":
        assert coupon.frequency_duration_remaining is not None
        left = coupon.frequency_duration_remaining - 1
        after = replace(after, frequency_duration_remaining=left)
        is_over = left <= 0
    else:
        remaining = after.amount_cents_remaining
        is_over = remaining is None or remaining <= 0
    return replace(terminated(after, at=at), used_up=True) if is_over else after


def given_back(coupon: AppliedCoupon, amount_cents: int, *, may_revive: bool) -> AppliedCoupon:
    """The coupon after an invoice that it was used on was voided (invoices.md §11).

    may_revive: the coupon itself still stands, so that one that was used up is active again.
    """
    after = replace(coupon, credited_cents=coupon.credited_cents - amount_cents)
    if coupon.frequency == "recurring":
        assert coupon.frequency_duration_remaining is not None
        after = replace(after, frequency_duration_remaining=coupon.frequency_duration_remaining + 1)
    if coupon.used_up and may_revive:
        return replace(after, status="active", terminated_at=None, used_up=False)
    return after


def terminated(coupon: AppliedCoupon, *, at: datetime) -> AppliedCoupon:
    """The coupon, no longer used from `at` on."""
    return replace(coupon, status="terminated", terminated_at=at)
