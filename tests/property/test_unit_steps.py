"""Units of fixed charges against an oracle that looks at every day by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.catalog.entities import FixedCharge
from lago_engine.domain.rating.fixed_charges import rate_increase, rate_units
from lago_engine.domain.rating.unit_steps import PeriodUnits, UnitStep, units_in
from lago_engine.domain.timezones import MICROSECOND, local_date, start_of_day, zone

ZONES: Final = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")
DAYS: Final = 30
FIRST: Final = datetime(2024, 6, 1, tzinfo=UTC).date()
AFTER: Final = datetime(2024, 7, 1, tzinfo=UTC).date()

units = st.decimals(min_value=0, max_value=1000, places=3)
instants = st.datetimes(datetime(2024, 5, 20), datetime(2024, 7, 10), timezones=st.just(UTC))
histories = st.lists(st.tuples(units, instants), max_size=7)
cuts = st.timedeltas(timedelta(0), timedelta(days=14))


def steps_of(history: Sequence[tuple[Decimal, datetime]]) -> list[UnitStep]:
    return [
        UnitStep(units=each, timestamp=timestamp, created_at=timestamp, plan_version=1)
        for each, timestamp in history
    ]


@given(histories, st.sampled_from(ZONES), cuts, cuts)
def test_each_day_has_the_units_set_last_of_those_that_count_by_then(
    history: list[tuple[Decimal, datetime]], timezone: str, late: timedelta, early: timedelta
) -> None:
    tz = zone(timezone)
    start = start_of_day(FIRST, tz) + late
    end = start_of_day(AFTER, tz) - MICROSECOND - early
    day, last, total, latest = local_date(start, tz), local_date(end, tz), Decimal(0), Decimal(0)
    while day <= last:
        counting = [u for u, at in history if local_date(at, tz) <= day and at <= end]
        latest = counting[-1] if counting else Decimal(0)
        total += latest / DAYS
        day += timedelta(days=1)
    found = units_in(steps_of(history), (start, end), tz=tz, period_days=DAYS)
    assert found.full == latest
    assert abs(found.paid - total) <= Decimal("0.000001") * (len(history) + 1)
    assert found.paid == found.paid.quantize(Decimal("0.000001"))


bounds = st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True).map(sorted)
prices = st.decimals(min_value=0, max_value=20, places=2).map(str)


@st.composite
def graduated(draw: st.DrawFn) -> FixedCharge:
    ends = [*draw(bounds), None]
    starts = [0, *(end + 1 for end in ends if end is not None)]
    ranges = [
        {
            "from_value": start,
            "to_value": end,
            "per_unit_amount": draw(prices),
            "flat_amount": draw(prices),
        }
        for start, end in zip(starts, ends, strict=True)
    ]
    return FixedCharge(
        id=UUID(int=1),
        code="seats",
        add_on_id=UUID(int=2),
        add_on_code="seats",
        charge_model="graduated",
        properties={"graduated_ranges": ranges},
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )


@given(graduated(), st.lists(st.integers(0, 80), min_size=1, max_size=6))
def test_increases_add_up_to_the_price_of_the_most_units(
    charge: FixedCharge, wanted: list[int]
) -> None:
    billed: Decimal | None = None
    amount = Decimal(0)
    for each in map(Decimal, wanted):
        rated = rate_increase(charge, each, billed, "EUR")
        assert rated.amount_cents >= 0
        amount += rated.precise_amount_cents
        billed = (billed or Decimal(0)) + rated.units
    most = Decimal(max(wanted))
    assert billed == most
    whole = rate_units(charge, PeriodUnits(full=most, paid=most), "EUR")
    assert amount == whole.precise_amount_cents
