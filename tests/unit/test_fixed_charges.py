"""Units of fixed charges over time and what they cost: the examples of charges.md §15 and billing_periods.md §12."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lago_engine.domain.catalog.entities import FixedCharge
from lago_engine.domain.rating.fixed_charges import rate_increase, rate_units
from lago_engine.domain.rating.unit_steps import PeriodUnits, UnitStep, known_at, units_in
from lago_engine.domain.timezones import zone

ID = UUID(int=1)
JUNE = (datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 30, 23, 59, 59, 999999, tzinfo=UTC))
NEW_YORK = (
    datetime(2024, 6, 1, 4, tzinfo=UTC),
    datetime(2024, 7, 1, 3, 59, 59, 999999, tzinfo=UTC),
)


def june(day: int, hour: int = 10) -> datetime:
    return datetime(2024, 6, day, hour, tzinfo=UTC)


def steps(*given: tuple[str, datetime]) -> list[UnitStep]:
    """(units, timestamp) in the order in which they were set."""
    return [
        UnitStep(
            units=Decimal(units),
            timestamp=timestamp,
            created_at=datetime(2024, 5, number, tzinfo=UTC),
            plan_version=number,
        )
        for number, (units, timestamp) in enumerate(given, start=1)
    ]


def charge(model: str = "standard", *, prorated: bool = True, **properties: Any) -> FixedCharge:
    return FixedCharge(
        id=ID, code="seats", add_on_id=ID, add_on_code="seats", charge_model=model,
        properties=properties, created_at=june(1), prorated=prorated,
    )  # fmt: skip


START = ("10", june(1, 0))
SEATS = (START, ("14", june(21)), ("12", june(25)))


@pytest.mark.parametrize(
    ("given", "window", "timezone", "full", "paid"),
    [
        (SEATS, JUNE, "UTC", "12", "10.933334"),
        ((START, ("20", june(15))), JUNE, "UTC", "20", "15.333334"),
        ((START, ("14", june(21, 2))), NEW_YORK, "America/New_York", "14", "11.466666"),
        ((START,), (JUNE[0], june(18, 9)), "UTC", "10", "6"),
        # What was set for later counts for nothing once something set afterwards comes before it.
        ((START, ("99", june(25)), ("20", june(16))), JUNE, "UTC", "20", "15"),
        ((("7", june(1, 0)), ("10", june(20)), ("5", june(1, 0))), JUNE, "UTC", "5", "5"),
        # Two on one day: the second is paid from that day, the first for nothing.
        ((START, ("50", june(16)), ("20", june(16, 20))), JUNE, "UTC", "20", "15"),
        ((("10", datetime(2024, 7, 1, tzinfo=UTC)),), JUNE, "UTC", "0", "0"),
        ((), JUNE, "UTC", "0", "0"),
    ],
)
def test_units_of_a_window(
    given: tuple[tuple[str, datetime], ...],
    window: tuple[datetime, datetime],
    timezone: str,
    full: str,
    paid: str,
) -> None:
    by_day = units_in(steps(*given), window, tz=zone(timezone), period_days=30)
    assert by_day == PeriodUnits(full=Decimal(full), paid=Decimal(paid))
    whole = units_in(steps(*given), window, tz=zone(timezone))
    assert whole == PeriodUnits(full=Decimal(full), paid=Decimal(full))


def test_the_units_before_a_window_are_those_set_last() -> None:
    """Of two steps before July, a deferred one and one set after it, the latter counts."""
    july = (datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 7, 31, tzinfo=UTC))
    given = steps(START, ("14", july[0]), ("12", june(20)))
    assert units_in(given, july, tz=zone("UTC"), period_days=31).paid == 12
    assert units_in(given[:2], july, tz=zone("UTC")).full == 14


def test_what_is_set_later_was_not_known() -> None:
    given = steps(START, ("14", june(2)))
    assert known_at(given, given[0].created_at) == given[:1]
    assert known_at(given, given[1].created_at) == given


RANGES = [
    {"from_value": 0, "to_value": 20, "per_unit_amount": "3", "flat_amount": "10"},
    {"from_value": 21, "to_value": None, "per_unit_amount": "2.5", "flat_amount": "12"},
]
TIERS = [
    {"from_value": 0, "to_value": 5, "per_unit_amount": "10", "flat_amount": "20"},
    {"from_value": 6, "to_value": None, "per_unit_amount": "6", "flat_amount": "5"},
]


@pytest.mark.parametrize(
    ("fixed_charge", "full", "paid", "cents", "unit_amount"),
    [
        (charge(amount="3"), "20", "15.333334", 4600, "2.3000001"),
        (charge(amount="10"), "12", "10.933334", 10933, "9.111111666666667"),
        (charge(amount="10"), "14", "11.466666", 11467, "8.190475714285714"),
        (charge(amount="10", prorated=False), "12", "12", 12000, "10"),
        (charge("volume", volume_ranges=RANGES), "22", "22.83334", 6908, "3.140152272727273"),
        # (7 units: 5 × 10 + 2 × 6) × 3.5 / 7 + 20 + 5
        (charge("graduated", graduated_ranges=TIERS), "7", "3.5", 5600, "8"),
        (charge("graduated", graduated_ranges=TIERS), "0", "0", 2000, "0"),
        (charge("graduated", prorated=False, graduated_ranges=TIERS), "7", "7", 8700, None),
    ],
)
def test_price_of_a_period(
    fixed_charge: FixedCharge, full: str, paid: str, cents: int, unit_amount: str | None
) -> None:
    units = PeriodUnits(full=Decimal(full), paid=Decimal(paid))
    rated = rate_units(fixed_charge, units, "EUR")
    assert (rated.units, rated.amount_cents) == (Decimal(full), cents)
    if unit_amount is not None:
        assert rated.precise_unit_amount == Decimal(unit_amount)


@pytest.mark.parametrize(
    ("fixed_charge", "units", "billed", "share", "expected"),
    [
        (charge(amount="10"), "10", None, (15, 30), ("10", 5000, 500)),
        (charge(amount="10"), "14", "10", (10, 30), ("4", 1333, 333)),
        (charge(amount="10"), "12", "14", (6, 30), ("0", 0, 0)),
        (charge(amount="6"), "15", "10", (20, 30), ("5", 2000, 400)),
        # The seventh unit is priced where it is, in the second tier, whose flat amount was billed.
        (charge("graduated", graduated_ranges=TIERS), "7", "6", (1, 1), ("1", 600, 600)),
        (charge("graduated", graduated_ranges=TIERS), "7", "5", (1, 1), ("2", 1700, 850)),
        (charge("graduated", graduated_ranges=TIERS), "0", None, (1, 1), ("0", 2000, 0)),
        (charge("graduated", graduated_ranges=TIERS), "1", "0", (1, 1), ("1", 1000, 1000)),
    ],
)
def test_price_of_an_increase(
    fixed_charge: FixedCharge,
    units: str,
    billed: str | None,
    share: tuple[int, int],
    expected: tuple[str, int, int],
) -> None:
    already = None if billed is None else Decimal(billed)
    rated = rate_increase(fixed_charge, Decimal(units), already, "EUR", share)
    assert (rated.units, rated.amount_cents, rated.unit_amount_cents) == (
        Decimal(expected[0]),
        *expected[1:],
    )
