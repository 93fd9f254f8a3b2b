"""Amount details as formulas (charges §5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from lago_engine.documents.formats import Formats
from lago_engine.domain.rating.charge_models.model import Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.derivation import InUnit, conversion, formulas

TIERS = [
    {"from_value": 0, "to_value": 1000, "per_unit_amount": "0.5", "flat_amount": "10"},
    {"from_value": 1001, "to_value": 2000, "per_unit_amount": "0.4", "flat_amount": "0"},
    {"from_value": 2001, "to_value": None, "per_unit_amount": "0.25", "flat_amount": "1"},
]
FREE = [{"from_value": 0, "to_value": None, "per_unit_amount": "0.4", "flat_amount": "0"}]
SHARES = [
    {"from_value": 0, "to_value": 1000, "rate": "2", "flat_amount": "1"},
    {"from_value": 1001, "to_value": None, "rate": "1.5", "flat_amount": "0"},
]
PACKAGES = {"package_size": 500, "amount": "12.5", "free_units": 50}
BOUNDS = {"per_transaction_min_amount": "1", "per_transaction_max_amount": "6"}


@pytest.mark.parametrize(
    ("model", "properties", "units", "lines"),
    [
        ("standard", {"amount": "2"}, "5", []),
        (
            "graduated",
            {"graduated_ranges": TIERS},
            "2500",
            [
                "0 – 1,000: 1,000 × €0.50 + €10.00 = €510.00",
                "1,001 – 2,000: 1,000 × €0.40 = €400.00",
                "≥ 2,001: 500 × €0.25 + €1.00 = €126.00",
            ],
        ),
        ("graduated", {"graduated_ranges": TIERS}, "0", ["0 – 1,000: €10.00 = €10.00"]),
        ("graduated", {"graduated_ranges": FREE}, "0", []),
        (
            "graduated_percentage",
            {"graduated_percentage_ranges": SHARES},
            "1000.5",
            ["0 – 1,000: 1,000 × 2% + €1.00 = €21.00", "≥ 1,001: 0.5 × 1.5% = €0.0075"],
        ),
        ("package", PACKAGES, "1050.5", ["(1,050.5 − 50) ÷ 500 → 3 × €12.50"]),
        ("package", {**PACKAGES, "free_units": 0}, "500", ["500 ÷ 500 → 1 × €12.50"]),
        ("package", PACKAGES, "40", []),
        ("package", PACKAGES, "0", []),
        ("volume", {"volume_ranges": TIERS}, "1200.5", []),
        ("volume", {"volume_ranges": TIERS}, "100.5", ["100.5 × €0.50 + €10.00"]),
        ("volume", {"volume_ranges": TIERS}, "0", ["€10.00"]),
        ("percentage", {"rate": "1.5", "fixed_amount": "0.2"}, "4", ["4 × 1.5% + 4 × €0.20"]),
        (
            "percentage",
            {"rate": "1.5", "fixed_amount": "0.2", "free_units_per_events": 3},
            "4",
            ["(4 − 3) × 1.5% + 1 × €0.20"],
        ),
        ("percentage", {"rate": "1.5", "free_units_per_events": 9}, "4", []),
        ("percentage", {"rate": "100", **BOUNDS, "fixed_amount": "9"}, "2",
         ["2 × 100% + 2 × €9.00 − €8.00"]),
        ("percentage", {"rate": "0", **BOUNDS}, "2", ["+ €2.00"]),
    ],
)  # fmt: skip
def test_formulas(model: str, properties: dict[str, Any], units: str, lines: list[str]) -> None:
    usage = Usage(
        units=Decimal(units), events_count=int(Decimal(units)), aggregation_type="count_agg"
    )
    details = CHARGE_MODELS[model].rate(usage, properties).amount_details
    numbers = Formats("en", "EUR")
    assert list(formulas(details, units, numbers)) == lines


def test_other_details_have_none() -> None:
    assert list(formulas({"plan_amount_cents": 900}, "1.0", Formats("en", "EUR"))) == []


def test_formulas_in_a_pricing_unit() -> None:
    """Prices are in the unit; what they came to is converted in the end."""
    usage = Usage(units=Decimal("1050.5"), events_count=1, aggregation_type="sum_agg")
    details = CHARGE_MODELS["package"].rate(usage, PACKAGES).amount_details
    money = Formats("en", "EUR")
    [line] = formulas(details, "1050.5", InUnit(money, "CR"))
    assert line == "(1,050.5 − 50) ÷ 500 → 3 × 12.5 CR"
    unit = {"amount_cents": 123_750, "short_name": "CR", "conversion_rate": "0.5"}
    assert conversion(unit, money) == "1,237.5 CR × €0.50"
