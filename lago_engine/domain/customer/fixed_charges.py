"""Fixed charges of a subscription: its units from the start, and invoices of units in advance (plans.md §7.4, billing_periods.md §12)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import FixedCharge, Plan
from lago_engine.domain.customer.billing import finalize, hash_of, local_today, next_invoice_id
from lago_engine.domain.customer.credits import with_credits
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fixed_history import hashed, with_fixed_charges
from lago_engine.domain.customer.links import link_of_period
from lago_engine.domain.customer.settings import fee_taxes, issuing_settings, plan_of, subject_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.fixed_charge_fees import in_advance_window, increase_fee
from lago_engine.domain.invoicing.work import InvoiceInput, Line, plan_ids
from lago_engine.domain.rating.unit_steps import UnitStep


def units_of(subscription: Subscription, plan: Plan) -> Mapping[UUID, Decimal]:
    """The units of the subscription on `plan`, by the fixed charge's id on the plan it was put on."""
    own = dict(subscription.units_overrides or ())
    return {each.origin_id: own.get(each.origin_id, each.units) for each in plan.fixed_charges}


def with_own_units(subscription: Subscription, plan: Plan) -> tuple[FixedCharge, ...]:
    """The fixed charges of the plan with the units of the subscription."""
    units = units_of(subscription, plan)
    return tuple(replace(each, units=units[each.origin_id]) for each in plan.fixed_charges)


def plan_version(decision: Decision, subscription: Subscription) -> int:
    """The version of the plan that the subscription was put on, also where a child plan prices it."""
    return decision.organization.plans_by_id[subscription.plan_id].version


def set_starting_units(decision: Decision, subscription: Subscription, *, at: datetime) -> None:
    """The units of a subscription that has just started, from its very start on."""
    assert subscription.started_at is not None
    plan = plan_of(subscription, decision.organization)
    for fixed_charge_id, units in units_of(subscription, plan).items():
        step = UnitStep(
            units=units,
            timestamp=subscription.started_at,
            created_at=subscription.started_at,
            plan_version=plan_version(decision, subscription),
        )
        set_units(decision, subscription, fixed_charge_id, step, at=at)


def set_units(
    decision: Decision,
    subscription: Subscription,
    fixed_charge_id: UUID,
    step: UnitStep,
    *,
    at: datetime,
) -> None:
    """Record units from an instant on."""
    event = e.FixedChargeUnitsSet(
        subscription_id=subscription.id, fixed_charge_id=fixed_charge_id, step=step
    )
    decision.record(event, at=at)


def in_advance(plan: Plan) -> frozenset[UUID]:
    """The fixed charges that are paid in advance, by their ids on the plan that is subscribed to."""
    return frozenset(each.origin_id for each in plan.fixed_charges if each.pay_in_advance)


def invoice_units(
    decision: Decision,
    subscription: Subscription,
    fixed_charge_ids: Collection[UUID],
    *,
    at: datetime,
) -> None:
    """A finalized invoice of what the units of now cost more than those billed already, also when that is nothing."""
    profile, organization = decision.state.profile, decision.organization
    plan = plan_of(subscription, organization)
    subject = subject_of(subscription, profile, organization)
    link = link_of_period(subscription, profile, organization, at=at, reason="in_advance_charge")
    window = in_advance_window(subject, at)
    link = replace(link, fixed_charges_from_datetime=window[0], fixed_charges_to_datetime=window[1])
    term = issuing_settings(profile, organization.organization).net_payment_term
    given = InvoiceInput(
        invoice_id=next_invoice_id(decision),
        kind="in_advance_charge",
        organization=organization,
        profile=profile,
        currency=plan.amount_currency,
        items=[(subscription, plan, link)],
        dates=immediate_dates(local_today(decision, at), term),
        created_at=at,
    )
    given = with_credits(decision, with_fixed_charges(decision.state, given))
    lines = [
        Line(
            increase_fee(
                given.invoice_id,
                subscription,
                plan,
                each,
                subject,
                link,
                given.fixed[subscription.id],
                organization.add_ons_by_id,
            ),
            fee_taxes(organization, profile, plan, each),
            plan_ids(plan),
        )
        for each in plan.fixed_charges
        if each.pay_in_advance and each.origin_id in fixed_charge_ids
    ]
    inputs = [profile, given.items, given.dates, hashed(given)]
    credits = [each for each in (given.coupons, given.credit_notes, given.wallets) if each]
    invoice = assemble(given, lines, now=at)
    finalize(decision, invoice, hash_of([*inputs, *credits]), at=at)
