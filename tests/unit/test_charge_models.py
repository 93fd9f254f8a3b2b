"""The worked examples of charges §5 and the rules of §4.2, model by model."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from lago_engine.domain.rating.charge_models.model import Rated, Run, Usage
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS


def rate(
    model: str,
    properties: dict[str, Any],
    units: str | int,
    *,
    events: int = 1,
    aggregation: str = "sum_agg",
    values: Sequence[str] = (),
) -> Rated:
    assert CHARGE_MODELS[model].problems(properties) == []
    usage = Usage(
        units=Decimal(units),
        events_count=events,
        aggregation_type=aggregation,
        values=[Run(Decimal(value), 1) for value in values],
    )
    return CHARGE_MODELS[model].rate(usage, properties)


def ranges(*rows: tuple[int, int | None, str, str], price: str) -> list[dict[str, Any]]:
    names = ("from_value", "to_value", price, "flat_amount")
    return [dict(zip(names, row, strict=True)) for row in rows]


# --- graduated -----------------------------------------------------------------------------------

CLASSIC = ranges(
    (0, 100, "0.5", "10"), (101, 200, "0.4", "5"), (201, None, "0.25", "0"), price="per_unit_amount"
)
TOUCHING = ranges(
    (0, 100, "0.5", "10"), (100, 200, "0.4", "5"), (200, None, "0.25", "0"), price="per_unit_amount"
)
MIXED = ranges(
    (1, 100, "0.5", "10"), (100, 200, "0.4", "5"), (201, None, "0.25", "0"), price="per_unit_amount"
)


@pytest.mark.parametrize("tiers", [CLASSIC, TOUCHING, MIXED], ids=["classic", "touching", "mixed"])
@pytest.mark.parametrize(
    ("units", "amount", "unit_amount"),
    [
        ("0", "10", "0"),
        ("100", "60", "0.6"),
        ("100.5", "65.20", None),
        ("200", "105", "0.525"),
        ("200.1", "105.025", None),
        ("250", "117.50", "0.47"),
    ],
)
def test_graduated(
    tiers: list[dict[str, Any]], units: str, amount: str, unit_amount: str | None
) -> None:
    rated = rate("graduated", {"graduated_ranges": tiers}, units)
    assert rated.amount == Decimal(amount)
    if unit_amount is not None:
        assert rated.unit_amount == Decimal(unit_amount)


def test_graduated_details() -> None:
    rated = rate("graduated", {"graduated_ranges": CLASSIC}, 250)
    assert rated.amount_details == {
        "graduated_ranges": [
            {
                "from_value": 0,
                "to_value": 100,
                "flat_unit_amount": "10.0",
                "per_unit_amount": "0.5",
                "units": "100.0",
                "per_unit_total_amount": "50.0",
                "total_with_flat_amount": "60.0",
            },
            {
                "from_value": 101,
                "to_value": 200,
                "flat_unit_amount": "5.0",
                "per_unit_amount": "0.4",
                "units": "100.0",
                "per_unit_total_amount": "40.0",
                "total_with_flat_amount": "45.0",
            },
            {
                "from_value": 201,
                "to_value": None,
                "flat_unit_amount": "0.0",
                "per_unit_amount": "0.25",
                "units": "50.0",
                "per_unit_total_amount": "12.5",
                "total_with_flat_amount": "12.5",
            },
        ]
    }


def test_graduated_details_of_no_units() -> None:
    [only] = rate("graduated", {"graduated_ranges": CLASSIC}, 0).amount_details["graduated_ranges"]
    assert (only["units"], only["per_unit_amount"], only["total_with_flat_amount"]) == (
        "0.0",
        "0.0",
        "10.0",
    )


# --- graduated percentage ------------------------------------------------------------------------

SHARES = {
    "graduated_percentage_ranges": ranges(
        (0, 1000, "2", "1"), (1001, 5000, "1.5", "2"), (5001, None, "1", "3"), price="rate"
    )
}
TOUCHING_SHARES = {
    "graduated_percentage_ranges": ranges(
        (0, 1000, "2", "1"), (1000, 5000, "1.5", "2"), (5000, None, "1", "3"), price="rate"
    )
}


@pytest.mark.parametrize("shares", [SHARES, TOUCHING_SHARES], ids=["classic", "touching"])
@pytest.mark.parametrize(
    ("units", "amount"),
    [("0", "1"), ("800", "17"), ("1000", "21"), ("1000.5", "23.0075"), ("6200", "98")],
)
def test_graduated_percentage(shares: dict[str, Any], units: str, amount: str) -> None:
    assert rate("graduated_percentage", shares, units).amount == Decimal(amount)


def test_graduated_percentage_details() -> None:
    rated = rate("graduated_percentage", SHARES, 6200)
    assert rated.amount_details["graduated_percentage_ranges"][1:] == [
        {
            "from_value": 1001,
            "to_value": 5000,
            "flat_unit_amount": "2.0",
            "rate": "1.5",
            "units": "4000.0",
            "per_unit_total_amount": "60.0",
            "total_with_flat_amount": "62.0",
        },
        {
            "from_value": 5001,
            "to_value": None,
            "flat_unit_amount": "3.0",
            "rate": "1.0",
            "units": "1200.0",
            "per_unit_total_amount": "12.0",
            "total_with_flat_amount": "15.0",
        },
    ]


# --- package -------------------------------------------------------------------------------------

PACKAGES = {"package_size": 500, "amount": "12.5", "free_units": 50}


@pytest.mark.parametrize(
    ("units", "paid", "amount", "unit_amount"),
    [
        ("40", "0.0", "0", "0"),
        ("50", "0.0", "0", "0"),
        ("51", "1.0", "12.5", "12.5"),
        ("1050", "1000.0", "25", "0.025"),
        ("1050.5", "1000.5", "37.5", None),
        ("1050.000000000000000000000000000001", None, "37.5", None),
    ],
)
def test_package(units: str, paid: str | None, amount: str, unit_amount: str | None) -> None:
    rated = rate("package", PACKAGES, units)
    assert rated.amount == Decimal(amount)
    if paid is not None:
        assert rated.amount_details == {
            "free_units": "50.0",
            "paid_units": paid,
            "per_package_size": 500,
            "per_package_unit_amount": "12.5",
        }
    if unit_amount is not None:
        assert rated.unit_amount == Decimal(unit_amount)


def test_package_details_of_no_units() -> None:
    assert rate("package", PACKAGES, 0).amount_details == {
        "free_units": "0.0",
        "paid_units": "0.0",
        "per_package_size": 0,
        "per_package_unit_amount": "0.0",
    }


# --- percentage ----------------------------------------------------------------------------------

EVENTS = ("50", "200", "30", "500")


def percentage(
    free_events: int | None = None, free_units: str | None = None, **others: Any
) -> dict[str, Any]:
    return {
        "rate": "1.5",
        "fixed_amount": "0.2",
        "free_units_per_events": free_events,
        "free_units_per_total_aggregation": free_units,
        **others,
    }


@pytest.mark.parametrize(
    ("free_events", "free_units", "units_free", "events_free", "of_units", "fixed", "amount"),
    [
        (None, None, "0.0", 0, "11.7", "0.8", "12.5"),
        (2, None, "250.0", 2, "7.95", "0.4", "8.35"),
        (None, "260", "260.0", 2, "7.8", "0.4", "8.2"),
        (None, "250", "250.0", 1, "7.95", "0.6", "8.55"),
        (2, "100", "100.0", 1, "10.2", "0.6", "10.8"),
        (2, "1000", "250.0", 2, "7.95", "0.4", "8.35"),
        (9, None, "780.0", 9, "0.0", "0.0", "0"),
        (None, "10", "10.0", 0, "11.55", "0.8", "12.35"),
    ],
)
def test_percentage_of_a_sum(
    free_events: int | None,
    free_units: str | None,
    units_free: str,
    events_free: int,
    of_units: str,
    fixed: str,
    amount: str,
) -> None:
    rated = rate("percentage", percentage(free_events, free_units), 780, events=4, values=EVENTS)
    details = rated.amount_details
    assert (details["free_units"], details["free_events"]) == (units_free, events_free)
    assert (details["per_unit_total_amount"], details["fixed_fee_total_amount"]) == (
        of_units,
        fixed,
    )
    assert rated.amount == Decimal(amount)
    assert rated.unit_amount.quantize(Decimal("1e-20")) == (rated.amount / 780).quantize(
        Decimal("1e-20")
    )


def test_percentage_details() -> None:
    rated = rate("percentage", percentage(2), 780, events=4, values=EVENTS)
    assert rated.amount_details == {
        "units": "780.0",
        "free_units": "250.0",
        "free_events": 2,
        "paid_units": "530.0",
        "rate": "1.5",
        "per_unit_total_amount": "7.95",
        "paid_events": 2,
        "fixed_fee_unit_amount": "0.2",
        "fixed_fee_total_amount": "0.4",
        "min_max_adjustment_total_amount": "0.0",
    }


@pytest.mark.parametrize(
    ("free_events", "free_units", "amount", "adjustment"),
    [
        (None, None, "11.2", "-1.3"),
        (2, None, "7", "-1.35"),
        (None, "260", "7", "-1.2"),
        # The second event uses the allowance up exactly: it pays for 0 units and is lifted.
        (None, "250", "8", "-0.55"),
        (2, "260", "7", "-1.35"),
    ],
)
def test_percentage_with_bounds_per_transaction(
    free_events: int | None, free_units: str | None, amount: str, adjustment: str
) -> None:
    bounds = {"per_transaction_min_amount": "1", "per_transaction_max_amount": "6"}
    properties = percentage(free_events, free_units, **bounds)
    rated = rate("percentage", properties, 780, events=4, values=EVENTS)
    assert rated.amount == Decimal(amount)
    assert rated.amount_details["min_max_adjustment_total_amount"] == adjustment


@pytest.mark.parametrize(
    ("properties", "units", "amount"),
    [
        ({}, 5, "1.075"),
        ({"free_events": 2}, 5, "0.645"),
        ({"free_events": 5}, 5, "0"),
        ({"free_units": "2"}, 5, "0.845"),
        ({"free_units": "2.5"}, 5, "0.6375"),
        ({"free_units": "9"}, 5, "0"),
        # Beyond both allowances, the one by events counts for the units.
        ({"free_events": 4, "free_units": "2"}, 5, "0.815"),
        ({"free_events": 4, "free_units": "2"}, 3, "0.415"),
        ({"per_transaction_min_amount": "1"}, 5, "5"),
        ({"per_transaction_max_amount": "0.21"}, 5, "1.05"),
        ({"free_events": 2, "per_transaction_min_amount": "1"}, 5, "3"),
        # The third event pays for half a unit.
        ({"free_units": "2.5", "per_transaction_max_amount": "0.21"}, 5, "0.6275"),
        ({"per_transaction_min_amount": "1"}, 0, "0"),
    ],
)
def test_percentage_of_counted_events(properties: dict[str, Any], units: int, amount: str) -> None:
    given = percentage(**properties)
    for aggregation in ("count_agg", "unique_count_agg"):
        assert not CHARGE_MODELS["percentage"].needs_values(given, aggregation)
        rated = rate("percentage", given, units, events=units, aggregation=aggregation)
        assert rated.amount == Decimal(amount)


def test_percentage_of_other_aggregations_has_no_free_units() -> None:
    rated = rate("percentage", percentage(2, "100"), 780, events=4, aggregation="max_agg")
    assert rated.amount_details["free_units"] == "0.0"
    assert rated.amount_details["free_events"] == 2
    assert rated.amount == Decimal("12.1")


def test_percentage_of_no_units_has_no_fixed_amounts() -> None:
    rated = rate("percentage", percentage(), 0, events=3, values=("5", "-5", "0"))
    assert rated.amount == 0
    assert rated.amount_details["paid_events"] == 3
    assert rated.amount_details["fixed_fee_unit_amount"] == "0.2"
    assert rated.amount_details["fixed_fee_total_amount"] == "0.0"
    unused = rate("percentage", percentage(), 0, events=0, values=())
    assert unused.amount_details["fixed_fee_unit_amount"] == "0.0"


# --- volume --------------------------------------------------------------------------------------

VOLUMES = {
    "volume_ranges": ranges(
        (0, 100, "1", "5"),
        (101, 500, "0.8", "4"),
        (501, None, "0.6", "3"),
        price="per_unit_amount",
    )
}


@pytest.mark.parametrize(
    ("units", "amount"),
    [("0", "5"), ("100", "105"), ("100.2", "84.16"), ("500", "404"), ("620", "375")],
)
def test_volume(units: str, amount: str) -> None:
    assert rate("volume", VOLUMES, units).amount == Decimal(amount)


def test_volume_details() -> None:
    assert rate("volume", VOLUMES, "100.2").amount_details == {
        "flat_unit_amount": "4.0",
        "per_unit_amount": "0.8",
        "per_unit_total_amount": "80.16",
    }
    assert rate("volume", VOLUMES, 0).amount_details["per_unit_amount"] == "0.0"


def test_the_first_range_takes_no_units_wherever_it_begins() -> None:
    begins_at_one = {"volume_ranges": [{**VOLUMES["volume_ranges"][0], "from_value": 1}]}
    begins_at_one["volume_ranges"][0]["to_value"] = None
    assert rate("volume", begins_at_one, 0).amount == 5


# --- properties ----------------------------------------------------------------------------------

PRICE_OF = {
    "graduated": "per_unit_amount",
    "volume": "per_unit_amount",
    "graduated_percentage": "rate",
}


@pytest.mark.parametrize("model", PRICE_OF)
@pytest.mark.parametrize(
    ("bounds", "valid"),
    [
        ([(0, None)], True),
        ([(1, None)], True),
        ([(0, 10), (11, None)], True),
        ([(0, 10), (10, None)], "touching"),
        ([(2, None)], False),
        ([(0, 10)], False),
        ([(0, None), (1, None)], False),
        ([(0, 10), (9, None)], False),
        ([(0, 10), (12, None)], False),
        ([(0, 0), (1, None)], False),
        ([(0, 10), (11, 11), (12, None)], False),
        ([(0, "10"), (11, None)], False),
        ([(0, Decimal("10.5")), (11, None)], False),
        ([(True, None)], False),
        ([("0", None)], False),
        ([(None, None)], False),
        ([(0, 2**63), (2**63 + 1, None)], False),
    ],
)
def test_bounds_of_ranges(model: str, bounds: list[tuple[Any, Any]], valid: bool | str) -> None:
    key = f"{model}_ranges"
    given = [
        {"from_value": start, "to_value": end, PRICE_OF[model]: "1", "flat_amount": "0"}
        for start, end in bounds
    ]
    if valid == "touching":
        # Between adjacent ranges of the volume model the price would be ambiguous.
        valid = model != "volume"
    assert CHARGE_MODELS[model].problems({key: given}) == ([] if valid else [f"invalid_{key}"])


@pytest.mark.parametrize("model", PRICE_OF)
@pytest.mark.parametrize("given", [None, [], "text", {}])
def test_missing_ranges(model: str, given: Any) -> None:
    key = f"{model}_ranges"
    assert CHARGE_MODELS[model].problems({key: given}) == [f"missing_{key}"]
    assert CHARGE_MODELS[model].problems({key: [1]}) == [f"invalid_{key}"]


@pytest.mark.parametrize("model", PRICE_OF)
@pytest.mark.parametrize("price", [None, 1, "-1", "x"])
def test_prices_of_ranges(model: str, price: Any) -> None:
    name, key = PRICE_OF[model], f"{model}_ranges"
    sound = {"from_value": 0, "to_value": None, name: "1", "flat_amount": "0"}
    problems = CHARGE_MODELS[model].problems
    code = "invalid_rate" if name == "rate" else "invalid_amount"
    assert problems({key: [{**sound, name: price}]}) == [code]
    assert problems({key: [{**sound, "flat_amount": price}]}) == ["invalid_amount"]
    assert problems({key: [{**sound, "flat_amount": price, "to_value": 9}]}) == [
        "invalid_amount",
        f"invalid_{key}",
    ]


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({}, []),
        ({"free_units": 0}, []),
        ({"amount": None}, ["invalid_amount"]),
        ({"package_size": 0}, ["invalid_package_size"]),
        ({"package_size": "500"}, ["invalid_package_size"]),
        ({"package_size": True}, ["invalid_package_size"]),
        ({"free_units": -1}, ["invalid_free_units"]),
        ({"free_units": None}, ["invalid_free_units"]),
        (
            {"amount": 1, "package_size": None, "free_units": "1"},
            ["invalid_amount", "invalid_package_size", "invalid_free_units"],
        ),
    ],
)
def test_package_properties(changed: dict[str, Any], codes: list[str]) -> None:
    assert CHARGE_MODELS["package"].problems({**PACKAGES, **changed}) == codes


@pytest.mark.parametrize(
    ("properties", "codes"),
    [
        ({"rate": "0"}, []),
        ({"rate": None}, ["invalid_rate"]),
        ({"rate": 1.5}, ["invalid_rate"]),
        ({"rate": "1", "fixed_amount": "-1"}, ["invalid_fixed_amount"]),
        ({"rate": "1", "free_units_per_events": 0}, ["invalid_free_units_per_events"]),
        ({"rate": "1", "free_units_per_events": "2"}, ["invalid_free_units_per_events"]),
        (
            {"rate": "1", "free_units_per_total_aggregation": 5},
            ["invalid_free_units_per_total_aggregation"],
        ),
        ({"rate": "1", "per_transaction_min_amount": 5}, ["invalid_amount"]),
        ({"rate": "1", "per_transaction_max_amount": "x"}, ["invalid_amount"]),
        (
            {"rate": "1", "per_transaction_min_amount": "5", "per_transaction_max_amount": "4.9"},
            ["per_transaction_max_lower_than_per_transaction_min"],
        ),
        (
            {"rate": "1", "per_transaction_min_amount": "5", "per_transaction_max_amount": "5.0"},
            [],
        ),
    ],
)
def test_percentage_properties(properties: dict[str, Any], codes: list[str]) -> None:
    assert CHARGE_MODELS["percentage"].problems(properties) == codes
