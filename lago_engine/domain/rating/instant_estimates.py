"""What an event would cost at once, by itself: no aggregation, free units, tiers or taxes (events.md §11).

Charges that are paid in advance and priced by a standard or a percentage model take part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import (
    ALL_VALUES,
    BillableMetric,
    Charge,
    ChargeFilter,
    Plan,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.decimals import (
    CONTEXT,
    DIGITS_MAX,
    parse_decimal,
    quantize_to,
    to_wire,
)
from lago_engine.domain.money import PRECISE_PLACES, precise_major
from lago_engine.domain.rating.assignment import assigned_filter
from lago_engine.domain.rating.charge_models.amounts import optional_amount, per_unit, percent_of
from lago_engine.domain.rating.denomination import Denomination
from lago_engine.domain.rating.rounding import round_units
from lago_engine.errors import ValidationFailed

MODELS: Final = ("standard", "percentage")
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TEXT_MAX: Final = 1000
_DECIMALS_MAX: Final = 130
_ZERO: Final = Decimal(0)


class EstimatedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is not stored. properties: as sent, numbers are int or Decimal."""

    code: str
    properties: Mapping[str, Any]
    transaction_id: str | None = None


def eligible_charges(
    plan: Plan, organization: OrganizationState, code: str
) -> list[tuple[Charge, BillableMetric]]:
    """The charges of a plan that would bill an event with this code at once, in plan order."""
    metric = organization.metrics.get(code)
    if metric is None:
        return []
    return [
        (charge, metric)
        for charge in plan.charges
        if charge.billable_metric_id == metric.id
        and charge.pay_in_advance
        and charge.charge_model in MODELS
    ]


def estimate_instant_fees(
    event: EstimatedEvent,
    charges: Sequence[tuple[Charge, BillableMetric]],
    plan: Plan,
    subscription: Subscription,
    customer: CustomerProfile,
) -> Iterator[dict[str, Any]]:
    """One `fee` object per charge. Raises ValidationFailed for a property that is no number."""
    for charge, metric in charges:
        filter_ = _filter_of(charge, metric, event.properties)
        properties = charge.properties if filter_ is None else filter_.properties
        units = _units(metric, event.properties)
        amount = _ZERO if units < 0 else _amount(charge.charge_model, max(units, _ZERO), properties)
        yield {
            **_parties(subscription, customer),
            **_item(charge, metric, filter_),
            **_amounts(max(units, _ZERO), amount, Denomination.of(charge, plan.amount_currency)),
            "pay_in_advance": True,
            "invoiceable": charge.invoiceable,
            "event_transaction_id": event.transaction_id,
        }


def _units(metric: BillableMetric, properties: Mapping[str, Any]) -> Decimal:
    """The property of the metric, rounded as it asks; 0 without the property, 1 if the metric has none."""
    if metric.field_name is None:
        return Decimal(1)
    value = properties.get(metric.field_name)
    units = _ZERO if value is None else metered_number(value)
    return round_units(units, metric.rounding_function, metric.rounding_precision)


def metered_number(value: Any) -> Decimal:
    """What metering takes for a number (metrics.md §4). Raises ValidationFailed."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    is_plain = isinstance(value, str) and len(value) <= _TEXT_MAX and _PLAIN_NUMBER.fullmatch(value)
    if is_number or is_plain:
        number = Decimal(value)
        decimals = -int(number.normalize(CONTEXT).as_tuple().exponent)
        if number.adjusted() < DIGITS_MAX and decimals <= _DECIMALS_MAX:
            return number
    raise ValidationFailed.of("properties", "value_is_not_valid_number")


def _amount(model: str, units: Decimal, properties: Mapping[str, Any]) -> Decimal:
    """Major currency units, not rounded."""
    if model == "standard":
        return CONTEXT.multiply(units, parse_decimal(properties["amount"]))
    fixed = optional_amount(properties, "fixed_amount") or _ZERO
    amount = CONTEXT.add(percent_of(units, parse_decimal(properties["rate"])), fixed)
    low = optional_amount(properties, "per_transaction_min_amount")
    high = optional_amount(properties, "per_transaction_max_amount")
    if low is not None:
        amount = max(amount, low)
    return amount if high is None else min(amount, high)


def _filter_of(
    charge: Charge, metric: BillableMetric, properties: Mapping[str, Any]
) -> ChargeFilter | None:
    """The event's filter; of identical ones the oldest, which takes all of them."""
    values = [_values(filter_, metric) for filter_ in charge.filters]
    index = assigned_filter(values, properties)
    if index is None:
        return None
    same = [f for f, each in zip(charge.filters, values, strict=True) if each == values[index]]
    return min(same, key=lambda filter_: filter_.created_at)


def _values(filter_: ChargeFilter, metric: BillableMetric) -> dict[str, frozenset[str]]:
    return {
        key: frozenset(metric.values_of(key) if values == ALL_VALUES else values)
        for key, values in filter_.values.items()
    }


def _parties(subscription: Subscription, customer: CustomerProfile) -> dict[str, Any]:
    return {
        "lago_id": None,
        "lago_invoice_id": None,
        "lago_true_up_fee_id": None,
        "lago_true_up_parent_fee_id": None,
        "lago_subscription_id": str(subscription.id),
        "external_subscription_id": subscription.external_id,
        "lago_customer_id": str(customer.id),
        "external_customer_id": customer.external_id,
        "created_at": None,
        "succeeded_at": None,
        "failed_at": None,
        "refunded_at": None,
        "description": None,
        "amount_details": None,
        "payment_status": "pending",
    }


def _item(charge: Charge, metric: BillableMetric, filter_: ChargeFilter | None) -> dict[str, Any]:
    return {
        "lago_charge_id": str(charge.id),
        "lago_charge_filter_id": None if filter_ is None else str(filter_.id),
        "item": {
            "type": "charge",
            "code": metric.code,
            "name": metric.name,
            "description": metric.description,
            "invoice_display_name": charge.invoice_display_name or metric.name,
            "filters": None if filter_ is None else filter_.values,
            "filter_invoice_display_name": None if filter_ is None else filter_.display_name,
            "lago_item_id": str(metric.id),
            "item_type": "BillableMetric",
            "grouped_by": {},
        },
    }


def _amounts(units: Decimal, amount: Decimal, prices: Denomination) -> dict[str, Any]:
    """`precise_unit_amount` is in minor units, as nowhere else (events.md §11)."""
    currency, money = prices.currency, prices.priced(amount)
    amount_cents = money.amount_cents
    unit_cents = per_unit(Decimal(amount_cents), units)
    exact = to_wire(precise_major(money.precise_amount_cents, currency))
    return {
        "units": to_wire(units),
        "events_count": 1,
        "amount_cents": amount_cents,
        "amount_currency": currency,
        "precise_amount": exact,
        "precise_total_amount": exact,
        "taxes_amount_cents": 0,
        "taxes_precise_amount": 0,
        "taxes_rate": 0,
        "total_amount_cents": amount_cents,
        "total_amount_currency": currency,
        "precise_unit_amount": to_wire(quantize_to(unit_cents, PRECISE_PLACES)),
        "precise_coupons_amount_cents": "0.0",
    }
