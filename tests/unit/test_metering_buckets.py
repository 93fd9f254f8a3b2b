"""Usage by charge, filter and group as the meter tells it, and computed properties on the way in."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import pytest

from lago_engine.metering import (
    BucketUsage,
    ExpressionResult,
    Meter,
    MeteredCharge,
    MeteredFilter,
    MeteredSubscription,
    Period,
    Window,
    evaluate_expression,
    expression_problem,
    scan_events,
)

ORGANIZATION, PLAN, CHARGE = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
EUROPE, SUBSCRIPTION = uuid.UUID(int=4), uuid.UUID(int=5)
DAY_US = 86_400_000_000
JUNE = 20_240 * DAY_US
WINDOW = Window(SUBSCRIPTION, JUNE, JUNE + 30 * DAY_US)
PERIOD = Period(until_us=JUNE + 30 * DAY_US - 1, days=30)


def metered(charge: MeteredCharge) -> Meter:
    meter = Meter(b"0123456789abcdef")
    meter.put_plan(PLAN, [charge])
    meter.put_subscription(
        MeteredSubscription(
            subscription_id=SUBSCRIPTION,
            organization_id=ORGANIZATION,
            external_id="s",
            stream_id=uuid.UUID(int=6),
            plan_key=PLAN,
            started_at_us=JUNE,
        )
    )
    assert meter.open_window(WINDOW)
    return meter


def use(meter: Meter, *properties: dict[str, object], day: int = 0) -> bytes:
    events = [
        {
            "transaction_id": str(uuid.uuid4()),
            "external_subscription_id": "s",
            "code": "storage",
            "timestamp": (JUNE + day * DAY_US) // 1_000_000,
            "properties": found,
        }
        for found in properties
    ]
    body = json.dumps({"events": events}).encode()
    assert meter.ingest(ORGANIZATION, body, single=False, now_us=JUNE).status == 200
    sealed = meter.seal(JUNE)
    meter.confirm()
    assert sealed.segment is not None
    return sealed.segment


def test_filters_come_in_order_and_groups_by_text_with_null_last() -> None:
    charge = MeteredCharge(
        charge_id=CHARGE,
        metric_code="storage",
        aggregation_type="sum_agg",
        field_name="gb",
        pricing_group_keys=("region", "tier"),
        filters=(MeteredFilter(filter_id=EUROPE, values={"region": ("eu", "uk")}),),
    )
    meter = metered(charge)
    nothing = [
        BucketUsage(CHARGE, EUROPE, (), Decimal(0), 0, Decimal(0)),
        BucketUsage(CHARGE, None, (None, None), Decimal(0), 0, Decimal(0)),
    ]
    assert meter.read_window(WINDOW) == nothing
    use(
        meter,
        {"gb": 2, "region": "uk"},
        {"gb": 1, "region": "us", "tier": ""},
        {"gb": 7, "tier": 5},
        {"gb": "4.5", "region": "us", "tier": "gold"},
        {"gb": "none", "region": "asia"},
        {"gb": 1, "region": "us", "tier": "gold"},
    )
    rows = meter.read_window(WINDOW)
    assert rows is not None
    assert [(row.filter_id, row.group, row.units, row.events_count) for row in rows] == [
        (EUROPE, (), Decimal(2), 1),
        (None, ("us", "gold"), Decimal("5.5"), 2),
        (None, ("us", None), Decimal(1), 1),
        (None, (None, "5"), Decimal(7), 1),
    ]


def test_a_recurring_weighted_sum_starts_from_everything_before() -> None:
    charge = MeteredCharge(
        charge_id=CHARGE,
        metric_code="storage",
        aggregation_type="weighted_sum_agg",
        field_name="gb",
        recurring=True,
        pricing_group_keys=("region",),
    )
    meter = metered(charge)
    use(meter, {"gb": 3, "region": "eu"}, day=-10)
    use(meter, {"gb": 10, "region": "eu"}, day=15)
    with pytest.raises(ValueError, match="period"):
        meter.read_window(WINDOW)
    use(meter, {"gb": "2.5"}, day=-10)
    assert meter.read_window(WINDOW, PERIOD) == [
        BucketUsage(CHARGE, None, ("eu",), Decimal(8), 1, Decimal(13)),
        BucketUsage(CHARGE, None, (None,), Decimal("2.5"), 0, Decimal("2.5")),
    ]


def test_memory_of_groups_is_counted() -> None:
    charge = MeteredCharge(
        charge_id=CHARGE,
        metric_code="storage",
        aggregation_type="count_agg",
        pricing_group_keys=("id",),
    )
    meter = metered(charge)
    before = meter.stats().window_bytes
    use(meter, *[{"id": f"group {n}"} for n in range(100)])
    grown = meter.stats().window_bytes - before
    assert 100 * 50 < grown < 100 * 500
    use(meter, {"id": "group 7"})
    assert meter.stats().window_bytes - before == grown
    restored = Meter.restore(b"0123456789abcdef", meter.snapshot())
    assert restored.stats().window_bytes - before == grown


def test_an_expression_computes_the_property_and_the_log_keeps_both() -> None:
    charge = MeteredCharge(
        charge_id=CHARGE, metric_code="storage", aggregation_type="sum_agg", field_name="gb"
    )
    meter = metered(charge)
    meter.put_metric(ORGANIZATION, "storage", "gb", "event.properties.mb / 1000")
    segment = use(meter, {"mb": 350, "gb": 9})
    meter.put_metric(ORGANIZATION, "storage", "gb", None)
    use(meter, {"gb": 1})
    rows = meter.read_window(WINDOW)
    assert rows is not None
    assert rows[0].units == Decimal("1.35")
    shown = [
        json.loads(scan_events(ORGANIZATION, [segment], as_sent=as_sent)[1])[0]["properties"]
        for as_sent in (False, True)
    ]
    assert shown == [{"mb": 350, "gb": "0.35"}, {"mb": 350, "gb": 9}]


@pytest.mark.parametrize(
    ("single", "details"),
    [
        (True, "expression_evaluation_failed: Variable: mb not found"),
        (False, {"0": "expression_evaluation_failed: Variable: mb not found"}),
    ],
)
def test_a_failing_expression_refuses_the_event_before_anything_is_missed(
    single: bool, details: object
) -> None:
    meter = Meter(b"0123456789abcdef")
    meter.put_metric(ORGANIZATION, "storage", "gb", "event.properties.mb / 1000")
    body = b'{"event":{"code":"storage"}}' if single else b'{"events":[{"code":"storage"}]}'
    answer = meter.ingest(ORGANIZATION, body, single=single, now_us=JUNE)
    assert answer.status == 422
    assert json.loads(answer.body)["error_details"] == details


def test_expressions_are_checked_and_evaluated() -> None:
    assert expression_problem("round(event.properties.a, 2)") is None
    assert expression_problem("round(event.properties.a, 2") == (
        "expected a closing parenthesis at byte 27"
    )
    for properties, result in [
        (b'{"a":"1.005"}', ExpressionResult("1.01", None)),
        (b'{"a":12}', ExpressionResult("12.0", None)),
        (b'{"a":"x"}', ExpressionResult(None, "Expected a decimal")),
        (b"{}", ExpressionResult(None, "Variable: a not found")),
    ]:
        found = evaluate_expression(
            "round(event.properties.a, 2)", code="c", timestamp_us=0, properties=properties
        )
        assert found == result
