"""What holds of a charge model whatever its prices: exact sums, no price for order or notation, monotony."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.rating.charge_models.model import Rated, Run, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS


def decimals(high: int = 10**6, places: int = 6) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, high, places=places, allow_nan=False, allow_infinity=False)


prices = decimals(10**4).map(str)
units_used = decimals()
Row = tuple[int | None, str, str]
"""The end of a range, the price of its units and its flat amount."""


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    ends: list[int | None] = [*sorted(draw(st.sets(st.integers(2, 10**6), max_size=5))), None]
    # Ranges of a single unit cannot be written.
    kept = [ends[0]]
    for end in ends[1:]:
        before = kept[-1]
        if end is None or (before is not None and end > before + 1):
            kept.append(end)
    return [(end, draw(prices), draw(prices)) for end in kept]


def properties(model: str, table: Sequence[Row], *, touching: bool = False) -> dict[str, Any]:
    price = "rate" if model == "graduated_percentage" else "per_unit_amount"
    rows, start = [], 0
    for end, unit_price, flat in table:
        rows.append({"from_value": start, "to_value": end, price: unit_price, "flat_amount": flat})
        start = 0 if end is None else end + (not touching)
    result = {f"{model}_ranges": rows}
    assert CHARGE_MODELS[model].problems(result) == []
    return result


def rate(
    model: str,
    given_properties: dict[str, Any],
    units: Decimal,
    events: int = 1,
    aggregation: str = "sum_agg",
    values: Sequence[Decimal] = (),
) -> Rated:
    runs = [Run(value, len(list(same))) for value, same in groupby(values)]
    usage = Usage(units=units, events_count=events, aggregation_type=aggregation, values=runs)
    return CHARGE_MODELS[model].rate(usage, given_properties)


GRADUATED = st.sampled_from(["graduated", "graduated_percentage"])


def expected(model: str, table: Sequence[Row], units: Decimal) -> Fraction:
    """Unit by unit range, in fractions."""
    total, lower = Fraction(0), Fraction(0)
    per = 100 if model == "graduated_percentage" else 1
    for position, (end, price, flat) in enumerate(table):
        inside = max(min(Fraction(units), Fraction(end or units)) - lower, Fraction(0))
        if inside or position == 0:
            total += inside * Fraction(price) / per + Fraction(flat)
        lower = Fraction(end or 0)
    return total


@given(model=GRADUATED, table=tables(), units=units_used, touching=st.booleans())
def test_graduated_ranges_are_exact_in_either_notation(
    model: str, table: list[Row], units: Decimal, touching: bool
) -> None:
    rated = rate(model, properties(model, table, touching=touching), units)
    assert Fraction(rated.amount) == expected(model, table, units)
    rows = rated.amount_details[f"{model}_ranges"]
    assert sum(Fraction(row["total_with_flat_amount"]) for row in rows) == Fraction(rated.amount)
    assert sum(Fraction(row["units"]) for row in rows) == Fraction(units)
    for row in rows:
        flat = Fraction(row["flat_unit_amount"])
        of_units = Fraction(row["per_unit_total_amount"])
        assert of_units + flat == Fraction(row["total_with_flat_amount"])


@given(model=GRADUATED, table=tables(), units=units_used, more=units_used)
def test_more_units_never_cost_less_when_graduated(
    model: str, table: list[Row], units: Decimal, more: Decimal
) -> None:
    given_properties = properties(model, table)
    low = rate(model, given_properties, units).amount
    assert rate(model, given_properties, CONTEXT.add(units, more)).amount >= low


@given(model=GRADUATED, price=prices, ends=tables(), units=units_used)
def test_cutting_a_range_without_changing_its_price_changes_nothing(
    model: str, price: str, ends: list[Row], units: Decimal
) -> None:
    whole = properties(model, [(None, price, "3")])
    cut = properties(
        model, [(end, price, "0" if position else "3") for position, (end, _, _) in enumerate(ends)]
    )
    assert rate(model, whole, units).amount == rate(model, cut, units).amount


@given(table=tables(), units=units_used)
def test_volume_prices_every_unit_by_the_range_they_end_in(
    table: list[Row], units: Decimal
) -> None:
    rated = rate("volume", properties("volume", table), units)
    _, price, flat = next(row for row in table if row[0] is None or units <= row[0])
    assert Fraction(rated.amount) == Fraction(units) * Fraction(price) + Fraction(flat)
    details = rated.amount_details
    total = Fraction(details["per_unit_total_amount"]) + Fraction(details["flat_unit_amount"])
    assert total == Fraction(rated.amount)


@given(table=tables(), units=units_used, price=prices)
def test_volume_ranges_of_one_price_are_one_range(
    table: list[Row], units: Decimal, price: str
) -> None:
    cut = [(end, price, "2") for end, _, _ in table]
    assert (
        rate("volume", properties("volume", cut), units).amount
        == rate("volume", properties("volume", [(None, price, "2")]), units).amount
    )


@given(
    units=units_used,
    more=units_used,
    size=st.integers(1, 10**4),
    free=st.integers(0, 10**4),
    price=prices,
    packages=st.integers(0, 50),
)
def test_packages_are_whole_and_add_up(
    units: Decimal, more: Decimal, size: int, free: int, price: str, packages: int
) -> None:
    given_properties = {"amount": price, "package_size": size, "free_units": free}
    rated = rate("package", given_properties, units)
    paid = max(Fraction(units) - free, Fraction(0))
    assert Fraction(rated.amount) == -(-paid // size) * Fraction(price)
    assert Fraction(rated.amount_details["paid_units"]) == paid
    assert rate("package", given_properties, CONTEXT.add(units, more)).amount >= rated.amount
    # Usage split after whole packages costs the same as a whole.
    first = Decimal(free + packages * size)
    nothing_free = {**given_properties, "free_units": 0}
    parts = CONTEXT.add(
        rate("package", given_properties, first).amount,
        rate("package", nothing_free, units).amount,
    )
    assert rate("package", given_properties, CONTEXT.add(first, units)).amount == parts


# --- percentage ----------------------------------------------------------------------------------

amounts = decimals(10**4, places=2)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, Any]:
    bounds = sorted(draw(st.tuples(amounts, amounts)))
    return {
        "rate": str(draw(decimals(100, places=3))),
        "fixed_amount": draw(st.none() | amounts.map(str)),
        "free_units_per_events": draw(st.none() | st.integers(1, 8)),
        "free_units_per_total_aggregation": draw(st.none() | decimals(10**4, places=1).map(str)),
        "per_transaction_min_amount": draw(st.none() | st.just(str(bounds[0]))),
        "per_transaction_max_amount": draw(st.none() | st.just(str(bounds[1]))),
    }


def number(given_properties: dict[str, Any], key: str) -> Fraction:
    return Fraction(given_properties[key] or 0)


def of_the_whole(values: Sequence[Fraction], given_properties: dict[str, Any]) -> Fraction:
    """The formulas of charges §5.5 for a sum, written out."""
    free_events = int(number(given_properties, "free_units_per_events"))
    allowance = number(given_properties, "free_units_per_total_aggregation")
    running: list[Fraction] = []
    if free_events or allowance:
        totals = list(itertools.accumulate(values))
        if free_events:
            running = totals[:free_events]
        else:
            before = [Fraction(0), *totals]
            running = [
                total
                for total, earlier in zip(totals, before, strict=False)
                if earlier <= allowance
            ]
    last = running[-1] if running else Fraction(0)
    free = last if not allowance or last <= allowance else allowance
    counts = [free_events, sum(total < allowance for total in running)]
    free_count = min((count for count in counts if count), default=0)
    units, events = sum(values, Fraction(0)), len(values)
    share = max(units - free, Fraction(0)) * number(given_properties, "rate") / 100
    paid_events = max(events - free_count, 0) if units else 0
    return share + paid_events * number(given_properties, "fixed_amount")


def of_each(values: Sequence[Fraction], given_properties: dict[str, Any]) -> Iterator[Fraction]:
    """The loop of charges §5.5 over events, line by line."""
    fe = int(number(given_properties, "free_units_per_events"))
    fa = number(given_properties, "free_units_per_total_aggregation")
    low = given_properties["per_transaction_min_amount"]
    high = given_properties["per_transaction_max_amount"]
    for value in values:
        v = value
        if fe > 0 or fa > 0:
            fe -= 1
            if fa <= 0:
                continue
            if fa > v:
                fa -= v
                continue
            v -= fa
            fa, fe = Fraction(0), 0
        amount = v * number(given_properties, "rate") / 100
        amount += number(given_properties, "fixed_amount")
        if low is not None and amount < Fraction(low):
            amount = Fraction(low)
        elif high is not None and amount > Fraction(high):
            amount = Fraction(high)
        yield amount


def is_bounded(given_properties: dict[str, Any]) -> bool:
    return any(
        given_properties[key] is not None
        for key in ("per_transaction_min_amount", "per_transaction_max_amount")
    )


def is_consistent(rated: Rated) -> bool:
    """Whether the parts shown add up to the amount."""
    details = rated.amount_details
    parts = ("per_unit_total_amount", "fixed_fee_total_amount", "min_max_adjustment_total_amount")
    return sum(Fraction(details[part]) for part in parts) == Fraction(rated.amount)


# Successive equal values come as one.
event_values = st.lists(
    st.one_of(decimals(5000, places=2), st.sampled_from([Decimal(0), Decimal(5), Decimal(50)])),
    max_size=12,
)


@given(given_properties=shares(), values=event_values)
def test_a_percentage_of_a_sum_is_what_the_formulas_say(
    given_properties: dict[str, Any], values: list[Decimal]
) -> None:
    assert CHARGE_MODELS["percentage"].problems(given_properties) == []
    units = sum(values, Decimal(0))
    rated = rate("percentage", given_properties, units, len(values), values=values)
    used = [Fraction(value) for value in values]
    if is_bounded(given_properties):
        assert Fraction(rated.amount) == sum(of_each(used, given_properties), Fraction(0))
    else:
        assert Fraction(rated.amount) == of_the_whole(used, given_properties)
    assert is_consistent(rated)


@given(given_properties=shares(), values=event_values)
def test_one_more_event_never_costs_less(
    given_properties: dict[str, Any], values: list[Decimal]
) -> None:
    costs = [
        rate("percentage", given_properties, sum(seen, Decimal(0)), len(seen), values=seen).amount
        for seen in (values[:count] for count in range(len(values) + 1))
        # A fixed amount is only due with units.
        if sum(seen, Decimal(0))
    ]
    assert costs == sorted(costs)


@given(
    given_properties=shares(),
    count=st.integers(0, 40),
    aggregation=st.sampled_from(["count_agg", "unique_count_agg"]),
)
def test_counted_events_cost_what_events_of_one_unit_cost(
    given_properties: dict[str, Any], count: int, aggregation: str
) -> None:
    """With both allowances the models differ by specification, unless bounds apply."""
    if not is_bounded(given_properties):
        given_properties["free_units_per_events"] = None
    units, values = Decimal(count), [Decimal(1)] * count
    counted = rate("percentage", given_properties, units, count, aggregation)
    summed = rate("percentage", given_properties, units, count, values=values)
    assert counted.amount == summed.amount
    assert is_consistent(counted)


@given(given_properties=shares(), first=st.lists(amounts, max_size=6), then=st.lists(amounts))
def test_without_allowances_events_are_priced_one_by_one(
    given_properties: dict[str, Any], first: list[Decimal], then: list[Decimal]
) -> None:
    free = dict.fromkeys(("free_units_per_events", "free_units_per_total_aggregation"))
    given_properties = {**given_properties, **free}

    def cost(values: list[Decimal]) -> Decimal:
        positive = [CONTEXT.add(value, Decimal(1)) for value in values]
        total = sum(positive, Decimal(0))
        return rate("percentage", given_properties, total, len(positive), values=positive).amount

    assert cost(first + then) == CONTEXT.add(cost(first), cost(then))
