"""Prorated units and what they cost (metrics §9, charges §8)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lago_engine.domain.rating.charge_models.model import Changes, Prorated, Rated, Step, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.prorating import PaidDays, all_steps, prorated_units
from lago_engine.domain.timezones import day_starts, start_of_day

JUNE = PaidDays(carried=30, period=30)
# Carried 20; +5 on June 11, -3 on June 26.
CARRIED = Changes(Decimal(20), (Step(Decimal(5), 20), Step(Decimal(-3), 5)))


def changes(carried: str, *steps: tuple[str, int]) -> Changes:
    return Changes(Decimal(carried), tuple(Step(Decimal(units), days) for units, days in steps))


@pytest.mark.parametrize(
    ("given", "days", "units"),
    [
        (CARRIED, JUNE, "22.83334"),
        # Terminated on June 12 at 15:00.
        (changes("20", ("5", 2)), PaidDays(carried=12, period=30), "8.33334"),
        (changes("20", ("5", 2)), PaidDays(carried=11, period=30), "7.66667"),
        # Seats for 10, 26 and 10 days.
        (changes("0", ("1", 10), ("1", 26), ("-1", 0), ("1", 10)), JUNE, "1.53334"),
        (changes("3"), JUNE, "3"),
        (changes("0"), JUNE, "0"),
        # Up is towards more, also below zero.
        (changes("0", ("-1", 10)), JUNE, "-0.33333"),
        (changes("0.00001", ("0", 1)), JUNE, "0.00001"),
        (changes("0", ("1e-30", 1)), JUNE, "0.00001"),
        (
            changes("1e50", ("1", 1)),
            JUNE,
            "100000000000000000000000000000000000000000000000000.03334",
        ),
    ],
)
def test_units_are_prorated_exactly_and_rounded_up_once(
    given: Changes, days: PaidDays, units: str
) -> None:
    assert prorated_units(all_steps(given, days), days) == Decimal(units)


def rate(model: str, properties: dict[str, Any], given: Changes, days: PaidDays = JUNE) -> Rated:
    steps = all_steps(given, days)
    full = sum((step.units for step in steps), Decimal(0))
    assert CHARGE_MODELS[model].problems(properties) == []
    usage = Usage(
        units=prorated_units(steps, days),
        events_count=len(given.steps),
        aggregation_type="sum_agg",
        prorated=Prorated(full_units=full, steps=steps, period_days=days.period),
    )
    return CHARGE_MODELS[model].rate(usage, properties)


def test_standard() -> None:
    rated = rate("standard", {"amount": "3"}, CARRIED)
    assert rated.amount == Decimal("68.50002")
    assert round(rated.unit_amount, 15) == Decimal("3.113637272727273")


def tiers(*rows: tuple[int, int | None, str, str]) -> list[dict[str, Any]]:
    names = ("from_value", "to_value", "per_unit_amount", "flat_amount")
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_volume_chooses_by_full_units_and_prices_prorated_ones() -> None:
    ranges = tiers((0, 20, "3", "10"), (21, None, "2.5", "12"))
    rated = rate("volume", {"volume_ranges": ranges}, CARRIED)
    assert rated.amount == Decimal("69.08335")
    assert rated.amount_details == {
        "flat_unit_amount": "12.0",
        "per_unit_amount": "2.594697727272727",
        "per_unit_total_amount": "57.08335",
    }


TWO = tiers((0, 5, "10", "20"), (6, None, "6", "5"))
THREE = tiers((0, 2, "10", "1"), (3, 4, "6", "2"), (5, None, "2", "4"))


@pytest.mark.parametrize(
    ("ranges", "given", "amount"),
    [
        # 4 x 10 + (2/3) x (1 x 10 + 2 x 6) + 20 + 5.
        (TWO, changes("4", ("3", 20)), "79.66666666666666666666666667"),
        # Nothing but a carried quantity.
        (TWO, changes("4"), "60"),
        (TWO, changes("0"), "20"),
        # Units that cancel out on one day leave the flat amount of the range they reached.
        (TWO, changes("4", ("3", 20), ("-3", 20)), "65"),
        # A removal takes away what its units cost where they were: 2 x 2 + 2 x 6 for 15 of 30 days.
        (THREE, changes("6", ("-4", 15)), "35"),  # 36 - 16 / 2 + 7
        # What was taken away costs less than what came: the flat amounts stay.
        (THREE, changes("0", ("6", 1), ("-5", 30)), "7"),
    ],
)
def test_graduated_prices_change_by_change(
    ranges: list[dict[str, Any]], given: Changes, amount: str
) -> None:
    rated = rate("graduated", {"graduated_ranges": ranges}, given)
    assert round(rated.amount, 26) == Decimal(amount)
    assert rated.amount_details == {}


def test_the_average_price_is_that_of_a_full_unit() -> None:
    rated = rate("graduated", {"graduated_ranges": TWO}, changes("4", ("3", 20)))
    assert round(rated.unit_amount, 15) == Decimal("11.380952380952381")


def test_without_prorated_units_the_first_flat_amount_is_due() -> None:
    rated = rate("graduated", {"graduated_ranges": TWO}, changes("0", ("9", 1), ("-9", 1)))
    assert rated.amount == 20


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2024, 6, 10), 24),
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),
        # Samoa skipped a day.
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)
def test_local_days_of_a_window(zone: str, day: date, hours: int) -> None:
    tz = ZoneInfo(zone)
    first, last = day.replace(day=1), day.replace(day=28)
    end = start_of_day(last, tz)
    starts = day_starts(start_of_day(first, tz), end, tz)
    assert starts[-1] == end
    assert len(starts) == 27
    assert list(starts) == sorted(starts)
    following = start_of_day(date.fromordinal(day.toordinal() + 1), tz)
    assert (following - start_of_day(day, tz)).total_seconds() == hours * 3600


def test_a_window_inside_a_day_has_no_further_days() -> None:
    tz = ZoneInfo("Asia/Tokyo")
    start = datetime(2024, 6, 1, 15, tzinfo=UTC)
    assert day_starts(start, start.replace(day=2, hour=14), tz) == ()
    assert day_starts(start, start.replace(day=2, hour=15), tz) == (start.replace(day=2),)
