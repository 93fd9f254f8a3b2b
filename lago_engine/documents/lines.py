"""The fees of an invoice as table lines, grouped by subscription."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from lago_engine.documents.formats import Formats
from lago_engine.documents.labels import Labels
from lago_engine.documents.model import Group, Line
from lago_engine.domain.rating.derivation import InUnit, conversion, formulas
from lago_engine.domain.timezones import local_date

Wire = Mapping[str, Any]
Days = tuple[date, date]


def fee_days(fee: Wire, tz: ZoneInfo) -> Days | None:
    """First and last local day a fee covers; None for a fee without dates (prepaid credits)."""
    first, last = fee.get("from_date"), fee.get("to_date")
    if first is None or last is None:
        return None
    return _local_day(first, tz), _local_day(last, tz)


def invoice_days(fees: Iterable[Wire], tz: ZoneInfo) -> Days | None:
    """First and last local day that any fee covers."""
    spans = [days for fee in fees if (days := fee_days(fee, tz)) is not None]
    if not spans:
        return None
    return min(first for first, _ in spans), max(last for _, last in spans)


def fee_groups(invoice: Wire, labels: Labels, formats: Formats, tz: ZoneInfo) -> tuple[Group, ...]:
    """One group per subscription, in the order of `subscriptions`; then fees that belong to none."""
    known: dict[str | None, Wire] = {entry["lago_id"]: entry for entry in invoice["subscriptions"]}
    fees_of: dict[str | None, list[Wire]] = {key: [] for key in known}
    for fee in invoice["fees"]:
        fees_of.setdefault(fee.get("lago_subscription_id"), []).append(fee)
    filled = [(key, fees) for key, fees in fees_of.items() if fees]
    period = invoice_days(invoice["fees"], tz)
    return tuple(
        Group(
            title=_title(known.get(key), fees),
            reference=fees[0].get("external_subscription_id"),
            lines=tuple(_line(fee, period, labels, formats, tz) for fee in fees),
            subtotal=formats.amount(sum(fee["amount_cents"] for fee in fees))
            if len(filled) > 1
            else None,
        )
        for key, fees in filled
    )


def _title(subscription: Wire | None, fees: Sequence[Wire]) -> str | None:
    """The subscription's own name, else the plan's display name, else the plan's code."""
    if subscription is None:
        reference: str | None = fees[0].get("external_subscription_id")
        return reference
    plan_names = (
        fee["item"]["invoice_display_name"] for fee in fees if fee["item"]["type"] == "subscription"
    )
    title: str = subscription.get("name") or next(plan_names, None) or subscription["plan_code"]
    return title


def _line(fee: Wire, period: Days | None, labels: Labels, formats: Formats, tz: ZoneInfo) -> Line:
    return Line(
        name=fee_name(fee, labels),
        notes=tuple(_notes(fee, period, formats, tz)),
        units=formats.quantity(fee["units"]),
        unit_price=formats.unit_price(fee["precise_unit_amount"]),
        tax_rate=formats.rate(fee["taxes_rate"]),
        amount=formats.amount(fee["amount_cents"]),
    )


def fee_name(fee: Wire, labels: Labels) -> str:
    """What a line calls its fee."""
    item = fee["item"]
    name: str = item.get("invoice_display_name") or item["name"]
    if fee.get("lago_true_up_parent_fee_id") is not None:
        return labels.true_up.format(name=name)
    if item["type"] == "commitment":
        return labels.minimum_commitment.format(name=name)
    return name


def fee_notes(fee: Wire, formats: Formats, tz: ZoneInfo) -> Iterable[str]:
    """Which filter, group and days of a fee are meant."""
    yield from _bucket(fee)
    days = fee_days(fee, tz)
    if days is not None:
        yield formats.period(*days)


def _bucket(fee: Wire) -> Iterable[str]:
    item = fee["item"]
    if item.get("filter_invoice_display_name"):
        yield item["filter_invoice_display_name"]
    elif item.get("filters"):
        yield ", ".join(value for values in item["filters"].values() for value in values)
    for key, value in (item.get("grouped_by") or {}).items():
        yield f"{key}: {value or '–'}"


def _notes(fee: Wire, period: Days | None, formats: Formats, tz: ZoneInfo) -> Iterable[str]:
    yield from _bucket(fee)
    if fee.get("description"):
        yield fee["description"]
    unit = fee.get("pricing_unit_details")
    prices = formats if unit is None else InUnit(formats, unit["short_name"])
    # A true-up repeats the details of the fee it stands beside.
    if fee.get("lago_true_up_parent_fee_id") is None:
        yield from formulas(fee.get("amount_details") or {}, fee["units"], prices)
    if unit is not None:
        yield conversion(unit, formats)
    # The header names the whole period, so a line repeats it only when its own one differs.
    days = fee_days(fee, tz)
    if days is not None and days != period:
        yield formats.period(*days)


def _local_day(text: str, tz: ZoneInfo) -> date:
    return local_date(datetime.fromisoformat(text), tz)
