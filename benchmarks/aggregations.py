"""The metering core alone, on one thread: what each aggregation, charge filters and groups cost per event.

Taking events in (parsed, de-duplicated, packed, folded into an open window) and folding the stored log again. Events
have about 165 bytes; commits have 10,000. The floors of the same run: a plan without charges.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

from benchmarks.report import Result
from lago_engine.metering import (
    Meter,
    MeteredCharge,
    MeteredFilter,
    MeteredSubscription,
    Window,
)

RUNS: Final = 3
EVENTS: Final = 300_000
EVENTS_PER_BODY: Final = 100
BODIES_PER_COMMIT: Final = 100
FOLD_GOAL: Final = 3_300_000
GROUPS: Final = 1_000
FILTERS: Final = 10

ORGANIZATION: Final = UUID(int=1)
SUBSCRIPTION: Final = UUID(int=2)
PLAN: Final = UUID(int=3)
NOW_US: Final = 1_750_000_000_000_000
WINDOW: Final = Window(SUBSCRIPTION, 0, 2 * NOW_US)
_SECRET: Final = b"0123456789abcdef"


def _charge(
    aggregation_type: str,
    *,
    groups: Sequence[str] = (),
    filters: Sequence[MeteredFilter] = (),
) -> MeteredCharge:
    return MeteredCharge(
        charge_id=UUID(int=4),
        metric_code="storage",
        aggregation_type=aggregation_type,
        field_name=None if aggregation_type == "count_agg" else "gb",
        pricing_group_keys=tuple(groups),
        filters=tuple(filters),
    )


_FILTERS: Final = [
    MeteredFilter(filter_id=UUID(int=10 + number), values={"key": (str(number),)})
    for number in range(FILTERS)
]
PLANS: Final[Mapping[str, Sequence[MeteredCharge]]] = {
    **{
        name.removesuffix("_agg").replace("_", " "): [_charge(name)]
        for name in (
            "count_agg",
            "sum_agg",
            "max_agg",
            "latest_agg",
            "unique_count_agg",
            "weighted_sum_agg",
        )
    },
    f"sum with {FILTERS} filters": [_charge("sum_agg", filters=_FILTERS)],
    f"sum in groups of a key with {GROUPS:,} values": [_charge("sum_agg", groups=["key"])],
}


def _bodies() -> list[bytes]:
    def event(index: int) -> dict[str, object]:
        return {
            "transaction_id": f"tx-{index:012d}",
            "external_subscription_id": "sub_000000",
            "code": "storage",
            "timestamp": 1_750_000_000 + index % 1000,
            "properties": {"gb": str(index % 997), "key": str(index * 7919 % GROUPS)},
        }

    return [
        json.dumps(
            {"events": [event(start + i) for i in range(EVENTS_PER_BODY)]}, separators=(",", ":")
        ).encode()
        for start in range(0, EVENTS, EVENTS_PER_BODY)
    ]


def _take_in(
    bodies: Sequence[bytes], charges: Sequence[MeteredCharge]
) -> tuple[float, list[bytes]]:
    """(Events per second, the segments written.)"""
    meter = Meter(_SECRET)
    meter.put_plan(PLAN, charges)
    meter.put_subscription(
        MeteredSubscription(
            subscription_id=SUBSCRIPTION,
            organization_id=ORGANIZATION,
            external_id="sub_000000",
            stream_id=UUID(int=5),
            plan_key=PLAN,
            started_at_us=0,
        )
    )
    meter.open_window(WINDOW)
    segments = []
    began = perf_counter()
    for number, body in enumerate(bodies, 1):
        meter.ingest(ORGANIZATION, body, single=False, now_us=NOW_US)
        if number % BODIES_PER_COMMIT == 0:
            segments.append(meter.seal(NOW_US).segment or b"")
            meter.confirm()
    return EVENTS / (perf_counter() - began), segments


def _fold(segments: Sequence[bytes], charges: Sequence[MeteredCharge]) -> float:
    """Events per second, cold."""
    began = perf_counter()
    fold = Meter(_SECRET).usage_fold()
    fold.select(ORGANIZATION, "sub_000000", WINDOW.from_us, WINDOW.to_us, fold.plan(charges))
    fold.feed(segments)
    return EVENTS / (perf_counter() - began)


def results() -> Iterator[Result]:
    bodies = _bodies()
    taken = [_take_in(bodies, []) for _ in range(RUNS)]
    segments = taken[0][1]
    in_floor = statistics.median(rate for rate, _ in taken)
    fold_floor = statistics.median(_fold(segments, []) for _ in range(RUNS))
    for name, charges in PLANS.items():
        yield Result.of(
            f"core, events in: {name}",
            "events/s",
            [_take_in(bodies, charges)[0] for _ in range(RUNS)],
            floor=in_floor,
            note="one thread; floor: no charges",
        )
        yield Result.of(
            f"core, log folded: {name}",
            "events/s",
            [_fold(segments, charges) for _ in range(RUNS)],
            floor=fold_floor,
            goal=FOLD_GOAL,
            note="one thread; floor: no charges",
        )


async def measure(folder: Path) -> AsyncIterator[Result]:
    """All figures; nothing is written to `folder`."""
    for result in results():
        yield result
