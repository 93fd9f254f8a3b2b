"""Rating: units and events of a charge to the amounts of its fee, one thread, no I/O, so its CPU time is measured.

`python -m benchmarks.rating` prints a JSON line per figure.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import thread_time
from typing import Any, Final
from uuid import UUID

import msgspec

from benchmarks.report import Result
from lago_engine.domain.catalog.entities import (
    AppliedPricingUnit,
    BillableMetric,
    Charge,
    ChargeFilter,
)
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.decimals import CONTEXT
from lago_engine.domain.money import to_minor
from lago_engine.domain.rating.buckets import rate_buckets
from lago_engine.domain.rating.charge_fees import rate_charge
from lago_engine.domain.rating.prorating import PaidDays

RUNS: Final = 5
FEES: Final = 10_000
GOAL: Final = 20_000
TIERS: Final = 5
CHARGES: Final = 100
FILTERS: Final = 20
PLAN_GOAL_MS: Final = 50

_ID: Final = UUID("0196f3a0-0000-8000-8000-0000000000be")
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_METRIC: Final = BillableMetric(
    id=_ID, code="calls", name="Calls", aggregation_type="count_agg", created_at=_NOW
)


def _tiers(price: str) -> list[dict[str, Any]]:
    """Ranges of 1,000 units that get cheaper, the last one open."""
    return [
        {
            "from_value": 1000 * number + (number > 0),
            "to_value": None if number == TIERS - 1 else 1000 * (number + 1),
            price: f"0.0{TIERS - number}25",
            "flat_amount": str(number),
        }
        for number in range(TIERS)
    ]


_DAYS: Final = PaidDays(carried=30, period=30)

PROPERTIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "standard": {"amount": "0.0125"},
    "graduated": {"graduated_ranges": _tiers("per_unit_amount")},
    "graduated_percentage": {"graduated_percentage_ranges": _tiers("rate")},
    "volume": {"volume_ranges": _tiers("per_unit_amount")},
    "package": {"amount": "12.5", "package_size": 500, "free_units": 50},
    "percentage": {"rate": "1.5", "fixed_amount": "0.2", "free_units_per_events": 100},
}

# All of them reach the last range, and most average prices repeat without end.
UNITS: Final[Sequence[Decimal]] = [
    Decimal(1000 * TIERS + number) + Decimal(number % 7) / 8 for number in range(FEES)
]


def _charge(model: Any) -> Charge:
    return Charge(
        id=_ID,
        code=model,
        billable_metric_id=_ID,
        billable_metric_code=_METRIC.code,
        charge_model=model,
        properties=PROPERTIES[model],
        created_at=_NOW,
    )


def _rate(charge: Charge) -> float:
    """Fees per second of CPU time."""
    buckets = [BucketUsage(units, int(units)) for units in UNITS]
    began = thread_time()
    for bucket in buckets:
        rate_charge(charge, _METRIC, bucket, "EUR")
    return FEES / (thread_time() - began)


def _rate_plan() -> float:
    """Milliseconds of CPU time for one invoice's worth of a wide plan."""
    charge = _charge("graduated")
    filters = tuple(
        ChargeFilter(
            id=UUID(int=number),
            values={"region": (str(number),)},
            properties=charge.properties,
            created_at=_NOW,
        )
        for number in range(FILTERS)
    )
    charge = msgspec.structs.replace(charge, filters=filters)
    used = [
        *(BucketUsage(units, 1, each.id) for units, each in zip(UNITS, filters, strict=False)),
        BucketUsage(UNITS[FILTERS], 1),
    ]
    began = thread_time()
    for _ in range(CHARGES):
        list(rate_buckets(charge, _METRIC, used, "EUR", _DAYS))
    return 1000 * (thread_time() - began)


def _floor() -> float:
    """One exact product and its rounding to cents: what any price has to do."""
    price = Decimal("0.0125")
    began = thread_time()
    for units in UNITS:
        to_minor(CONTEXT.multiply(units, price), "EUR")
    return FEES / (thread_time() - began)


def results() -> Iterator[Result]:
    floor = statistics.median(_floor() for _ in range(RUNS))
    for model in PROPERTIES:
        charge = _charge(model)
        yield Result.of(
            f"rating, {model}",
            "fees/s",
            [_rate(charge) for _ in range(RUNS)],
            floor=floor,
            goal=GOAL,
            note=f"{TIERS} ranges"
            if model in ("graduated", "graduated_percentage", "volume")
            else "",
        )
    credits = AppliedPricingUnit(code="credits", conversion_rate=Decimal("0.0375"))
    in_credits = msgspec.structs.replace(_charge("standard"), applied_pricing_unit=credits)
    yield Result.of(
        "rating, standard in a pricing unit",
        "fees/s",
        [_rate(in_credits) for _ in range(RUNS)],
        floor=floor,
        goal=GOAL,
    )
    yield Result.of(
        f"rating, {CHARGES} graduated charges with {FILTERS} filters each",
        "ms",
        [_rate_plan() for _ in range(RUNS)],
        floor=1000 * CHARGES * (FILTERS + 1) / floor,
        goal=PLAN_GOAL_MS,
    )


async def measure(folder: Path) -> AsyncIterator[Result]:
    """All figures of rating; nothing is written to `folder`."""
    for result in results():
        yield result


if __name__ == "__main__":
    for result in results():
        print(msgspec.json.encode(result).decode(), flush=True)
