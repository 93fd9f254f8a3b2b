"""The minimum of a charge (charges §12)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.invoicing.model import Fee, InvoiceLink
from lago_engine.domain.invoicing.true_up import charge_floor, with_true_up
from lago_engine.domain.periods import PeriodSubject, link_windows
from lago_engine.domain.proration import prorate

OWNER = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def floor_of(started_at: str, at: str, minimum: int = 10_000, **given: Any) -> Any:
    """The floor of the link of a monthly subscription billed at `at`."""
    start = instant(started_at)
    facts = {"status": "active", "timezone": "UTC", **given}
    subject = PeriodSubject(
        subscription_at=start, created_at=start, started_at=start, interval="monthly", **facts
    )
    upgraded = subject.successor == "upgrade"
    windows = link_windows(subject, instant(at), mode="current_usage" if upgraded else "billing")
    assert windows.charges_from is not None
    assert windows.charges_to is not None
    link = InvoiceLink(
        subscription_id=OWNER,
        external_subscription_id="s1",
        plan_id=OWNER,
        plan_version=1,
        timestamp=instant(at),
        recurring=True,
        invoicing_reason="subscription_periodic",
        timezone=subject.timezone,
        from_datetime=windows.subscription_from,
        to_datetime=windows.subscription_to,
        charges_from_datetime=windows.charges_from,
        charges_to_datetime=windows.charges_to,
        fixed_charges_from_datetime=None,
        fixed_charges_to_datetime=None,
        order_name="s1",
    )
    # The customer may have moved since; the link keeps the zone that it was made in.
    moved = replace(subject, timezone="Asia/Tokyo")
    return charge_floor(minimum, moved, link, (windows.charges_from, windows.charges_to))


ENDED = {"status": "terminated", "terminated_at": instant("2025-06-12T15:00:00")}


@pytest.mark.parametrize(
    ("started_at", "at", "given", "days", "amount"),
    [
        ("2025-01-01T00:00:00", "2025-07-01T00:00:00", {}, (30, 30), 10_000),
        ("2025-06-16T09:30:00", "2025-07-01T00:00:00", {}, (15, 30), 5000),
        ("2025-01-01T00:00:00", "2025-06-12T15:00:00", ENDED, (12, 30), 4000),
        (
            "2025-01-01T00:00:00",
            "2025-06-12T15:00:00",
            {**ENDED, "successor": "upgrade"},
            (11, 30),
            3667,
        ),
        ("2025-05-01T00:00:00", "2025-06-01T00:00:00", {"timezone": "UTC"}, (31, 31), 10_000),
        # March in New York ends and begins at different offsets.
        (
            "2025-01-01T05:00:00",
            "2025-04-01T04:00:00",
            {"timezone": "America/New_York"},
            (31, 31),
            10_000,
        ),
    ],
)
def test_the_floor_is_for_the_days_of_the_window(
    started_at: str, at: str, given: dict[str, Any], days: tuple[int, int], amount: int
) -> None:
    floor = floor_of(started_at, at, **given)
    assert (floor.days, floor.period_days) == days
    assert floor.amount_cents == amount


def test_a_whole_period_has_the_whole_minimum() -> None:
    for minimum in (1, 100, 333, 10**15 + 1):
        floor = floor_of("2025-05-01T00:00:00", "2025-06-01T00:00:00", minimum)
        assert (floor.amount_cents, floor.precise_amount_cents) == (minimum, minimum)


def fee(number: int, precise: str, **given: Any) -> Fee:
    amount = Decimal(precise)
    facts: dict[str, Any] = {
        "units": Decimal(3),
        "events_count": 2,
        "amount_details": {"rate": "1.0"},
        **given,
    }
    return Fee(
        id=ids.derive(OWNER, "fee", number),
        fee_type="charge",
        subscription_id=OWNER,
        external_subscription_id="s1",
        item_id=OWNER,
        item_type="BillableMetric",
        item_code="calls",
        item_name="Calls",
        item_description=None,
        invoice_display_name="API calls",
        amount_cents=round(amount),
        precise_amount_cents=amount,
        unit_amount_cents=411,
        precise_unit_amount=Decimal("4.11"),
        pay_in_advance=False,
        from_datetime=instant("2025-06-16T09:30:00"),
        to_datetime=instant("2025-06-30T23:59:59"),
        charge_id=OWNER,
        **facts,
    )


def unused(number: int) -> Fee:
    return fee(number, "0", units=Decimal(0), events_count=0)


def test_usage_below_the_floor_is_trued_up() -> None:
    parent = fee(1, "1234.4")
    kept, true_up = with_true_up([parent], prorate(10_000, 15, 30), "EUR")
    assert kept == replace(parent, true_up_fee_id=true_up.id)
    assert true_up == replace(
        parent,
        id=true_up.id,
        amount_cents=3766,
        precise_amount_cents=Decimal("3765.6"),
        units=Decimal(1),
        events_count=0,
        unit_amount_cents=3766,
        precise_unit_amount=Decimal("37.656"),
        true_up_parent_fee_id=parent.id,
    )
    assert true_up.id != parent.id


@pytest.mark.parametrize(
    ("currency", "unit_amount"), [("EUR", "37.66"), ("JPY", "3766"), ("KWD", "3.766")]
)
def test_the_unit_amount_is_in_major_units(currency: str, unit_amount: str) -> None:
    _, true_up = with_true_up([fee(1, "1234")], prorate(5000, 1, 1), currency)
    assert true_up.precise_unit_amount == Decimal(unit_amount)


def test_no_usage_at_all_is_trued_up_beside_a_fee_of_zero() -> None:
    parent, true_up = with_true_up([unused(1)], prorate(10_000, 1, 1), "EUR")
    assert (parent.amount_cents, true_up.amount_cents) == (0, 10_000)
    assert parent.true_up_fee_id == true_up.id


@pytest.mark.parametrize("billed", ["5000", "5001"])
def test_enough_usage_is_left_alone(billed: str) -> None:
    assert list(with_true_up([fee(1, billed)], prorate(10_000, 1, 2), "EUR")) == [fee(1, billed)]


def test_a_floor_between_two_cents_is_rounded_once() -> None:
    """3333.33… less 3333 is a third of a cent; 6666.66… less 6666 is two thirds."""
    _, third = with_true_up([fee(1, "3333")], prorate(10_000, 1, 3), "EUR")
    assert (third.amount_cents, third.precise_amount_cents) == (0, Decimal("0.333333333333333"))
    _, two = with_true_up([fee(1, "6666")], prorate(10_000, 2, 3), "EUR")
    assert two.amount_cents == 1


def test_all_fees_of_the_charge_count_and_the_first_is_the_parent() -> None:
    fees = [unused(1), fee(2, "300"), fee(3, "500"), unused(4)]
    parent, true_up, *others = with_true_up(fees, prorate(1000, 1, 1), "EUR")
    assert (true_up.amount_cents, true_up.true_up_parent_fee_id) == (200, parent.id)
    assert parent.id == fees[0].id
    assert others == fees[1:3]
    assert list(with_true_up(fees, prorate(800, 1, 1), "EUR")) == fees[1:3]


def test_without_a_minimum_only_empty_fees_go() -> None:
    assert list(with_true_up([unused(1)], prorate(0, 30, 30), "EUR")) == []
    kept = [fee(1, "0", units=Decimal(0)), fee(1, "0", events_count=0), fee(1, "5")]
    for one in kept:
        assert list(with_true_up([one], prorate(0, 30, 30), "EUR")) == [one]
