"""What an event would cost at once, by itself (events.md §11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from catalog_kit import Catalog
from msgspec.structs import replace

from lago_engine.domain.catalog.entities import (
    ALL_VALUES,
    BillableMetric,
    Charge,
    ChargeFilter,
    MetricFilter,
    Plan,
)
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.rating.instant_estimates import (
    EstimatedEvent,
    eligible_charges,
    estimate_instant_fees,
)
from lago_engine.errors import ValidationFailed

NOW = datetime(2025, 6, 1, tzinfo=UTC)
METRIC = BillableMetric(
    id=UUID(int=1), code="storage", name="Storage", aggregation_type="sum_agg", created_at=NOW,
    field_name="gb", filters=(MetricFilter(key="region", values=("eu", "us")),),
)  # fmt: skip
CHARGE = Charge(
    id=UUID(int=2), code="storage", billable_metric_id=METRIC.id, billable_metric_code="storage",
    charge_model="percentage", created_at=NOW, pay_in_advance=True,
    properties={
        "rate": "1.5", "fixed_amount": "0.2",
        "per_transaction_min_amount": "1", "per_transaction_max_amount": "6",
    },
)  # fmt: skip
STANDARD = replace(CHARGE, charge_model="standard", properties={"amount": "0.07"})
PLAN = Plan(
    id=UUID(int=3), version=1, code="basic", name="Basic", interval="monthly", amount_cents=0,
    amount_currency="EUR", pay_in_advance=False, created_at=NOW, charges=(CHARGE,),
)  # fmt: skip
SUBSCRIPTION = Subscription(
    id=UUID(int=4), external_id="sub_42", plan_id=PLAN.id, plan_code="basic", status="active",
    billing_time="calendar", subscription_at=NOW, created_at=NOW, name="",
)  # fmt: skip
CUSTOMER = CustomerProfile(
    id=UUID(int=5), organization_id=UUID(int=6), external_id="cus_1", sequential_id=1, slug="ACM-1",
    billing_entity_code="acme", created_at=NOW, updated_at=NOW,
)  # fmt: skip


def fee(
    properties: dict[str, Any],
    charge: Charge = CHARGE,
    metric: BillableMetric = METRIC,
    currency: str = "EUR",
) -> dict[str, Any]:
    event = EstimatedEvent(code=metric.code, properties=properties, transaction_id="tx-1")
    plan = replace(PLAN, amount_currency=currency)
    (found,) = estimate_instant_fees(event, [(charge, metric)], plan, SUBSCRIPTION, CUSTOMER)
    return found


def test_the_worked_example() -> None:
    assert fee({"gb": 50}) == {
        "lago_id": None, "lago_charge_id": str(CHARGE.id), "lago_charge_filter_id": None,
        "lago_invoice_id": None, "lago_true_up_fee_id": None, "lago_true_up_parent_fee_id": None,
        "lago_subscription_id": str(SUBSCRIPTION.id), "external_subscription_id": "sub_42",
        "lago_customer_id": str(CUSTOMER.id), "external_customer_id": "cus_1",
        "item": {
            "type": "charge", "code": "storage", "name": "Storage", "description": None,
            "invoice_display_name": "Storage", "filters": None, "filter_invoice_display_name": None,
            "lago_item_id": str(METRIC.id), "item_type": "BillableMetric", "grouped_by": {},
        },
        "pay_in_advance": True, "invoiceable": True, "amount_cents": 100, "amount_currency": "EUR",
        "precise_amount": "1.0", "precise_total_amount": "1.0", "taxes_amount_cents": 0,
        "taxes_precise_amount": 0, "taxes_rate": 0, "total_amount_cents": 100,
        "total_amount_currency": "EUR", "units": "50.0", "description": None,
        "precise_unit_amount": "2.0", "precise_coupons_amount_cents": "0.0", "events_count": 1,
        "payment_status": "pending", "created_at": None, "succeeded_at": None, "failed_at": None,
        "refunded_at": None, "amount_details": None, "event_transaction_id": "tx-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("charge", "properties", "units", "amount_cents", "unit_cents"),
    [
        (CHARGE, {"gb": 500}, "500.0", 600, "1.2"),
        (CHARGE, {"gb": "100"}, "100.0", 170, "1.7"),
        (CHARGE, {}, "0.0", 100, "0.0"),
        (CHARGE, {"gb": -1}, "0.0", 0, "0.0"),
        (STANDARD, {"gb": Decimal("12.5")}, "12.5", 88, "7.04"),
        (STANDARD, {"gb": None}, "0.0", 0, "0.0"),
        (STANDARD, {"gb": Decimal("0.01")}, "0.01", 0, "0.0"),
        (STANDARD, {"gb": 3}, "3.0", 21, "7.0"),
    ],
)
def test_amounts(
    charge: Charge, properties: dict[str, Any], units: str, amount_cents: int, unit_cents: str
) -> None:
    found = fee(properties, charge)
    assert (found["units"], found["amount_cents"], found["precise_unit_amount"]) == (
        units,
        amount_cents,
        unit_cents,
    )
    assert found["total_amount_cents"] == amount_cents


def test_the_rounding_of_the_metric_and_metrics_without_a_field() -> None:
    rounding = replace(METRIC, rounding_function="ceil", rounding_precision=0)
    assert fee({"gb": "1.2"}, STANDARD, rounding)["units"] == "2.0"
    counting = replace(METRIC, aggregation_type="count_agg", field_name=None)
    assert fee({"gb": 12}, STANDARD, counting)["units"] == "1.0"


def test_a_currency_without_decimals() -> None:
    found = fee({"gb": 7}, replace(STANDARD, properties={"amount": "2.5"}), currency="JPY")
    assert (found["amount_cents"], found["precise_amount"]) == (18, "17.5")


@pytest.mark.parametrize(
    "value", ["abc", "1e3", "", " 5", "+5", True, [], {}, "9" * 61, 10**61, Decimal("1E+300")]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValidationFailed) as refused:
        fee({"gb": value})
    assert refused.value.details == {"properties": ["value_is_not_valid_number"]}


def test_the_filter_of_the_event_prices_it() -> None:
    def filter_(number: int, values: dict[str, tuple[str, ...]], price: str) -> ChargeFilter:
        return ChargeFilter(
            id=UUID(int=number), values=values, properties={"amount": price}, created_at=NOW
        )

    oldest = replace(filter_(12, {"region": ("eu",)}, "3"), created_at=NOW - timedelta(days=1))
    charge = replace(
        STANDARD,
        filters=(
            filter_(10, {"region": ALL_VALUES}, "1"),
            filter_(11, {"region": ("eu",)}, "2"),
            oldest,
        ),
    )
    for region, price, found in (("eu", 300, oldest.id), ("us", 100, UUID(int=10))):
        priced = fee({"gb": 1, "region": region}, charge)
        assert (priced["amount_cents"], priced["lago_charge_filter_id"]) == (price, str(found))
    default = fee({"gb": 1, "region": "mars"}, charge)
    assert (default["amount_cents"], default["lago_charge_filter_id"]) == (7, None)
    assert fee({"gb": 1, "region": "us"}, charge)["item"]["filters"] == {"region": ALL_VALUES}


def test_which_charges_take_part() -> None:
    catalog = Catalog()
    state = replace(catalog.state, metrics={METRIC.code: METRIC})
    others = (
        replace(CHARGE, pay_in_advance=False),
        replace(CHARGE, charge_model="package"),
        replace(CHARGE, billable_metric_id=UUID(int=99)),
    )
    plan = replace(PLAN, charges=(*others, STANDARD, CHARGE))
    assert [charge for charge, _ in eligible_charges(plan, state, "storage")] == [STANDARD, CHARGE]
    assert eligible_charges(plan, state, "unknown") == []
