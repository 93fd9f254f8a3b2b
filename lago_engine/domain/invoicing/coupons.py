"""Step: coupons. What each takes off, and how that is spread over the fees (invoices.md §6.3)."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Coupon
from lago_engine.domain.decimals import precise, quantize_to, round_half_up
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.model import Credit
from lago_engine.domain.invoicing.work import InvoiceInput, Line, Work

SHARE_PLACES = 5


def apply_coupons(work: Work, given: InvoiceInput) -> Work:
    """Use the coupons, those limited to metrics first, then to plans, then the others, oldest first."""
    with precise():
        for applied, coupon in sorted(given.coupons, key=lambda pair: _precedence(pair[1])):
            if work.sub_total_cents <= 0:
                break
            if applied.amount_currency in (None, given.currency):
                work = _use(work, given, applied, coupon)
    return work


def _precedence(coupon: Coupon) -> int:
    if coupon.billable_metric_ids:
        return 0
    return 1 if coupon.plan_ids else 2


def _use(work: Work, given: InvoiceInput, applied: AppliedCoupon, coupon: Coupon) -> Work:
    """One coupon; it stays unused where it would take off nothing."""
    eligible = [_is_eligible(line, coupon) for line in work.lines]
    base = Decimal(work.sub_total_cents)
    if coupon.is_limited:
        chosen = zip(work.lines, eligible, strict=True)
        base = sum((discountable(line) for line, is_in in chosen if is_in), Decimal(0))
    # Shares have five decimals, so a base may exceed the subtotal by their rounding.
    amount = min(_amount(applied, base), Decimal(work.sub_total_cents))
    credited = min(round_half_up(amount), work.sub_total_cents)
    if credited <= 0:
        return work
    lines = tuple(
        _discounted(line, amount, base) if is_in else line
        for line, is_in in zip(work.lines, eligible, strict=True)
    )
    credit = Credit(
        id=ids.derive(given.invoice_id, "credit", applied.id),
        item_type="coupon",
        item_id=coupon.id,
        item_code=coupon.code,
        item_name=coupon.name,
        item_description=coupon.description,
        amount_cents=credited,
        applied_coupon_id=applied.id,
    )
    return replace(work, lines=lines, credits=(*work.credits, credit))


def _is_eligible(line: Line, coupon: Coupon) -> bool:
    if coupon.billable_metric_ids:
        return line.fee.fee_type == "charge" and line.fee.item_id in coupon.billable_metric_ids
    if coupon.plan_ids:
        return any(plan_id in coupon.plan_ids for plan_id in line.plan_ids)
    return True


def discountable(line: Line) -> Decimal:
    """What earlier discounts left of a fee."""
    return line.fee.amount_cents - line.fee.precise_coupons_amount_cents


def _amount(applied: AppliedCoupon, base: Decimal) -> Decimal:
    """What the coupon takes off `base`; whole minor units, unless it takes all of a base that is not."""
    if applied.percentage_rate is not None:
        amount = base * applied.percentage_rate / 100
        return base if amount >= base else min(Decimal(round_half_up(amount)), base)
    assert applied.amount_cents is not None
    remaining = applied.amount_cents_remaining
    return min(base, Decimal(applied.amount_cents if remaining is None else remaining))


def _discounted(line: Line, amount: Decimal, base: Decimal) -> Line:
    fee = line.fee
    before = fee.precise_coupons_amount_cents
    share = quantize_to(before + amount * discountable(line) / base, SHARE_PLACES)
    after = min(Decimal(fee.amount_cents), share)
    return replace(line, fee=replace(fee, precise_coupons_amount_cents=after))
