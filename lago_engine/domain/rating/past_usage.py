"""Billed usage of one subscription, read back from an invoice: the members of `usage_periods` (metrics.md §11.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from lago_engine.domain.catalog.entities import Charge
from lago_engine.domain.catalog.plan_overrides import copied_charge
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.decimals import precise, to_wire

Document = Mapping[str, Any]


def past_usage(
    invoice: Document,
    external_subscription_id: str,
    metric_id: UUID | None,
    organization: OrganizationState,
    customer: CustomerState,
) -> dict[str, Any]:
    """One period: amounts of the whole invoice, and the subscription's charges (one metric's, if it is given).

    invoice: the document with `fees` and `billing_periods`.
    """
    period = next(
        period
        for period in invoice["billing_periods"]
        if period["external_subscription_id"] == external_subscription_id
    )
    charges = _charges(UUID(period["lago_plan_id"]), organization, customer)
    fees: dict[UUID, list[Document]] = {}
    for fee in invoice["fees"]:
        mine = fee["external_subscription_id"] == external_subscription_id
        if mine and fee["item"]["type"] == "charge" and fee["lago_charge_id"] is not None:
            fees.setdefault(UUID(fee["lago_charge_id"]), []).append(fee)
    taxes = invoice["taxes_amount_cents"]
    return {
        "from_datetime": period["charges_from_datetime"],
        "to_datetime": period["charges_to_datetime"],
        "issuing_date": invoice["issuing_date"],
        "currency": invoice["currency"],
        "amount_cents": invoice["fees_amount_cents"],
        "total_amount_cents": invoice["fees_amount_cents"] + taxes,
        "taxes_amount_cents": taxes,
        "lago_invoice_id": invoice["lago_id"],
        "charges_usage": [
            _charge_usage(charges[charge_id], billed, organization)
            for charge_id, billed in fees.items()
            if metric_id in (None, charges[charge_id].billable_metric_id)
        ],
    }


def _charges(
    plan_id: UUID, organization: OrganizationState, customer: CustomerState
) -> dict[UUID, Charge]:
    """Every charge the plan ever had, as it was last; a child plan had copies of its parent's."""
    child = next(
        (
            subscription.plan_override
            for subscription in customer.subscriptions.values()
            if subscription.plan_override and subscription.plan_override.id == plan_id
        ),
        None,
    )
    if child is None or child.parent_id is None:
        return _charges_ever(plan_id, organization)
    theirs = _charges_ever(child.parent_id, organization).values()
    copies = (copied_charge(charge, child.id, child.created_at) for charge in theirs)
    return {charge.id: charge for charge in (*copies, *child.charges)}


def _charges_ever(plan_id: UUID, organization: OrganizationState) -> dict[UUID, Charge]:
    versions = organization.plan_versions
    numbers = sorted(version for known_id, version in versions if known_id == plan_id)
    plans = (versions[plan_id, number] for number in numbers)
    return {charge.id: charge for plan in plans for charge in plan.charges}


def _charge_usage(
    charge: Charge, fees: Sequence[Document], organization: OrganizationState
) -> dict[str, Any]:
    metric = organization.metrics_by_id[charge.billable_metric_id]
    used = [fee for fee in fees if fee["lago_true_up_parent_fee_id"] is None]
    return {
        **_sums(used),
        # A true-up is money without usage: it belongs to the charge, not to a filter or group.
        "amount_cents": sum(fee["amount_cents"] for fee in fees),
        "pricing_unit_details": _in_unit(fees),
        "amount_currency": fees[0]["amount_currency"],
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
        "filters": _filters(used),
        "grouped_usage": _groups(used),
        "presentation_breakdowns": _breakdowns(
            fee
            for fee in used
            if fee["lago_charge_filter_id"] is None and not fee["item"]["grouped_by"]
        ),
    }


def _sums(fees: Sequence[Document]) -> dict[str, Any]:
    with precise():
        units = sum((Decimal(fee["units"]) for fee in fees), Decimal(0))
        total = sum((Decimal(fee["total_aggregated_units"]) for fee in fees), Decimal(0))
    return {
        "units": to_wire(units),
        "total_aggregated_units": to_wire(total),
        "events_count": sum(fee["events_count"] or 0 for fee in fees),
        "amount_cents": sum(fee["amount_cents"] for fee in fees),
        "pricing_unit_details": _in_unit(fees),
    }


def _in_unit(fees: Sequence[Document]) -> dict[str, Any] | None:
    """What fees of one charge came to in its pricing unit, if they were priced in one."""
    details = [fee["pricing_unit_details"] for fee in fees if fee["pricing_unit_details"]]
    if not details:
        return None
    return {
        "amount_cents": sum(each["amount_cents"] for each in details),
        "short_name": details[0]["short_name"],
        "conversion_rate": details[0]["conversion_rate"],
    }


def _filters(fees: Sequence[Document]) -> list[dict[str, Any]]:
    """By charge filter, the default bucket last; nothing when no filter was billed."""
    by_filter: dict[str | None, list[Document]] = {}
    for fee in fees:
        by_filter.setdefault(fee["lago_charge_filter_id"], []).append(fee)
    if not any(by_filter):
        return []
    return [
        {
            **_sums(members),
            "invoice_display_name": members[0]["item"]["filter_invoice_display_name"],
            "values": members[0]["item"]["filters"],
            "presentation_breakdowns": _breakdowns(members),
        }
        for _, members in sorted(by_filter.items(), key=lambda item: item[0] is None)
    ]


def _groups(fees: Sequence[Document]) -> list[dict[str, Any]]:
    """By group, whatever filter it is of; nothing when no group was billed."""
    groups: dict[tuple[tuple[str, str | None], ...], list[Document]] = {}
    for fee in fees:
        groups.setdefault(tuple(fee["item"]["grouped_by"].items()), []).append(fee)
    if not any(groups):
        return []
    return [
        {
            **_sums(members),
            "grouped_by": dict(group),
            "filters": _filters(members),
            "presentation_breakdowns": _breakdowns(members),
        }
        for group, members in groups.items()
    ]


def _breakdowns(fees: Iterable[Document]) -> list[Any]:
    return [part for fee in fees for part in fee["presentation_breakdowns"]]
