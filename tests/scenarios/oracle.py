"""What invoices must say, computed the slow and obvious way: day by day, event by event, in fractions.

Knows monthly and weekly plans with per-unit charges and one tax. Shares nothing with the engine but the rules
it is written from (billing_periods.md §2-§8, §15, invoices.md §5, §6).
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class Contract(NamedTuple):
    """A subscription that began at `start` and goes on. prices: unit price in major units by metric code."""

    start: datetime
    zone: str
    interval: str
    anniversary: bool
    in_advance: bool
    amount_cents: int
    prices: Mapping[str, str]
    tax_rate: str = "0"
    grace: int = 0


class Used(NamedTuple):
    """A usage event: when it happened, how much it counts, when the engine got to know."""

    at: datetime
    code: str
    quantity: str
    received: datetime


class Span(NamedTuple):
    """Local days, both included."""

    first: date
    last: date


def round_away(value: Fraction) -> int:
    """To an integer, halves away from zero; value ≥ 0."""
    assert value >= 0
    return int(value + Fraction(1, 2))


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()


def opens_period(contract: Contract, day: date) -> bool:
    """Whether a period begins on this local day."""
    anchor = local_day(contract.start, contract.zone)
    if contract.interval == "weekly":
        return day.weekday() == (anchor.weekday() if contract.anniversary else 0)
    wanted = anchor.day if contract.anniversary else 1
    return day.day == min(wanted, calendar.monthrange(day.year, day.month)[1])


def period_around(contract: Contract, day: date) -> Span:
    first = day
    while not opens_period(contract, first):
        first -= DAY
    last = day
    while not opens_period(contract, last + DAY):
        last += DAY
    return Span(first, last)


def base_fee(contract: Contract, period: Span, *, begins: date) -> int:
    """The plan's price for the days of the period from `begins` on."""
    days = (period.last - max(period.first, begins)).days + 1
    length = (period.last - period.first).days + 1
    if contract.in_advance and contract.anniversary:
        days = length
    return round_away(Fraction(days * contract.amount_cents, length))


def usage_fees(
    contract: Contract, usage: Sequence[Used], start: datetime, end: datetime, known_by: datetime
) -> Iterator[dict[str, Any]]:
    """A fee per metric used in [start, end), as far as the engine knew `known_by` then."""
    for code, price in contract.prices.items():
        used = [
            Fraction(event.quantity)
            for event in usage
            if event.code == code and start <= event.at < end and event.received < known_by
        ]
        if used:
            amount = round_away(sum(used) * Fraction(price) * 100)
            yield fee(contract, code, sum(used), len(used), amount)


def fee(
    contract: Contract, code: str, units: Fraction | int, events: int | None, amount: int
) -> dict[str, Any]:
    return {
        "code": code,
        "units": Fraction(units),
        "events_count": events,
        "amount_cents": amount,
        "taxes_amount_cents": round_away(Fraction(amount) * Fraction(contract.tax_rate) / 100),
    }


def invoices(
    contract: Contract, usage: Sequence[Used], until: datetime
) -> Iterator[dict[str, Any]]:
    """Every invoice finalized up to and including `until`, in order."""
    zone, begins = contract.zone, local_day(contract.start, contract.zone)
    first = period_around(contract, begins)
    if contract.in_advance:
        started = [fee(contract, "plan", 1, None, base_fee(contract, first, begins=begins))]
        yield _invoice(contract, begins, contract.start, started, Span(begins, first.last), None)
    day = begins + DAY
    while midnight(day + contract.grace * DAY, zone) <= until:
        if opens_period(contract, day):
            closed, opened = period_around(contract, day - DAY), period_around(contract, day)
            billed = opened if contract.in_advance else closed
            start = max(midnight(closed.first, zone), contract.start)
            final = midnight(day + contract.grace * DAY, zone)
            fees = [fee(contract, "plan", 1, None, base_fee(contract, billed, begins=begins))]
            fees += usage_fees(contract, usage, start, midnight(day, zone), final)
            window = Span(max(billed.first, begins), billed.last)
            yield _invoice(contract, day, midnight(day, zone), fees, window, start)
        day += DAY


def _invoice(
    contract: Contract,
    day: date,
    created_at: datetime,
    fees: Sequence[Mapping[str, Any]],
    window: Span,
    usage_from: datetime | None,
) -> dict[str, Any]:
    """`usage_from` None: an invoice at the start, which bills no usage."""
    zone = contract.zone
    net = sum(fee["amount_cents"] for fee in fees)
    taxes = round_away(Fraction(net) * Fraction(contract.tax_rate) / 100)
    return {
        "created_at": stamp(created_at),
        "issuing_date": (day + contract.grace * DAY).isoformat(),
        "window": (
            stamp(midnight(window.first, zone)),
            stamp(midnight(window.last + DAY, zone) - SECOND),
        ),
        "usage_window": None
        if usage_from is None
        else (stamp(usage_from), stamp(midnight(day, zone) - SECOND)),
        "fees": list(fees),
        "fees_amount_cents": net,
        "taxes_amount_cents": taxes,
        "total_amount_cents": net + taxes,
    }


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def described(invoice: Mapping[str, Any]) -> dict[str, Any]:
    """An invoice document in the words of `invoices`; one subscription on it."""
    (period,) = invoice["billing_periods"]
    starting = period["invoicing_reason"] == "subscription_starting"
    return {
        "created_at": invoice["created_at"],
        "issuing_date": invoice["issuing_date"],
        "window": (period["subscription_from_datetime"], period["subscription_to_datetime"]),
        "usage_window": None
        if starting
        else (period["charges_from_datetime"], period["charges_to_datetime"]),
        "fees": [
            {
                "code": "plan" if fee["item"]["type"] == "subscription" else fee["item"]["code"],
                "units": Fraction(fee["units"]),
                "events_count": fee["events_count"],
                "amount_cents": fee["amount_cents"],
                "taxes_amount_cents": fee["taxes_amount_cents"],
            }
            for fee in invoice["fees"]
        ],
        "fees_amount_cents": invoice["fees_amount_cents"],
        "taxes_amount_cents": invoice["taxes_amount_cents"],
        "total_amount_cents": invoice["total_amount_cents"],
    }
