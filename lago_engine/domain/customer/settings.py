"""Settings of a customer with their fallbacks to the billing entity (customers.md §2, §5, §7.2)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lago_engine.domain.catalog.entities import (
    Charge,
    FixedCharge,
    MinimumCommitment,
    Organization,
    Plan,
    Tax,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.dates import IssuingSettings
from lago_engine.domain.periods import PeriodSubject
from lago_engine.domain.proration import trial_end


def timezone_of(profile: CustomerProfile, organization: Organization) -> str:
    """The applicable time zone: the customer's, else the billing entity's."""
    return profile.timezone or organization.timezone


def issuing_settings(profile: CustomerProfile, organization: Organization) -> IssuingSettings:
    """Grace period, payment term and issuing rules that apply; 0 is a real override, None falls back."""
    own = profile.billing_configuration
    grace, term = own.invoice_grace_period, profile.net_payment_term
    return IssuingSettings(
        grace_period=organization.invoice_grace_period if grace is None else grace,
        net_payment_term=organization.net_payment_term if term is None else term,
        anchor=own.subscription_invoice_issuing_date_anchor
        or organization.subscription_invoice_issuing_date_anchor,
        adjustment=own.subscription_invoice_issuing_date_adjustment
        or organization.subscription_invoice_issuing_date_adjustment,
    )


def finalizes_zero_invoices(profile: CustomerProfile, organization: Organization) -> bool:
    """Whether an invoice whose fees sum to 0 is finalized; else it is closed and never seen."""
    if profile.finalize_zero_amount_invoice == "inherit":
        return organization.finalize_zero_amount_invoice
    return profile.finalize_zero_amount_invoice == "finalize"


def fee_taxes(
    state: OrganizationState,
    profile: CustomerProfile,
    plan: Plan,
    item: Charge | FixedCharge | MinimumCommitment | None = None,
) -> tuple[Tax, ...]:
    """The taxes of a subscription's fee: of its charge, fixed charge or commitment, plan, customer or billing entity."""
    own = item.tax_ids if item else ()
    return applicable_taxes(state, own, plan.tax_ids, profile.tax_ids)


def applicable_taxes(state: OrganizationState, *sets: tuple[UUID, ...]) -> tuple[Tax, ...]:
    """The first set with a live tax, else those of the billing entity; never merged (customers.md §7.2)."""
    for tax_ids in sets:
        taxes = tuple(state.taxes_by_id[tax_id] for tax_id in tax_ids)
        live = tuple(tax for tax in taxes if tax.code in state.taxes)
        if live:
            return live
    return state.organization_taxes()


def plan_of(subscription: Subscription, organization: OrganizationState) -> Plan:
    """The plan that prices the subscription now: its own child plan, else the one it was put on."""
    return subscription.plan_override or organization.plans_by_id[subscription.plan_id]


def subject_of(
    subscription: Subscription, profile: CustomerProfile, organization: OrganizationState
) -> PeriodSubject:
    """The subscription on its plan of now, as the period arithmetic sees it."""
    plan = plan_of(subscription, organization)
    return period_subject(subscription, plan, profile, organization.organization)


def trial_end_of(subscription: Subscription, plan: Plan) -> datetime | None:
    """Until when the base fee of a subscription that has started is free (subscriptions.md §4)."""
    assert subscription.started_at is not None
    return trial_end(subscription.initial_started_at or subscription.started_at, plan.trial_period)


def period_subject(
    subscription: Subscription, plan: Plan, profile: CustomerProfile, organization: Organization
) -> PeriodSubject:
    """The subscription as the period arithmetic sees it."""
    replaced_by = subscription.replaced_by
    return PeriodSubject(
        subscription_at=subscription.subscription_at,
        created_at=subscription.created_at,
        started_at=subscription.started_at,
        status=subscription.status,
        interval=plan.interval,
        billing_time=subscription.billing_time,
        pay_in_advance=plan.pay_in_advance,
        bill_charges_monthly=bool(plan.bill_charges_monthly),
        bill_fixed_charges_monthly=bool(plan.bill_fixed_charges_monthly),
        timezone=timezone_of(profile, organization),
        ending_at=subscription.ending_at,
        terminated_at=subscription.terminated_at,
        successor=replaced_by.succession if replaced_by else None,
    )
