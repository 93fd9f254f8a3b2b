"""`subscription` documents (subscriptions.md §1.2)."""

from __future__ import annotations

from datetime import date

import msgspec
from msgspec import UNSET, UnsetType

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import PlanChange, Subscription
from lago_engine.domain.events import (
    CustomerDeleted,
    CustomerUpdated,
    DomainEvent,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionRepriced,
    SubscriptionStarted,
    SubscriptionTerminated,
    SubscriptionTrialEnded,
    SubscriptionUpdated,
)
from lago_engine.domain.timezones import local_date, zone
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.presenting import (
    HIDDEN,
    SubscriptionHidden,
    applicable_timezone,
    current_billing_period,
)
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    instant_ms,
    instant_or_none,
    members,
    sort_key,
)
from lago_projections.plans import plan_object


class _Index(msgspec.Struct, frozen=True):
    lago_ids: list[str]


_hidden_decoder = msgspec.json.Decoder(SubscriptionHidden)
_index_decoder = msgspec.json.Decoder(_Index)

INDEX = "subscriptions_of_customer"
"""Kind of the documents that list the ids of a customer's subscriptions; key: external customer id."""


PLAN_OVERRIDE = "plan_override"
"""Kind of the child plans; key: lago_id of the subscription, parent: its customer's external id."""


class SubscriptionProjection(Projection):
    """Subscriptions of every status, without the blocks some endpoints add; key: lago_id.

    The zone of a customer decides the periods of its subscriptions, so their hidden members follow it.
    """

    name = "subscriptions"
    kinds = ("subscription", INDEX, PLAN_OVERRIDE)
    handles = (
        SubscriptionCreated,
        SubscriptionStarted,
        SubscriptionUpdated,
        SubscriptionRepriced,
        SubscriptionTrialEnded,
        SubscriptionTerminated,
        SubscriptionCanceled,
        CustomerUpdated,
        CustomerDeleted,
    )

    def apply(self, event: DomainEvent, context: Context) -> None:
        match event:
            case SubscriptionCreated(customer=customer, subscription=subscription):
                index = _Index([*_subscription_ids(customer, context), str(subscription.id)])
                context.put(INDEX, customer.external_id, encode(index), parent=customer.external_id)
                self._put(customer, subscription, context)
            case (
                SubscriptionStarted(customer=customer, subscription=subscription)
                | SubscriptionUpdated(customer=customer, subscription=subscription)
                | SubscriptionRepriced(customer=customer, subscription=subscription)
                | SubscriptionTrialEnded(customer=customer, subscription=subscription)
                | SubscriptionTerminated(customer=customer, subscription=subscription)
                | SubscriptionCanceled(customer=customer, subscription=subscription)
            ):
                self._put(customer, subscription, context)
            case CustomerDeleted(customer=customer):
                # Who gets the external id next begins with none.
                context.delete(INDEX, customer.external_id)
            case CustomerUpdated(customer=customer):
                for key in _subscription_ids(customer, context):
                    self._set_timezone(key, customer, context)

    def _put(self, customer: CustomerProfile, subscription: Subscription, context: Context) -> None:
        hidden = _hidden(customer, subscription, context.organization)
        document = subscription_object(customer, subscription, context.organization)
        period = current_billing_period(hidden, context.organization, context.occurred_at)
        document["current_billing_period_started_at"] = period and instant(period[0])
        document["current_billing_period_ending_at"] = period and instant(period[1])
        document[HIDDEN] = hidden
        context.put(
            "subscription",
            str(subscription.id),
            encode(document),
            parent=customer.external_id,
            sort_key=sort_key(subscription.created_at),
        )
        if subscription.plan_override:
            child = plan_object(subscription.plan_override, context.organization)
            context.put(
                PLAN_OVERRIDE,
                str(subscription.id),
                encode(child),
                parent=customer.external_id,
                sort_key=sort_key(subscription.plan_override.created_at),
            )

    def _set_timezone(self, key: str, customer: CustomerProfile, context: Context) -> None:
        document = members(context.require("subscription", key))
        hidden = _hidden_decoder.decode(document[HIDDEN])
        if hidden.timezone == customer.timezone:
            return
        document[HIDDEN] = msgspec.structs.replace(hidden, timezone=customer.timezone)
        context.put(
            "subscription",
            key,
            encode(document),
            parent=customer.external_id,
            sort_key=sort_key(hidden.created_at),
        )


def subscription_object(
    customer: CustomerProfile, subscription: Subscription, organization: OrganizationState
) -> Members:
    """A subscription; the current billing period is left to fill in."""
    plan = plan_of(subscription, organization)
    started_at = subscription.started_at
    return {
        "lago_id": subscription.id,
        "external_id": subscription.external_id,
        "lago_customer_id": customer.id,
        "external_customer_id": customer.external_id,
        "billing_entity_code": customer.billing_entity_code,
        "name": subscription.name,
        "plan_code": plan.code,
        "plan_amount_cents": plan.amount_cents,
        "plan_amount_currency": plan.amount_currency,
        "status": subscription.status,
        "billing_time": subscription.billing_time,
        "subscription_at": instant(subscription.subscription_at),
        "started_at": None if started_at is None else instant_ms(started_at),
        "trial_ended_at": instant_or_none(subscription.trial_ended_at or None),
        "ending_at": instant_or_none(subscription.ending_at),
        "terminated_at": instant_or_none(subscription.terminated_at),
        "canceled_at": instant_or_none(subscription.canceled_at),
        "created_at": instant(subscription.created_at),
        "previous_plan_code": _plan_code(subscription.replaces, organization),
        "next_plan_code": _plan_code(subscription.replaced_by, organization),
        "downgrade_plan_date": _downgraded_on(customer, subscription, organization),
        "current_billing_period_started_at": None,
        "current_billing_period_ending_at": None,
        "on_termination_credit_note": subscription.on_termination_credit_note,
        "on_termination_invoice": subscription.on_termination_invoice,
        "progressive_billing_disabled": bool(subscription.progressive_billing_disabled),
        "consolidate_invoice": subscription.consolidate_invoice,
        "purchase_order_number": subscription.purchase_order_number,
        "cancellation_reason": None,
        "activated_at": instant_or_none(subscription.activated_at),
        "payment_method": {"payment_method_id": None, "payment_method_type": "provider"},
        "activation_rules": [],
    }


def _plan_code(change: PlanChange | UnsetType, organization: OrganizationState) -> str | None:
    return organization.plans_by_id[change.plan_id].code if change else None


def _downgraded_on(
    customer: CustomerProfile, subscription: Subscription, organization: OrganizationState
) -> date | None:
    """The day on which a downgrade took effect; that of a waiting one is worked out when read."""
    change = subscription.replaced_by
    if not change or change.succession != "downgrade" or change.took_effect_at is None:
        return None
    return local_date(
        change.took_effect_at, zone(applicable_timezone(customer.timezone, organization))
    )


def _hidden(
    customer: CustomerProfile, subscription: Subscription, organization: OrganizationState
) -> SubscriptionHidden:
    plan = plan_of(subscription, organization)
    return SubscriptionHidden(
        plan_id=subscription.plan_id,
        has_own_plan=bool(subscription.plan_override) or UNSET,
        subscription_at=subscription.subscription_at,
        created_at=subscription.created_at,
        started_at=subscription.started_at,
        ending_at=subscription.ending_at,
        terminated_at=subscription.terminated_at,
        status=subscription.status,
        interval=plan.interval,
        billing_time=subscription.billing_time,
        pay_in_advance=plan.pay_in_advance,
        bill_charges_monthly=bool(plan.bill_charges_monthly),
        bill_fixed_charges_monthly=bool(plan.bill_fixed_charges_monthly),
        timezone=customer.timezone,
        downgrade_waits=_waits(subscription.replaced_by) or UNSET,
    )


def _waits(change: PlanChange | UnsetType) -> bool:
    return change is not UNSET and change.took_effect_at is None


def _subscription_ids(customer: CustomerProfile, context: Context) -> list[str]:
    body = context.get(INDEX, customer.external_id)
    return [] if body is None else _index_decoder.decode(body).lago_ids
