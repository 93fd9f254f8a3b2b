"""Every decision about an organization and its catalog, by command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from lago_engine.domain import commands
from lago_engine.domain.catalog import (
    decide_add_ons,
    decide_connections,
    decide_coupons,
    decide_metrics,
    decide_plan_metadata,
    decide_plan_parts,
    decide_plans,
    decide_pricing_units,
    decide_taxes,
    decide_usage_errors,
    decide_webhooks,
)
from lago_engine.domain.catalog import decide_organization as organizations
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.events import DomainEvent
from lago_engine.errors import NotFound, ValidationFailed

_DECISIONS: Final[Mapping[type[commands.OrganizationCommand], Callable[..., list[DomainEvent]]]] = {
    commands.UpdateOrganization: organizations.update_organization,
    commands.SetClock: organizations.set_clock,
    commands.ReportUsageErrors: decide_usage_errors.report_usage_errors,
    commands.CreateWebhookEndpoint: decide_webhooks.create_endpoint,
    commands.UpdateWebhookEndpoint: decide_webhooks.update_endpoint,
    commands.DeleteWebhookEndpoint: decide_webhooks.delete_endpoint,
    commands.ConnectPaymentProvider: decide_connections.connect_provider,
    commands.CreateBillableMetric: decide_metrics.create_metric,
    commands.UpdateBillableMetric: decide_metrics.update_metric,
    commands.DeleteBillableMetric: decide_metrics.delete_metric,
    commands.CreateTax: decide_taxes.create_tax,
    commands.UpdateTax: decide_taxes.update_tax,
    commands.DeleteTax: decide_taxes.delete_tax,
    commands.CreateAddOn: decide_add_ons.create_add_on,
    commands.UpdateAddOn: decide_add_ons.update_add_on,
    commands.DeleteAddOn: decide_add_ons.delete_add_on,
    commands.CreatePricingUnit: decide_pricing_units.create_pricing_unit,
    commands.UpdatePricingUnit: decide_pricing_units.update_pricing_unit,
    commands.CreateCoupon: decide_coupons.create_coupon,
    commands.UpdateCoupon: decide_coupons.update_coupon,
    commands.DeleteCoupon: decide_coupons.delete_coupon,
    commands.CreatePlan: decide_plans.create_plan,
    commands.UpdatePlan: decide_plans.update_plan,
    commands.DeletePlan: decide_plans.delete_plan,
    commands.RemovePlan: decide_plans.remove_plan,
    commands.CreateCharge: decide_plan_parts.create_charge,
    commands.UpdateCharge: decide_plan_parts.update_charge,
    commands.DeleteCharge: decide_plan_parts.delete_charge,
    commands.CreateChargeFilter: decide_plan_parts.create_filter,
    commands.UpdateChargeFilter: decide_plan_parts.update_filter,
    commands.DeleteChargeFilter: decide_plan_parts.delete_filter,
    commands.CreateFixedCharge: decide_plan_parts.create_fixed_charge,
    commands.UpdateFixedCharge: decide_plan_parts.update_fixed_charge,
    commands.DeleteFixedCharge: decide_plan_parts.delete_fixed_charge,
    commands.ReplacePlanMetadata: decide_plan_metadata.replace_metadata,
    commands.MergePlanMetadata: decide_plan_metadata.merge_metadata,
    commands.DeletePlanMetadata: decide_plan_metadata.delete_metadata,
}


def decide_organization(
    state: OrganizationState | None, command: commands.OrganizationCommand, *, now: datetime
) -> list[DomainEvent]:
    """The facts that follow from `command`; raises a DomainError when it is refused.

    state: None only for an organization that does not exist yet. now: the organization's clock.
    """
    if isinstance(command, commands.CreateOrganization):
        if state is not None:
            raise ValidationFailed.of("id", "value_already_exist")
        return organizations.create_organization(command, now=now)
    if state is None:
        raise NotFound("organization")
    assert state.organization.id == command.organization_id
    return _DECISIONS[type(command)](state, command, now=now)
