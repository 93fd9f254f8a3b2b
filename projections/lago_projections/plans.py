"""`plan` documents with their charges (plans.md §2, charges.md §1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lago_engine.domain.catalog.entities import (
    AppliedPricingUnit,
    Charge,
    ChargeFilter,
    FixedCharge,
    Plan,
    UsageThreshold,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.decimals import as_json_number, to_wire
from lago_engine.domain.events import (
    DomainEvent,
    PlanCreated,
    PlanDeleted,
    PlanDeletionRequested,
    PlanUpdated,
    TaxDeleted,
    TaxUpdated,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import tax_objects
from lago_engine.projecting.wire import Members, encode, instant, sort_key, without


class PlanProjection(Projection):
    """Live plans at their latest version; key: code. A changed tax changes the plans that show it.

    Deleted ones, by id, are still shown by the subscriptions that had them.
    """

    name = "plans"
    kinds = ("plan", "deleted_plan")
    handles = (
        PlanCreated,
        PlanUpdated,
        PlanDeletionRequested,
        PlanDeleted,
        TaxUpdated,
        TaxDeleted,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        match event:
            case PlanCreated(plan=plan) | PlanDeletionRequested(plan=plan):
                self._put(plan, context)
            case PlanUpdated(plan=plan, previous_code=previous_code):
                if previous_code != plan.code:
                    context.delete("plan", previous_code)
                self._put(plan, context)
            case PlanDeleted(plan=plan):
                body = encode(plan_object(plan, context.organization))
                context.put("deleted_plan", str(plan.id), body, sort_key=sort_key(plan.created_at))
                context.delete("plan", plan.code)
            case TaxUpdated(tax=tax) | TaxDeleted(tax=tax):
                for plan in context.organization.plans.values():
                    if tax.id in plan.used_tax_ids:
                        self._put(plan, context)

    def _put(self, plan: Plan, context: Context) -> None:
        body = encode(plan_object(plan, context.organization))
        context.put("plan", plan.code, body, sort_key=sort_key(plan.created_at))


def plan_object(plan: Plan, organization: OrganizationState) -> Members:
    """A plan with all its sections. The counts are deprecated and always 0."""
    document: Members = {
        "lago_id": plan.id,
        "name": plan.name,
        "invoice_display_name": plan.invoice_display_name,
        "created_at": instant(plan.created_at),
        "code": plan.code,
        "interval": plan.interval,
        "description": plan.description,
        "amount_cents": plan.amount_cents,
        "amount_currency": plan.amount_currency,
        "trial_period": None if plan.trial_period is None else as_json_number(plan.trial_period),
        "pay_in_advance": plan.pay_in_advance,
        "bill_charges_monthly": plan.bill_charges_monthly,
        "bill_fixed_charges_monthly": plan.bill_fixed_charges_monthly,
        "customers_count": 0,
        "active_subscriptions_count": 0,
        "draft_invoices_count": 0,
        "parent_id": plan.parent_id,
        "pending_deletion": plan.pending_deletion,
        "charges": [charge_object(charge, organization) for charge in plan.charges],
        "fixed_charges": [fixed_charge_object(each, organization) for each in plan.fixed_charges],
        "entitlements": [],
        "usage_thresholds": [_threshold_object(each) for each in plan.usage_thresholds],
        "applicable_usage_thresholds": [
            without(_threshold_object(each), "lago_id", "created_at", "updated_at")
            for each in plan.usage_thresholds
        ],
        "taxes": tax_objects(plan.tax_ids, organization),
    }
    if plan.minimum_commitment is not None:
        document["minimum_commitment"] = _commitment_object(plan, organization)
    if plan.metadata:
        document["metadata"] = plan.metadata
    return document


def charge_object(charge: Charge, organization: OrganizationState) -> Members:
    """A charge as plans show it."""
    return {
        "lago_id": charge.id,
        "lago_billable_metric_id": charge.billable_metric_id,
        "code": charge.code,
        "invoice_display_name": charge.invoice_display_name,
        "billable_metric_code": charge.billable_metric_code,
        "created_at": instant(charge.created_at),
        "charge_model": charge.charge_model,
        "invoiceable": charge.invoiceable,
        "regroup_paid_fees": charge.regroup_paid_fees,
        "pay_in_advance": charge.pay_in_advance,
        "prorated": charge.prorated,
        "min_amount_cents": charge.min_amount_cents,
        "accepts_target_wallet": charge.accepts_target_wallet,
        "properties": _properties(charge.properties),
        "applied_pricing_unit": _applied_unit(charge.applied_pricing_unit),
        "lago_parent_id": charge.parent_id,
        "filters": [_filter_object(filter_, charge) for filter_ in charge.filters],
        "taxes": tax_objects(charge.tax_ids, organization),
    }


def fixed_charge_object(fixed_charge: FixedCharge, organization: OrganizationState) -> Members:
    """A fixed charge as plans show it."""
    return {
        "lago_id": fixed_charge.id,
        "lago_add_on_id": fixed_charge.add_on_id,
        "code": fixed_charge.code,
        "invoice_display_name": fixed_charge.invoice_display_name,
        "add_on_code": fixed_charge.add_on_code,
        "created_at": instant(fixed_charge.created_at),
        "charge_model": fixed_charge.charge_model,
        "pay_in_advance": fixed_charge.pay_in_advance,
        "prorated": fixed_charge.prorated,
        "properties": fixed_charge.properties,
        "units": to_wire(fixed_charge.units),
        "lago_parent_id": fixed_charge.parent_id,
        "taxes": tax_objects(fixed_charge.tax_ids, organization),
    }


def _commitment_object(plan: Plan, organization: OrganizationState) -> Members:
    commitment = plan.minimum_commitment
    assert commitment is not None
    return {
        "lago_id": commitment.id,
        "plan_code": plan.code,
        "invoice_display_name": commitment.invoice_display_name,
        "amount_cents": commitment.amount_cents,
        "interval": plan.interval,
        "created_at": instant(commitment.created_at),
        "updated_at": instant(commitment.updated_at),
        "taxes": tax_objects(commitment.tax_ids, organization),
    }


def _threshold_object(threshold: UsageThreshold) -> Members:
    return {
        "lago_id": threshold.id,
        "threshold_display_name": threshold.threshold_display_name,
        "amount_cents": threshold.amount_cents,
        "recurring": threshold.recurring,
        "created_at": instant(threshold.created_at),
        "updated_at": instant(threshold.updated_at),
    }


def _filter_object(filter_: ChargeFilter, charge: Charge) -> Members:
    return {
        "lago_id": filter_.id,
        "charge_code": charge.code,
        "invoice_display_name": filter_.invoice_display_name,
        "properties": _properties(filter_.properties),
        "values": filter_.values,
    }


def _applied_unit(applied: AppliedPricingUnit | None) -> Members | None:
    if applied is None:
        return None
    return {"conversion_rate": to_wire(applied.conversion_rate), "code": applied.code}


def _properties(properties: Mapping[str, Any]) -> Members:
    # `grouped_by` is the deprecated name; both are shown, with the same content.
    keys = properties.get("pricing_group_keys")
    mirrored = {"pricing_group_keys": keys, "grouped_by": keys} if keys else {}
    return {**properties, **mirrored}
