"""The minimum of a charge and the fee that makes up what its usage falls short of (charges.md §12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import AppliedPricingUnit
from lago_engine.domain.decimals import CONTEXT, quantize_to
from lago_engine.domain.invoicing.model import Fee, FeePricingUnit, InvoiceLink
from lago_engine.domain.money import PRECISE_PLACES, minor_units
from lago_engine.domain.periods import PeriodSubject, charges_days
from lago_engine.domain.proration import Prorated, paid_days, prorate
from lago_engine.domain.rating.denomination import Denomination

_NO_FLOOR: Final = Prorated(days=0, period_days=1, amount_cents=0, precise_amount_cents=Decimal(0))


def charge_floor(
    min_amount_cents: int,
    subject: PeriodSubject,
    link: InvoiceLink,
    window: tuple[datetime, datetime],
) -> Prorated:
    """The minimum for the days of the usage window out of its whole period, in the link's time zone."""
    if not min_amount_cents:
        return _NO_FLOOR
    subject = replace(subject, timezone=link.timezone)
    days = paid_days(subject, window, link.timestamp)
    return prorate(min_amount_cents, days, charges_days(subject, window[1]))


def with_true_up(fees: Sequence[Fee], floor: Prorated, currency: str) -> Iterator[Fee]:
    """The fees of one charge that an invoice keeps, and after the first one the fee up to `floor`.

    fees: the first one is that of the default bucket. floor: in the pricing unit of a charge that has one.
    """
    parent, *others = fees
    true_up = _true_up(parent, fees, floor, currency)
    if true_up is not None:
        yield replace(parent, true_up_fee_id=true_up.id)
        yield true_up
    elif not _is_empty(parent):
        yield parent
    yield from (fee for fee in others if not _is_empty(fee))


def _counted(fee: Fee) -> Fee | FeePricingUnit:
    """What counts towards the minimum, which is in the unit of the prices."""
    return fee.pricing_unit or fee


def _amounts(parent: Fee, missing: int, precise: Decimal, currency: str) -> dict[str, Any]:
    """Those of the true-up: of pricing units the rounded amount is converted, as of any fee."""
    if not isinstance(parent.pricing_unit, FeePricingUnit):
        return _of_one_unit(missing, precise, minor_units(currency))
    unit = parent.pricing_unit
    applied = AppliedPricingUnit(code=unit.code, conversion_rate=unit.conversion_rate)
    prices = Denomination(currency, applied)
    money = prices.priced(CONTEXT.divide(Decimal(missing), Decimal(prices.minor_units)))
    return {
        **_of_one_unit(money.amount_cents, money.precise_amount_cents, minor_units(currency)),
        "pricing_unit": replace(unit, **_of_one_unit(missing, precise, prices.minor_units)),
    }


def _of_one_unit(cents: int, precise: Decimal, minor: int) -> dict[str, Any]:
    unit_amount = CONTEXT.divide(precise, Decimal(minor))
    return {
        "amount_cents": cents,
        "precise_amount_cents": precise,
        "unit_amount_cents": cents,
        "precise_unit_amount": quantize_to(unit_amount, PRECISE_PLACES),
    }


def _is_empty(fee: Fee) -> bool:
    """Whether no fee is kept for it (charges.md §6)."""
    return fee.units == 0 and fee.amount_cents == 0 and fee.events_count == 0


def _true_up(parent: Fee, fees: Sequence[Fee], floor: Prorated, currency: str) -> Fee | None:
    billed = sum(_counted(fee).amount_cents for fee in fees)
    # A floor that is not whole is further from the next whole number than its 15 decimals can tell.
    if billed >= floor.precise_amount_cents:
        return None
    # `billed` is whole, so the rounded floor gives the rounded difference.
    missing = floor.amount_cents - billed
    precise = floor.precise_amount_cents
    for fee in fees:
        precise = CONTEXT.subtract(precise, _counted(fee).precise_amount_cents)
    return replace(
        parent,
        id=ids.derive(parent.id, "true_up"),
        units=Decimal(1),
        events_count=0,
        **_amounts(parent, missing, precise, currency),
        total_aggregated_units=UNSET,
        presentation_breakdowns=UNSET,
        true_up_parent_fee_id=parent.id,
    )
