"""Charges priced in a pricing unit: from its prices to money (charges §10)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.catalog.entities import AppliedPricingUnit, BillableMetric, Charge
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.decimals import precise, round_half_up
from lago_engine.domain.money import minor_units
from lago_engine.domain.rating.charge_fees import RatedCharge, rate_charge
from lago_engine.domain.rating.denomination import Denomination
from lago_engine.domain.rating.in_advance.counter import NOTHING_BILLED
from lago_engine.domain.rating.in_advance.rate import EventUsage, Pricing, rate_event

ID = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
METRIC = BillableMetric(id=ID, code="m", name="M", aggregation_type="sum_agg", created_at=NOW)


def credits(rate: str) -> AppliedPricingUnit:
    return AppliedPricingUnit(code="credits", conversion_rate=Decimal(rate))


def charge(amount: str, unit: AppliedPricingUnit | None) -> Charge:
    return Charge(
        id=ID, code="c", billable_metric_id=ID, billable_metric_code="m", created_at=NOW,
        charge_model="standard", properties={"amount": amount}, applied_pricing_unit=unit,
    )  # fmt: skip


def rate(units: str, amount: str, per_credit: str, currency: str) -> RatedCharge:
    return rate_charge(
        charge(amount, credits(per_credit)), METRIC, BucketUsage(Decimal(units), 1), currency
    )


@pytest.mark.parametrize(
    ("units", "amount", "per_credit", "currency", "in_credits", "cents", "precise_cents"),
    [
        ("12.345", "1", "0.5", "EUR", 1235, 618, "617.5"),
        ("12.344", "1", "0.5", "EUR", 1234, 617, "617"),
        # The unit is rounded first: 0.004 credits are none, whatever they were worth.
        ("4", "0.001", "1000", "EUR", 0, 0, "0"),
        ("5", "0.001", "1000", "EUR", 1, 1000, "1000"),
        ("12.345", "1", "0.5", "JPY", 1235, 6, "6.175"),
        ("12.345", "1", "100", "JPY", 1235, 1235, "1235"),
        ("12.345", "1", "0.5", "KWD", 1235, 6175, "6175"),
    ],
)
def test_units_are_rounded_then_converted(
    units: str,
    amount: str,
    per_credit: str,
    currency: str,
    in_credits: int,
    cents: int,
    precise_cents: str,
) -> None:
    rated = rate(units, amount, per_credit, currency)
    unit = rated.pricing_unit
    assert unit is not None
    assert (unit.amount_cents, rated.amount_cents) == (in_credits, cents)
    assert rated.precise_amount_cents == Decimal(precise_cents)
    assert (unit.code, unit.conversion_rate) == ("credits", Decimal(per_credit))


def test_the_price_of_a_unit_is_converted_uncut() -> None:
    rated = rate("100", "0.0617", "0.5", "EUR")
    assert rated.precise_unit_amount == Decimal("0.03085")
    assert rated.unit_amount_cents == 3
    unit = rated.pricing_unit
    assert unit is not None
    assert (unit.unit_amount_cents, unit.precise_unit_amount) == (6, Decimal("0.0617"))
    assert (unit.amount_cents, unit.precise_amount_cents) == (617, Decimal(617))
    assert rated.amount_cents == 309


amounts = st.decimals(min_value=0, max_value=10**9, places=6)
rates = st.decimals(min_value=Decimal("0.000001"), max_value=10**6, places=6)
currencies = st.sampled_from(["EUR", "JPY", "KWD", "CLF"])


@given(amount=amounts, rate=rates, currency=currencies)
def test_money_is_the_rounded_units_at_their_rate(
    amount: Decimal, rate: Decimal, currency: str
) -> None:
    priced = Denomination(currency, credits(str(rate))).priced(amount)
    assert priced.pricing_unit is not None
    with precise():
        hundredths = round_half_up(amount * 100)
        worth = Decimal(hundredths) * rate / 100 * minor_units(currency)
        assert priced.pricing_unit.amount_cents == hundredths
        assert priced.precise_amount_cents == worth
        assert priced.amount_cents == round_half_up(worth)


@given(amount=amounts)
def test_a_unit_at_par_with_a_currency_of_cents_is_that_currency(amount: Decimal) -> None:
    in_money = Denomination("EUR").priced(amount, amount)
    at_par = Denomination("EUR", credits("1")).priced(amount, amount)
    assert at_par.pricing_unit is not None
    for field in ("amount_cents", "unit_amount_cents", "precise_unit_amount"):
        assert getattr(at_par, field) == getattr(in_money, field)
        assert getattr(at_par.pricing_unit, field) == getattr(in_money, field)
    assert at_par.pricing_unit.precise_amount_cents == in_money.precise_amount_cents


def in_advance(model: Any, properties: dict[str, Any], currency: str, **event: Any) -> RatedCharge:
    pricing = Pricing(
        charge_model=model,
        properties=properties,
        metric=METRIC,
        prices=Denomination(currency, credits("0.5")),
    )
    return rate_event(pricing, EventUsage(events_count=1, **event), NOTHING_BILLED)[0]


@pytest.mark.parametrize(
    ("currency", "cents", "precise_cents", "unit_amount"),
    [("EUR", 618, "617.5", "0.500202511138113"), ("JPY", 6, "6.175", "0.500202511138113")],
)
def test_an_event_is_billed_the_same_way(
    currency: str, cents: int, precise_cents: str, unit_amount: str
) -> None:
    """Also in a currency without decimals; its unit amount is that of the rounded units."""
    units = Decimal("12.345")
    fee = in_advance("standard", {"amount": "1"}, currency, delta=units, units=units)
    assert (fee.amount_cents, fee.precise_amount_cents) == (cents, Decimal(precise_cents))
    assert fee.precise_unit_amount == Decimal(unit_amount)
    assert fee.pricing_unit is not None
    assert fee.pricing_unit.amount_cents == 1235


def test_a_dynamic_event_says_its_price_in_hundredths_of_the_unit() -> None:
    one = Decimal(1)
    price = {"precise_total_amount_cents": Decimal("1234.5")}
    fee = in_advance("dynamic", {}, "JPY", delta=one, units=one, **price)
    assert fee.pricing_unit is not None
    assert (fee.pricing_unit.amount_cents, fee.amount_cents) == (1235, 6)
