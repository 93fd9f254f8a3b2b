"""Creating subscriptions (subscriptions.md §2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.activation import activated, bill_start
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.profiles import new_profile
from lago_engine.domain.customer.settings import timezone_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.timezones import local_date, zone
from lago_engine.domain.validation import Checker
from lago_engine.errors import NotFound, ValidationFailed

NOT_SUPPORTED_YET = (
    "plan_overrides", "usage_thresholds", "activation_rules", "invoice_custom_section",
)  # fmt: skip
PURCHASE_ORDER_LENGTH_MAX = 255


def create_subscription(
    decision: Decision, given: Mapping[str, Any], *, taken_elsewhere: bool
) -> None:
    """Start, schedule or find a subscription. `taken_elsewhere`: another customer has the id active."""
    plan = _plan(decision, given)
    draft = _validated(decision, given, plan)
    if not decision.exists:
        profile = new_profile(
            decision.organization, _stripped(given, "external_customer_id"), decision.now
        )
        decision.record(e.CustomerCreated(customer=profile))
    profile = decision.state.profile
    if profile.currency is None:
        profile = replace(profile, currency=plan.amount_currency, updated_at=decision.now)
    current = _current(decision, draft.external_id)
    if current is None and taken_elsewhere:
        raise ValidationFailed.of("external_id", "value_already_exist")
    if current is not None:
        if current.plan_id != plan.id:
            raise ValidationFailed.of("plan_code", "not_supported_yet")
        return
    _start_new(decision, draft, plan, profile)


def _plan(decision: Decision, given: Mapping[str, Any]) -> Plan:
    plan = decision.organization.plans.get(_stripped(given, "plan_code"))
    if plan is None:
        raise NotFound("plan")
    return plan


def _current(decision: Decision, external_id: str) -> Subscription | None:
    """The subscription that a repeated creation means: active, or waiting for its start."""
    for subscription in decision.state.subscriptions.values():
        if subscription.external_id == external_id and subscription.status in ("active", "pending"):
            return subscription
    return None


def _validated(decision: Decision, given: Mapping[str, Any], plan: Plan) -> Subscription:
    """The request as a subscription that has not started; all field errors together."""
    check = Checker(given)
    external_customer_id = _stripped(given, "external_customer_id")
    external_id = _stripped(given, "external_id")
    if not external_customer_id:
        check.fail("external_customer_id", "value_is_mandatory")
    if not external_id:
        check.fail("external_id", "value_is_mandatory")
    billing_time = check.choice("billing_time", ("calendar", "anniversary"))
    subscription_at = _instant(check, "subscription_at") or decision.now
    ending_at = _ending_at(decision, check, plan, subscription_at)
    purchase_order_number = check.text(
        "purchase_order_number", max_length=PURCHASE_ORDER_LENGTH_MAX
    )
    if not _is_default_payment_method(given.get("payment_method")):
        check.fail("payment_method", "invalid_payment_method")
    check.refuse_unbuilt(*NOT_SUPPORTED_YET)
    check.raise_failures()
    owner = ids.customer_id(decision.organization.organization.id, external_customer_id)
    serial = decision.state.items_count + 1 if decision.exists else 1
    return Subscription(
        id=ids.derive(owner, "subscription", serial),
        external_id=external_id,
        plan_id=plan.id,
        plan_code=plan.code,
        status="pending",
        billing_time="anniversary" if billing_time == "anniversary" else "calendar",
        subscription_at=subscription_at,
        created_at=decision.now,
        name=_stripped(given, "name"),
        ending_at=ending_at,
        consolidate_invoice=given.get("consolidate_invoice") is not False,
        purchase_order_number=(purchase_order_number or "").strip() or None,
    )


def _is_default_payment_method(given: object) -> bool:
    """Absent, blank, or the customer's default provider method; stored methods do not exist yet."""
    if given is None:
        return True
    if not isinstance(given, Mapping):
        return False
    return given.get("payment_method_type") in (None, "", "provider") and not given.get(
        "payment_method_id"
    )


def _stripped(given: Mapping[str, Any], field: str) -> str:
    """A trimmed string, "" when absent or blank."""
    return (Checker(given).text(field) or "").strip()


def _instant(check: Checker, field: str) -> datetime | None:
    value = check.values.get(field)
    if value is None or value == "":
        return None
    instant = parse_instant(value)
    if instant is None:
        check.fail(field, "invalid_date")
    return instant


def _ending_at(
    decision: Decision, check: Checker, plan: Plan, subscription_at: datetime
) -> datetime | None:
    """A local day after today and after the start."""
    ending_at = _instant(check, "ending_at")
    if ending_at is None:
        return None
    tz = zone(_timezone(decision))
    if local_date(ending_at, tz) <= max(
        local_date(decision.now, tz), local_date(subscription_at, tz)
    ):
        check.fail("ending_at", "invalid_date")
    elif plan.pay_in_advance:
        # Its end would owe a credit note for the unused days.
        check.fail("ending_at", "not_supported_yet")
    return ending_at


def _timezone(decision: Decision) -> str:
    organization = decision.organization.organization
    if not decision.exists:
        return organization.timezone
    return timezone_of(decision.state.profile, organization)


def _start_new(
    decision: Decision, draft: Subscription, plan: Plan, profile: CustomerProfile
) -> None:
    """Pending when it starts on a later local day, else active (subscriptions.md §2.3)."""
    tz = zone(_timezone(decision))
    today, start_day = local_date(decision.now, tz), local_date(draft.subscription_at, tz)
    if start_day > today:
        decision.record(e.SubscriptionCreated(customer=profile, subscription=draft))
        return
    started_at = draft.subscription_at
    if start_day < today:
        started_at = max(started_at, *_billed_ends(decision, draft.external_id))
    active = activated(decision, draft, plan, started_at=started_at, now=decision.now)
    decision.record(e.SubscriptionCreated(customer=profile, subscription=active))
    if start_day == today:
        bill_start(decision, active, plan)


def _billed_ends(decision: Decision, external_id: str) -> list[datetime]:
    """Ends of billed predecessors under the same id: their windows are not opened again."""
    ends = [
        subscription.terminated_at
        for subscription in decision.state.subscriptions.values()
        if subscription.external_id == external_id
        and subscription.on_termination_invoice == "generate"
        and subscription.terminated_at is not None
    ]
    return [*ends, datetime.min.replace(tzinfo=decision.now.tzinfo)]
