"""The price of an event of a charge that is paid in advance: charges.md §9, metrics.md §10, and what adds up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.rating.charge_fees import RatedCharge
from lago_engine.domain.rating.charge_models.model import Run, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.denomination import Denomination
from lago_engine.domain.rating.in_advance.counter import NOTHING_BILLED, Counter
from lago_engine.domain.rating.in_advance.rate import EventUsage, Pricing, Share, rate_event

TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "2"},
    {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "3"},
]
SHARES = [
    {"from_value": 0, "to_value": 1000, "rate": "2", "flat_amount": "1"},
    {"from_value": 1001, "to_value": None, "rate": "1", "flat_amount": "3"},
]
BOUNDS = {"per_transaction_min_amount": "1", "per_transaction_max_amount": "6"}
PERCENT = {"rate": "1.5", "fixed_amount": "0.2"}


def pricing(model: str, properties: dict[str, Any], aggregation: Any = "sum_agg") -> Pricing:
    metric = BillableMetric(
        id=UUID(int=1),
        code="m",
        name="M",
        aggregation_type=aggregation,
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return Pricing(
        charge_model=model, properties=properties, metric=metric, prices=Denomination("EUR")
    )


def bill(
    priced: Pricing, changes: Sequence[Decimal | str], **event: Any
) -> tuple[list[RatedCharge], Counter]:
    """Bill events one after the other."""
    units, counter, fees = Decimal(0), NOTHING_BILLED, []
    for number, change in enumerate(map(Decimal, changes), start=1):
        units += change
        usage = EventUsage(delta=change, units=units, events_count=number, **event)
        fee, counter = rate_event(priced, usage, counter)
        fees.append(fee)
    return fees, counter


@pytest.mark.parametrize(
    ("model", "properties", "values", "cents"),
    [
        ("standard", {"amount": "0.07"}, ["0.5"], [4]),
        ("graduated", {"graduated_ranges": TIERS}, ["6", "6", "1"], [800, 800, 50]),
        (
            "package",
            {"package_size": 10, "amount": "5", "free_units": 3},
            ["2", "2", "4", "5"],
            [0, 500, 0, 0],
        ),
        (
            "percentage",
            {**PERCENT, "free_units_per_events": 2},
            ["50", "200", "30", "500"],
            [0, 0, 65, 770],
        ),
        (
            "percentage",
            {**PERCENT, "free_units_per_total_aggregation": "260"},
            ["50", "200", "30", "500"],
            [0, 0, 50, 770],
        ),
        ("percentage", PERCENT | BOUNDS, ["50", "200", "30", "500"], [100, 320, 100, 600]),
        (
            "percentage",
            {**PERCENT, **BOUNDS, "free_units_per_total_aggregation": "260"},
            ["50", "200", "30", "500"],
            [0, 0, 100, 600],
        ),
        (
            "graduated_percentage",
            {"graduated_percentage_ranges": SHARES},
            ["900", "300"],
            [1900, 700],
        ),
    ],
)
def test_the_examples_of_the_specification(
    model: str, properties: dict[str, Any], values: list[str], cents: list[int]
) -> None:
    fees, _ = bill(pricing(model, properties), values)
    assert [fee.amount_cents for fee in fees] == cents


def test_the_unit_price_follows_the_rounded_amount() -> None:
    [fee], _ = bill(pricing("standard", {"amount": "0.07"}), ["0.5"])
    assert (fee.precise_amount_cents, fee.precise_unit_amount) == (Decimal("3.5"), Decimal("0.08"))


def test_an_event_that_carries_its_price_costs_it_whatever_units_it_has() -> None:
    for units in ("7", "0"):
        [fee], _ = bill(
            pricing("dynamic", {}), [units], precise_total_amount_cents=Decimal("10.25")
        )
        assert (fee.amount_cents, fee.precise_amount_cents) == (10, Decimal("10.25"))
    assert fee.precise_unit_amount == 0


def test_units_come_back_without_being_billed_again() -> None:
    """The tables of metrics.md §10.2: the second begins below what was carried over."""
    price = pricing("standard", {"amount": "1"})
    fees, counter = bill(price, ["10", "-4", "6", "-20", "5", "25"])
    assert [fee.amount_cents for fee in fees] == [1000, 0, 200, 0, 0, 1000]
    assert [str(fee.units) for fee in fees] == ["10", "0", "2", "0", "5", "10"]
    assert counter == NOTHING_BILLED
    fees, _ = bill(price, ["-5", "3", "8"])
    assert [fee.amount_cents for fee in fees] == [0, 0, 600]


def test_a_prorated_event_pays_for_the_days_that_are_left() -> None:
    [fee], counter = bill(pricing("standard", {"amount": "1"}), ["4"], share=Share(15, 31))
    assert (fee.units, fee.precise_amount_cents) == (4, Decimal("193.549"))
    assert (counter.prorated, counter.level) == (Decimal("1.93549"), 4)


def test_details_are_those_of_the_event_alone() -> None:
    priced = pricing("percentage", {**PERCENT, "free_units_per_events": 2})
    *_, last = bill(priced, ["50", "200", "30"])[0]
    assert last.amount_details == {
        "units": "30.0",
        "free_units": "0.0",
        "free_events": 0,
        "paid_units": "30.0",
        "rate": "1.5",
        "per_unit_total_amount": "0.45",
        "paid_events": 1,
        "fixed_fee_unit_amount": "0.2",
        "fixed_fee_total_amount": "0.2",
        "min_max_adjustment_total_amount": "0.0",
    }
    *_, last = bill(
        pricing("graduated_percentage", {"graduated_percentage_ranges": SHARES}), ["900", "300"]
    )[0]
    first, second = last.amount_details["graduated_percentage_ranges"]
    assert (first["units"], first["total_with_flat_amount"]) == ("100.0", "2.0")
    assert (second["units"], second["per_unit_total_amount"]) == ("200.0", "0.03")


amounts = st.decimals(min_value="0.001", max_value="5000", places=3)
MODELS = [
    ("standard", {"amount": "0.0371"}),
    ("graduated", {"graduated_ranges": TIERS}),
    ("package", {"package_size": 7, "amount": "1.25", "free_units": 3}),
    ("graduated_percentage", {"graduated_percentage_ranges": SHARES}),
    ("percentage", PERCENT),
    ("percentage", {**PERCENT, "free_units_per_events": 3}),
    ("percentage", {**PERCENT, "free_units_per_total_aggregation": "777.7"}),
    (
        "percentage",
        PERCENT | {"free_units_per_events": 2, "free_units_per_total_aggregation": "90"},
    ),
    ("percentage", PERCENT | BOUNDS),
    ("percentage", PERCENT | BOUNDS | {"free_units_per_events": 2}),
    ("percentage", PERCENT | BOUNDS | {"free_units_per_total_aggregation": "400"}),
]


@given(st.sampled_from(MODELS), st.lists(amounts, min_size=1, max_size=12))
def test_fees_of_growing_usage_add_up_to_the_price_of_all_of_it(
    case: tuple[str, dict[str, Any]], values: list[Decimal]
) -> None:
    """In whatever order the events arrive, since the order of billing is that of their arrival."""
    model, properties = case
    fees, _ = bill(pricing(model, properties), values)
    whole = CHARGE_MODELS[model].rate(
        Usage(
            units=sum(values, Decimal(0)),
            events_count=len(values),
            aggregation_type="sum_agg",
            values=[Run(value, 1) for value in values],
        ),
        properties,
    )
    billed = sum((fee.precise_amount_cents for fee in fees), Decimal(0))
    assert abs(billed - whole.amount * 100) < Decimal("1e-12")


@given(st.lists(st.decimals(min_value=-50, max_value=50, places=1), min_size=1, max_size=30))
def test_what_is_billed_is_the_highest_level_of_the_period(changes: list[Decimal]) -> None:
    fees, counter = bill(pricing("standard", {"amount": "1"}), changes)
    level = peak = Decimal(0)
    for change, fee in zip(changes, fees, strict=True):
        level += change
        assert fee.precise_amount_cents == max(level - peak, 0) * 100
        peak = max(peak, level)
    assert sum(fee.precise_amount_cents for fee in fees) == peak * 100
    assert counter.unused == peak - level
