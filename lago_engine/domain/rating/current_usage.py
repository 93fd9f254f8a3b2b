"""Usage of the running period, priced: the `customer_usage` object (metrics.md §11.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import ChargeUsage, UsageReader
from lago_engine.domain.customer.settings import fee_taxes, period_subject
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.windows import running_windows
from lago_engine.domain.decimals import precise, round_half_up, to_wire
from lago_engine.domain.rating.charge_fees import RatedCharge, rate_charge
from lago_engine.domain.timezones import local_date
from lago_engine.errors import NotFound

CHARGE_FILTERS = ("charge_id", "charge_code", "billable_metric_code")
"""Query parameters that restrict the charges; the first one present wins."""


def current_usage(
    state: CustomerState,
    organization: OrganizationState,
    subscription: Subscription,
    *,
    now: datetime,
    usage: UsageReader,
    apply_taxes: bool,
    charge_filter: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Every charge of the plan with its units and amount so far, zero usage included.

    Raises NotFound("charge") when a filter matches nothing.
    """
    plan = organization.plans_by_id[subscription.plan_id]
    owner = organization.organization
    subject = period_subject(subscription, plan, state.profile, owner)
    at = max(now, subject.start)
    windows = running_windows(subject, subscription, state.profile, owner, at)
    start, end = windows.charges_from, windows.charges_to
    assert start is not None
    assert end is not None
    used = usage(subscription.id, start, end) if plan.charges else {}
    rated = list(_rated(plan, organization, used, charge_filter))
    if charge_filter and not rated:
        raise NotFound("charge")
    amount = sum(item.amount_cents for _, _, item in rated)
    taxes = 0
    if apply_taxes:
        for charge, _, item in rated:
            with precise():
                rate = sum(
                    (t.rate for t in fee_taxes(organization, state.profile, plan, charge)),
                    Decimal(0),
                )
                taxes += round_half_up(item.amount_cents * rate / 100)
    return {
        "from_datetime": _instant(start),
        "to_datetime": _instant(end),
        "issuing_date": local_date(end, subject.tz).isoformat(),
        "currency": plan.amount_currency,
        "amount_cents": amount,
        "total_amount_cents": amount + taxes,
        "taxes_amount_cents": taxes,
        "lago_invoice_id": None,
        "charges_usage": [_charge_usage(plan, *item) for item in rated],
    }


def _rated(
    plan: Plan,
    organization: OrganizationState,
    used: Mapping[Any, ChargeUsage],
    charge_filter: Mapping[str, str] | None,
) -> Iterator[tuple[Charge, BillableMetric, RatedCharge]]:
    """Charges priced, by metric name, or in plan order when they are filtered."""
    pairs = [(c, organization.metrics_by_id[c.billable_metric_id]) for c in plan.charges]
    if charge_filter:
        pairs = [pair for pair in pairs if _matches(*pair, charge_filter)]
    else:
        pairs.sort(key=lambda pair: pair[1].name.lower())
    for charge, metric in pairs:
        bucket = used[charge.id]
        yield (
            charge,
            metric,
            rate_charge(
                charge,
                metric,
                units=bucket.units,
                events_count=bucket.events_count,
                currency=plan.amount_currency,
            ),
        )


def _matches(charge: Charge, metric: BillableMetric, wanted: Mapping[str, str]) -> bool:
    for name, value in zip(CHARGE_FILTERS, (str(charge.id), charge.code, metric.code), strict=True):
        if name in wanted:
            return wanted[name] == value
    return True


def _charge_usage(
    plan: Plan, charge: Charge, metric: BillableMetric, rated: RatedCharge
) -> dict[str, Any]:
    units = to_wire(rated.units)
    return {
        "units": units,
        "total_aggregated_units": units,
        "events_count": rated.events_count,
        "amount_cents": rated.amount_cents,
        "amount_currency": plan.amount_currency,
        "pricing_unit_details": None,
        "charge": {
            "lago_id": str(charge.id),
            "code": charge.code,
            "charge_model": charge.charge_model,
            "invoice_display_name": charge.invoice_display_name,
        },
        "billable_metric": {
            "lago_id": str(metric.id),
            "name": metric.name,
            "code": metric.code,
            "aggregation_type": metric.aggregation_type,
        },
        "filters": [],
        "grouped_usage": [],
        "presentation_breakdowns": [],
    }


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
