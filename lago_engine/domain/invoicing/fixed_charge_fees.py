"""The fees of a subscription's fixed charges on an invoice (charges.md §15.4, billing_periods.md §12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import AddOn, FixedCharge, Plan
from lago_engine.domain.customer.state import BilledUnits, Subscription
from lago_engine.domain.decimals import CONTEXT, quantize_to, round_ratio
from lago_engine.domain.invoicing.model import BilledFixedCharge, Fee, InvoiceLink
from lago_engine.domain.invoicing.work import FixedHistory
from lago_engine.domain.money import PRECISE_PLACES, minor_units
from lago_engine.domain.periods import (
    PeriodSubject,
    ended,
    fixed_charges_days,
    running_fixed_charges,
)
from lago_engine.domain.proration import days_between
from lago_engine.domain.rating.charge_models.amounts import per_unit
from lago_engine.domain.rating.fixed_charges import (
    WHOLE,
    RatedUnits,
    rate_increase,
    rate_units,
)
from lago_engine.domain.rating.unit_steps import known_at, units_in
from lago_engine.domain.timezones import DAY

Window = tuple[datetime, datetime]


def fixed_charge_fees(
    invoice_id: UUID,
    subscription: Subscription,
    plan: Plan,
    subject: PeriodSubject,
    link: InvoiceLink,
    history: FixedHistory,
    add_ons: Mapping[UUID, AddOn],
) -> Iterator[tuple[Fee, FixedCharge]]:
    """The fees kept for what a link bills, in plan order: of the period that ended, or in advance of the running one."""
    subject = replace(subject, timezone=link.timezone)
    for fixed_charge in plan.fixed_charges:
        window = _billed_window(fixed_charge, subject, link)
        if window is None or _is_billed(fixed_charge, history, window, link):
            continue
        # A draft that is computed again later still bills what was known when it was made.
        steps = known_at(history.steps.get(fixed_charge.origin_id, ()), link.timestamp)
        days = fixed_charges_days(subject, window[1]) if fixed_charge.prorated else None
        units = units_in(steps, window, tz=subject.tz, period_days=days)
        rated = rate_units(fixed_charge, units, plan.amount_currency)
        if rated.is_nothing:
            continue
        fee = _fee(invoice_id, subscription, fixed_charge, add_ons, rated, window, link)
        paid = _paid_before(fixed_charge, history.before, window, subject)
        yield (_less(fee, paid, plan.amount_currency) if paid else fee), fixed_charge


def _billed_window(
    fixed_charge: FixedCharge, subject: PeriodSubject, link: InvoiceLink
) -> Window | None:
    """The window that a link bills a fixed charge for; None for nothing."""
    starting = link.invoicing_reason == "subscription_starting"
    start, end = link.fixed_charges_from_datetime, link.fixed_charges_to_datetime
    if fixed_charge.pay_in_advance:
        if ended(subject, link.timestamp) or (start is None and not starting):
            return None
        return in_advance_window(subject, link.timestamp)
    if starting or start is None or end is None or start > end:
        return None
    return start, end


def in_advance_window(subject: PeriodSubject, at: datetime) -> Window:
    """The period of `at` as it was to be when it was billed: an end that came since does not cut it."""
    return running_fixed_charges(replace(subject, status="active", terminated_at=None), at)


def _is_billed(
    fixed_charge: FixedCharge, history: FixedHistory, window: Window, link: InvoiceLink
) -> bool:
    """Whether an earlier invoice has a fee for the same units and period."""
    return fixed_charge.pay_in_advance and any(
        each.amount_cents != 0 and each.timestamp < link.timestamp
        for each in billed_for(fixed_charge, history.billed, window)
    )


def billed_for(
    fixed_charge: FixedCharge, billed: Sequence[BilledUnits], window: Window
) -> Sequence[BilledUnits]:
    """What was billed of the fixed charge for a window, which a change of time zone may have moved a little."""
    return [
        each
        for each in billed
        if each.fixed_charge_id == fixed_charge.origin_id
        and _same_period((each.from_datetime, each.to_datetime), window)
    ]


def _same_period(one: Window, other: Window) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return 2 * shared >= min(one[1] - one[0], other[1] - other[0])


def increase_fee(
    invoice_id: UUID,
    subscription: Subscription,
    plan: Plan,
    fixed_charge: FixedCharge,
    subject: PeriodSubject,
    link: InvoiceLink,
    history: FixedHistory,
    add_ons: Mapping[UUID, AddOn],
) -> Fee:
    """The fee of what the units of now cost more than those already billed in advance (billing_periods.md §12.2)."""
    window = in_advance_window(subject, link.timestamp)
    steps = history.steps.get(fixed_charge.origin_id, ())
    units = units_in(steps, (window[0], link.timestamp), tz=subject.tz).full
    earlier = billed_for(fixed_charge, history.billed, window)
    billed = sum((each.units for each in earlier), Decimal(0)) if earlier else None
    share = WHOLE
    if fixed_charge.prorated:
        left = subject.local_date(window[1]) + DAY - subject.local_date(link.timestamp)
        share = left.days, fixed_charges_days(subject, window[1])
    rated = rate_increase(fixed_charge, units, billed, plan.amount_currency, share)
    return _fee(invoice_id, subscription, fixed_charge, add_ons, rated, window, link)


def _fee(
    invoice_id: UUID,
    subscription: Subscription,
    fixed_charge: FixedCharge,
    add_ons: Mapping[UUID, AddOn],
    rated: RatedUnits,
    window: Window,
    link: InvoiceLink,
) -> Fee:
    """The fee of priced units, without taxes."""
    add_on = add_ons[fixed_charge.add_on_id]
    name = fixed_charge.invoice_display_name or add_on.invoice_display_name or add_on.name
    return Fee(
        id=ids.derive(invoice_id, "fee", "fixed_charge", subscription.id, fixed_charge.id),
        fee_type="fixed_charge",
        subscription_id=subscription.id,
        external_subscription_id=subscription.external_id,
        item_id=add_on.id,
        item_type="AddOn",
        item_code=add_on.code,
        item_name=add_on.name,
        item_description=add_on.description,
        invoice_display_name=name,
        amount_cents=rated.amount_cents,
        precise_amount_cents=rated.precise_amount_cents,
        units=rated.units,
        unit_amount_cents=rated.unit_amount_cents,
        precise_unit_amount=rated.precise_unit_amount,
        amount_details=rated.amount_details,
        pay_in_advance=fixed_charge.pay_in_advance,
        from_datetime=window[0],
        to_datetime=window[1],
        fixed_charge=BilledFixedCharge(
            id=fixed_charge.id,
            origin_id=fixed_charge.origin_id,
            timestamp=link.timestamp,
            prorated=fixed_charge.prorated,
        ),
    )


def _paid_before(
    fixed_charge: FixedCharge, before: Sequence[BilledUnits], window: Window, subject: PeriodSubject
) -> int:
    """What the plan before was paid of the same add-on for the days of the window (billing_periods.md §12.4)."""
    if not (fixed_charge.pay_in_advance and fixed_charge.prorated):
        return 0
    days = days_between(*window, subject.tz)
    return sum(
        round_ratio(
            each.amount_cents * days, days_between(each.timestamp, each.to_datetime, subject.tz)
        )
        for each in before
        if each.add_on_id == fixed_charge.add_on_id
        and each.prorated
        and each.from_datetime <= window[0]
        and window[1] <= each.to_datetime
    )


def _less(fee: Fee, paid_cents: int, currency: str) -> Fee:
    """The fee less what was paid, down to nothing."""
    deducted = min(paid_cents, fee.amount_cents)
    precise = max(CONTEXT.subtract(fee.precise_amount_cents, Decimal(paid_cents)), Decimal(0))
    major = CONTEXT.divide(precise, Decimal(minor_units(currency)))
    unit_cents = per_unit(Decimal(fee.amount_cents - deducted), fee.units)
    assert fee.fixed_charge
    return replace(
        fee,
        amount_cents=fee.amount_cents - deducted,
        precise_amount_cents=precise,
        unit_amount_cents=int(unit_cents),
        precise_unit_amount=quantize_to(per_unit(major, fee.units), PRECISE_PLACES),
        fixed_charge=replace(fee.fixed_charge, deducted_cents=deducted),
    )
