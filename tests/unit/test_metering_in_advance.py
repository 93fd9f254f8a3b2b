"""Usage that waits to be billed: what metering keeps of it, from the open window, from the log, and over a snapshot."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import pytest

from lago_engine.metering import (
    Meter,
    MeteredCharge,
    MeteredSubscription,
    PendingUsage,
    UsageChange,
    Window,
)

SECRET = b"0123456789abcdef"
ORGANIZATION, PLAN, SUBSCRIPTION, STREAM = (uuid.UUID(int=n) for n in range(1, 5))
SUM, SEATS = uuid.UUID(int=5), uuid.UUID(int=6)
SECOND_US = 1_000_000
WINDOW = Window(SUBSCRIPTION, 100 * SECOND_US, 200 * SECOND_US)


def meter() -> Meter:
    made = Meter(SECRET)
    charges = [
        MeteredCharge(
            charge_id=SUM, metric_code="use", aggregation_type="sum_agg", field_name="gb",
            pricing_group_keys=("region",), pay_in_advance=True,
        ),
        MeteredCharge(
            charge_id=SEATS, metric_code="use", aggregation_type="unique_count_agg",
            field_name="seat", pay_in_advance=True,
        ),
    ]  # fmt: skip
    made.put_plan(PLAN, charges)
    made.put_subscription(
        MeteredSubscription(
            subscription_id=SUBSCRIPTION,
            organization_id=ORGANIZATION,
            external_id="s",
            stream_id=STREAM,
            plan_key=PLAN,
            started_at_us=0,
            terminated_at_us=500 * SECOND_US,
        )
    )
    return made


def commit(to: Meter, *events: dict[str, object], at: float = 150) -> bytes:
    """One commit with these properties; its segment."""
    number = to.stats().events
    sent = [
        {"transaction_id": f"t{number + n}", "external_subscription_id": "s", "code": "use",
         "timestamp": str(at), "properties": properties}
        for n, properties in enumerate(events)
    ]  # fmt: skip
    to.ingest(ORGANIZATION, json.dumps({"events": sent}).encode(), single=False, now_us=SECOND_US)
    sealed = to.seal(SECOND_US)
    to.confirm()
    return sealed.segment or b""


def waiting(of: Meter) -> list[PendingUsage]:
    return of.pending_usage(SUBSCRIPTION, after=None, limit=100)


USAGE = (
    {"gb": 2, "region": "eu", "seat": "A"},
    {"gb": "3.5", "region": "eu", "seat": ""},
    {"gb": "x", "seat": "A"},
    {"gb": -1, "region": "eu", "seat": "B"},
    {"seat": "A", "operation_type": "remove"},
)


def test_an_open_window_and_the_log_tell_the_same() -> None:
    live, late = meter(), meter()
    assert live.open_window(WINDOW)
    segments = [
        [commit(each, USAGE[0], USAGE[1]), commit(each, *USAGE[2:])] for each in (live, late)
    ]
    assert [record.change for record in waiting(late)] == [None] * len(waiting(live))
    late.trace_window(WINDOW, segments[1][:1])
    assert [record.change is None for record in waiting(late)] == [False] * 3 + [True] * 4
    late.trace_window(WINDOW, segments[1])
    assert waiting(late) == waiting(live)
    changes = [record.change for record in waiting(live) if record.charge_id == SUM]
    assert changes == [
        UsageChange(window=WINDOW, delta=Decimal(d), units=Decimal(u), events_count=n)
        for d, u, n in (("2", "2", 1), ("3.5", "5.5", 2), ("-1", "4.5", 3))
    ]
    seats = [
        record.change.delta
        for record in waiting(live)
        if record.charge_id == SEATS and record.change
    ]
    assert seats == [1, 0, 1, -1]


def test_what_waits_outlasts_a_restart_until_it_is_billed() -> None:
    live = meter()
    live.open_window(WINDOW)
    commit(live, *USAGE)
    restored = Meter.restore(SECRET, live.snapshot())
    assert waiting(restored) == waiting(live)
    assert restored.pending_subscriptions(10) == [SUBSCRIPTION]
    first, second, *_ = waiting(restored)
    assert restored.pending_usage(SUBSCRIPTION, after=first.place, limit=1) == [second]
    restored.drop_pending(SUBSCRIPTION, second.place)
    assert waiting(restored) == waiting(live)[2:]
    restored.drop_pending(SUBSCRIPTION, waiting(live)[-1].place)
    assert (restored.pending_subscriptions(10), restored.pending_in_advance) == ([], 0)


def test_usage_outside_the_subscription_is_never_billed() -> None:
    live = meter()
    commit(live, {"gb": 1}, at=500)
    assert waiting(live) == []


def test_what_an_event_would_change_leaves_everything_as_it_is() -> None:
    live = meter()
    live.open_window(WINDOW)
    commit(live, USAGE[0])
    before = live.read_window(WINDOW), waiting(live)
    event = {
        "transaction_id": "x",
        "code": "use",
        "properties": {"gb": 1, "region": "eu", "seat": "A"},
    }
    found = live.probe_window(WINDOW, json.dumps(event).encode(), timestamp_us=160 * SECOND_US)
    assert found is not None
    assert [(record.change.delta, record.change.units) for record in found if record.change] == [
        (1, 3),
        (0, 1),
    ]
    assert (live.read_window(WINDOW), waiting(live)) == before


def test_averages_cannot_be_billed_at_once() -> None:
    charge = MeteredCharge(
        charge_id=SUM,
        metric_code="use",
        aggregation_type="max_agg",
        field_name="gb",
        pay_in_advance=True,
    )
    with pytest.raises(ValueError, match="in advance"):
        Meter(SECRET).put_plan(uuid.UUID(int=9), [charge])
