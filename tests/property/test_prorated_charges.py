"""Prorated units and graduated prices against fractions, and laws that every way of using keeps to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.rating.charge_models.model import Changes, Prorated, Rated, Step, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.prorating import PaidDays, all_steps, prorated_units

PERIOD = 31
Tier = tuple[int | None, str, str]
numbers = st.decimals(-20, 20, places=2)
positive = st.decimals(0, 20, places=2)
days = st.integers(0, PERIOD)


@st.composite
def changes(draw: st.DrawFn, of: st.SearchStrategy[Decimal] = numbers) -> Changes:
    steps = draw(st.lists(st.tuples(of, days), max_size=8))
    return Changes(draw(positive), tuple(Step(units, paid) for units, paid in steps))


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    ends = sorted(draw(st.sets(st.integers(1, 40), max_size=3)))
    prices = st.sampled_from(["0", "0.5", "2", "9.99"])
    rows, start = [], 0
    for end in (*ends, None):
        row = {"from_value": start, "to_value": end}
        rows.append({**row, "per_unit_amount": draw(prices), "flat_amount": draw(prices)})
        start = end or 0
    assert CHARGE_MODELS["graduated"].problems({"graduated_ranges": rows}) == []
    return rows


def usage(given_changes: Changes, paid: PaidDays) -> Usage | None:
    """None where a fee is reset to nothing."""
    steps = all_steps(given_changes, paid)
    full = sum((step.units for step in steps), Decimal(0))
    units = prorated_units(steps, paid)
    if full < 0 or units < 0:
        return None
    return Usage(
        units=units,
        events_count=len(given_changes.steps),
        aggregation_type="sum_agg",
        prorated=Prorated(full_units=full, steps=steps, period_days=paid.period),
    )


def rate(used: Usage, ranges: list[dict[str, Any]]) -> Rated:
    return CHARGE_MODELS["graduated"].rate(used, {"graduated_ranges": ranges})


def cost(units: Fraction, ranges: Sequence[dict[str, Any]]) -> Fraction:
    total, lower = Fraction(0), Fraction(0)
    for item in ranges:
        upper = units if item["to_value"] is None else min(units, Fraction(item["to_value"]))
        total += max(upper - lower, Fraction(0)) * Fraction(item["per_unit_amount"])
        lower = max(lower, upper)
    return total


def expected(used: Usage, ranges: Sequence[dict[str, Any]]) -> Fraction:
    """The formula of charges §8, change by change."""
    assert used.prorated is not None
    if not used.units:
        return Fraction(ranges[0]["flat_amount"])
    variable = total = peak = Fraction(0)
    for units, paid in used.prorated.steps:
        before, total = total, total + Fraction(units)
        peak = max(peak, total)
        variable += Fraction(paid, PERIOD) * (cost(total, ranges) - cost(before, ranges))
    flat = Fraction(0)
    for item in ranges:
        flat += Fraction(item["flat_amount"])
        if item["to_value"] is None or peak <= item["to_value"]:
            break
    return max(variable, Fraction(0)) + flat


def same(amount: Decimal, other: Decimal | Fraction) -> bool:
    """But for the last of more than 200 digits of a quotient."""
    return abs(Fraction(amount) - Fraction(other)) < Fraction(1, 10**200)


@given(changes(), st.integers(0, PERIOD))
def test_units_are_rounded_up_once(given_changes: Changes, carried: int) -> None:
    paid = PaidDays(carried=carried, period=PERIOD)
    steps = all_steps(given_changes, paid)
    exact = sum((Fraction(units) * each / PERIOD for units, each in steps), Fraction(0))
    assert Fraction(prorated_units(steps, paid)) == Fraction(math.ceil(exact * 10**5), 10**5)


@given(changes(), tiers(), st.integers(0, PERIOD))
def test_a_graduated_price_is_what_the_formula_says(
    given_changes: Changes, ranges: list[dict[str, Any]], carried: int
) -> None:
    used = usage(given_changes, PaidDays(carried=carried, period=PERIOD))
    if used is not None:
        assert same(rate(used, ranges).amount, expected(used, ranges))


@given(changes(), tiers(), st.data())
def test_units_that_come_one_by_one_cost_what_they_cost_at_once(
    given_changes: Changes, ranges: list[dict[str, Any]], data: st.DataObject
) -> None:
    """So the changes of a day may come as one, as long as they go in one direction."""
    paid = PaidDays(carried=PERIOD, period=PERIOD)
    pieces: list[Step] = []
    for units, each in given_changes.steps:
        part = (units * data.draw(st.integers(0, 4)) / 4).normalize()
        pieces += [Step(part, each), Step(units - part, each)]
    whole, split = (
        usage(given_changes, paid),
        usage(Changes(given_changes.carried, tuple(pieces)), paid),
    )
    assert (whole is None) == (split is None)
    if whole is not None and split is not None:
        assert same(rate(whole, ranges).amount, rate(split, ranges).amount)


@given(changes(positive), tiers())
def test_units_that_stay_cost_what_they_cost_without_proration(
    given_changes: Changes, ranges: list[dict[str, Any]]
) -> None:
    stay = Changes(
        given_changes.carried, tuple(Step(units, PERIOD) for units, _ in given_changes.steps)
    )
    used = usage(stay, PaidDays(carried=PERIOD, period=PERIOD))
    assert used is not None
    plain = Usage(units=used.units, events_count=1, aggregation_type="sum_agg")
    assert rate(used, ranges).amount == rate(plain, ranges).amount


@given(changes(positive), tiers(), positive, days)
def test_more_units_never_cost_less(
    given_changes: Changes, ranges: list[dict[str, Any]], more: Decimal, each: int
) -> None:
    paid = PaidDays(carried=PERIOD, period=PERIOD)
    longer = Changes(given_changes.carried, (*given_changes.steps, Step(more, each)))
    less, used = usage(given_changes, paid), usage(longer, paid)
    assert less is not None
    assert used is not None
    before, after = rate(less, ranges).amount, rate(used, ranges).amount
    assert before <= after or same(before, after)
