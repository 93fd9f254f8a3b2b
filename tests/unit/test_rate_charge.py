"""From a model's price to the amounts of a fee (charges §6)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lago_engine.domain.catalog.entities import BillableMetric, Charge
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.rating.charge_fees import RatedCharge, rate_charge

ID = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rate(
    model: Any, properties: dict[str, Any], units: str, currency: str = "EUR", **metric: Any
) -> RatedCharge:
    charge = Charge(
        id=ID,
        code="c",
        billable_metric_id=ID,
        billable_metric_code="c",
        charge_model=model,
        properties=properties,
        created_at=NOW,
    )
    counted = BillableMetric(
        id=ID, code="c", name="c", aggregation_type="sum_agg", created_at=NOW, **metric
    )
    return rate_charge(charge, counted, BucketUsage(Decimal(units), 3), currency)


def test_one_amount_in_all_its_forms() -> None:
    rated = rate("standard", {"amount": "0.005"}, "3")
    assert (rated.amount_cents, rated.precise_amount_cents) == (2, Decimal("1.5"))
    assert (rated.unit_amount_cents, rated.precise_unit_amount) == (0, Decimal("0.005"))
    assert (rated.units, rated.events_count) == (3, 3)


@pytest.mark.parametrize(
    ("currency", "cents", "precise"),
    [("EUR", 86, "86.415"), ("JPY", 1, "0.86415"), ("KWD", 864, "864.15")],
)
def test_amounts_are_in_minor_units_of_the_currency(
    currency: str, cents: int, precise: str
) -> None:
    rated = rate("standard", {"amount": "0.07"}, "12.345", currency)
    assert (rated.amount_cents, rated.precise_amount_cents) == (cents, Decimal(precise))


def test_units_are_rounded_before_they_are_priced() -> None:
    tiers = {
        "graduated_ranges": [
            {"from_value": 0, "to_value": 7, "per_unit_amount": "1", "flat_amount": "0"},
            {"from_value": 8, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "10"},
        ]
    }
    exact = rate("graduated", tiers, "7.06")
    assert (exact.units, exact.amount_cents) == (Decimal("7.06"), 1703)
    floor = rate("graduated", tiers, "7.06", rounding_function="floor")
    assert (floor.units, floor.amount_cents) == (7, 700)


def test_average_prices_have_15_decimals() -> None:
    tiers = {
        "volume_ranges": [
            {"from_value": 0, "to_value": None, "per_unit_amount": "0", "flat_amount": "2"}
        ]
    }
    rated = rate("volume", tiers, "3")
    assert rated.precise_unit_amount == Decimal("0.666666666666667")
    assert rated.unit_amount_cents == 66


FLAT = [{"from_value": 0, "to_value": None, "per_unit_amount": "1", "flat_amount": "10"}]


@pytest.mark.parametrize(
    ("model", "properties"),
    [
        ("standard", {"amount": "1"}),
        ("graduated", {"graduated_ranges": FLAT}),
        ("volume", {"volume_ranges": FLAT}),
        ("package", {"amount": "1", "package_size": 1, "free_units": 0}),
        ("percentage", {"rate": "1", "fixed_amount": "5"}),
    ],
)
@pytest.mark.parametrize("units", ["-0.001", "-3"])
def test_negative_units_are_reset(model: str, properties: dict[str, Any], units: str) -> None:
    """Even where a flat amount would be due for no units."""
    rated = rate(model, properties, units)
    assert (rated.units, rated.amount_cents, rated.precise_amount_cents) == (0, 0, 0)
    assert (rated.unit_amount_cents, rated.precise_unit_amount) == (0, 0)
    assert (rated.events_count, rated.amount_details) == (3, {})
