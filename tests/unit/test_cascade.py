"""What a child plan takes over from its parent (plans.md §11.2), row by row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from catalog_kit import NOW
from msgspec.structs import replace

from lago_engine.domain import ids
from lago_engine.domain.catalog.cascade import cascaded
from lago_engine.domain.catalog.entities import (
    AppliedPricingUnit,
    BillableMetric,
    Charge,
    ChargeFilter,
    FixedCharge,
    MetricFilter,
    Plan,
)
from lago_engine.domain.catalog.plan_overrides import copied


def make_id(name: str) -> UUID:
    return ids.derive("cascade", name)


EU = ChargeFilter(
    id=make_id("eu"), values={"region": ("eu",)}, properties={"amount": "1"}, created_at=NOW
)
US = replace(EU, id=make_id("us"), values={"region": ("us",)}, properties={"amount": "2"})
REGION = MetricFilter(key="region", values=("eu", "us"))
METRIC = BillableMetric(
    id=make_id("metric"), code="calls", name="Calls", aggregation_type="count_agg",
    created_at=NOW, filters=(REGION,),
)  # fmt: skip
METRICS = {METRIC.id: METRIC}
CHARGE = Charge(
    id=make_id("charge"), code="calls", billable_metric_id=make_id("metric"),
    billable_metric_code="calls", charge_model="standard", properties={"amount": "2"},
    created_at=NOW, filters=(EU,),
)  # fmt: skip
SEAT = FixedCharge(
    id=make_id("seat"), code="seat", add_on_id=make_id("add-on"), add_on_code="seat",
    charge_model="standard", properties={"amount": "5"}, created_at=NOW, units=Decimal(3),
)  # fmt: skip
PARENT = Plan(
    id=make_id("plan"), version=1, code="basic", name="Basic", interval="monthly",
    amount_cents=1000, amount_currency="EUR", pay_in_advance=False, created_at=NOW,
    charges=(CHARGE,), fixed_charges=(SEAT,),
)  # fmt: skip
CHILD = copied(PARENT, subscription_id=make_id("subscription"), now=NOW)


def after(child: Plan = CHILD, **changes: Any) -> Plan:
    """The child after its parent changed so."""
    return cascaded(child, PARENT, replace(PARENT, version=2, **changes), METRICS, now=NOW)


def priced(child: Plan = CHILD, **changes: Any) -> Plan:
    """A child with another charge."""
    return replace(child, charges=(replace(child.charges[0], **changes),))


def filtered(**changes: Any) -> Plan:
    return priced(filters=(replace(CHILD.charges[0].filters[0], **changes),))


def test_what_never_cascades_leaves_the_same_child() -> None:
    changes = {"name": "Other", "trial_period": Decimal(5), "interval": "yearly", "tax_ids": ()}
    assert after(**changes) is CHILD


@pytest.mark.parametrize(("own", "expected"), [(1000, 2000), (999, 999)])
def test_the_price_of_the_plan(own: int, expected: int) -> None:
    assert after(replace(CHILD, amount_cents=own), amount_cents=2000).amount_cents == expected


def test_a_new_charge_is_copied_once() -> None:
    new = replace(CHARGE, id=make_id("new"), code="new", tax_ids=(make_id("tax"),))
    child = after(charges=(CHARGE, new))
    made = child.charges[1]
    assert (made.parent_id, made.code, made.tax_ids) == (new.id, "new", ())
    assert made.id != new.id
    assert after(child, charges=(CHARGE, new)) is child


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"amount": "2"}, {"amount": "3", "pricing_group_keys": ["cloud"]}),
        ({"amount": "2.00"}, {"amount": "3", "pricing_group_keys": ["cloud"]}),
        ({"amount": "9"}, {"amount": "9", "pricing_group_keys": ["cloud"]}),
    ],
)
def test_properties_follow_where_they_were_the_parents(
    own: dict[str, Any], expected: dict[str, Any]
) -> None:
    new = {"amount": "3", "pricing_group_keys": ["cloud"]}
    changed = replace(CHARGE, properties=new, code="renamed", invoice_display_name="Other")
    charge = after(priced(properties=own), charges=(changed,)).charges[0]
    assert (charge.properties, charge.code) == (expected, "renamed")
    assert charge.invoice_display_name is None


def test_group_keys_that_the_parent_gave_up_go() -> None:
    own = priced(properties={"amount": "9", "pricing_group_keys": ["cloud"]})
    changed = replace(CHARGE, properties={"amount": "3"})
    assert after(own, charges=(changed,)).charges[0].properties == {"amount": "9"}


def test_a_charge_of_another_model_is_left_alone() -> None:
    changed = replace(CHARGE, charge_model="volume", properties={}, code="renamed")
    assert after(charges=(changed,)) is CHILD


def test_a_deleted_charge_goes_and_own_ones_stay() -> None:
    own = replace(CHARGE, id=make_id("own"), parent_id=make_id("long gone"))
    child = replace(CHILD, charges=(*CHILD.charges, own))
    assert after(child, charges=()).charges == (own,)


def test_a_new_filter_is_copied_where_there_is_none_like_it() -> None:
    changed = replace(CHARGE, filters=(EU, US))
    first, second = after(charges=(changed,)).charges[0].filters
    assert (first, second.values) == (CHILD.charges[0].filters[0], US.values)
    own = replace(US, id=make_id("own us"), properties={"amount": "7"})
    child = priced(filters=(*CHILD.charges[0].filters, own))
    assert after(child, charges=(changed,)) is child


@pytest.mark.parametrize(
    ("own", "expected", "name"),
    [({"amount": "1.0"}, {"amount": "8"}, "Europe"), ({"amount": "6"}, {"amount": "6"}, None)],
)
def test_a_filter_follows_where_it_was_the_parents(
    own: dict[str, Any], expected: dict[str, Any], name: str | None
) -> None:
    changed = replace(EU, properties={"amount": "8"}, invoice_display_name="Europe")
    child = after(filtered(properties=own), charges=(replace(CHARGE, filters=(changed,)),))
    (filter_,) = child.charges[0].filters
    assert (filter_.properties, filter_.invoice_display_name) == (expected, name)


def test_a_deleted_filter_goes() -> None:
    assert after(charges=(replace(CHARGE, filters=()),)).charges[0].filters == ()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, (Decimal(7), {"amount": "6"})),
        ({"units": Decimal(4)}, (Decimal(4), {"amount": "5"})),
        ({"properties": {"amount": "1"}}, (Decimal(3), {"amount": "1"})),
    ],
)
def test_fixed_charges_follow_whole_or_not_at_all(own: dict[str, Any], expected: Any) -> None:
    child = replace(CHILD, fixed_charges=(replace(CHILD.fixed_charges[0], **own),))
    changed = replace(SEAT, units=Decimal(7), properties={"amount": "6"})
    (fixed_charge,) = after(child, fixed_charges=(changed,)).fixed_charges
    assert (fixed_charge.units, fixed_charge.properties) == expected
    assert after(child, fixed_charges=()).fixed_charges == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"region": ("us", "asia"), "tier": ("gold",)}, {"region": ("us",)}),
        ({"region": ("__ALL_FILTER_VALUES__",)}, {"region": ("__ALL_FILTER_VALUES__",)}),
        ({"region": ("asia",)}, None),
        ({"region": ("eu", "asia")}, None),
    ],
)
def test_a_new_filter_comes_without_the_values_that_the_metric_lost(
    given: dict[str, tuple[str, ...]], expected: dict[str, tuple[str, ...]] | None
) -> None:
    """Nothing comes when nothing is left, or what is left is priced already."""
    new = replace(US, values=given)
    child = after(charges=(replace(CHARGE, filters=(EU, new)),))
    values = [filter_.values for filter_ in child.charges[0].filters]
    assert values == [EU.values, *([expected] if expected else [])]


def test_a_new_charge_comes_without_the_values_that_the_metric_lost() -> None:
    new = replace(CHARGE, id=make_id("new"), filters=(replace(EU, values={"region": ("asia",)}),))
    assert after(charges=(CHARGE, new)).charges[1].filters == ()


@pytest.mark.parametrize(("own", "expected"), [("0.5", "0.7"), ("0.50", "0.7"), ("0.4", "0.4")])
def test_the_rate_of_a_pricing_unit_follows_where_it_was_the_parents(
    own: str, expected: str
) -> None:
    def in_credits(charge: Charge, rate: str) -> Charge:
        applied = AppliedPricingUnit(code="credits", conversion_rate=Decimal(rate))
        return replace(charge, applied_pricing_unit=applied)

    parent = replace(PARENT, charges=(in_credits(CHARGE, "0.5"),))
    child = replace(CHILD, charges=(in_credits(CHILD.charges[0], own),))
    changed = replace(parent, version=2, charges=(in_credits(CHARGE, "0.7"),))
    charge = cascaded(child, parent, changed, METRICS, now=NOW).charges[0]
    assert charge.applied_pricing_unit is not None
    assert charge.applied_pricing_unit.conversion_rate == Decimal(expected)
