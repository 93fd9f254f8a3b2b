"""Members of documents that follow the organization's settings or the time, worked out when read.

A document is stored as of its last event. A change of the organization's zone or of a tax would
have to rewrite the documents of all customers, and a period ends without any event; so a reader
passes stored bodies through `present`. The hidden member `_` holds what that needs and is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from lago_engine.domain.catalog.entities import Tax
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.state import Payment
from lago_engine.domain.decimals import as_json_number
from lago_engine.domain.periods import PeriodSubject, link_windows, period_containing
from lago_engine.domain.timezones import DAY
from lago_engine.projecting.coupons import present_applied_coupon, present_coupon
from lago_engine.projecting.wallets import present_wallet
from lago_engine.projecting.wire import (
    Members,
    instant,
    members,
    members_list,
    read_string,
    without,
)

HIDDEN = "_"


class CustomerHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of a customer. timezone: its own one."""

    timezone: str | None
    tax_ids: tuple[UUID, ...]


class SubscriptionHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of a subscription: members of `PeriodSubject`, to the microsecond.

    timezone: the customer's own one; None stands for the organization's. downgrade_waits: only written when a
    scheduled downgrade waits for the end of the period. has_own_plan: only written when a child plan prices it.
    """

    plan_id: UUID
    subscription_at: datetime
    created_at: datetime
    started_at: datetime | None
    ending_at: datetime | None
    terminated_at: datetime | None
    status: str
    interval: str
    billing_time: str
    pay_in_advance: bool
    bill_charges_monthly: bool
    bill_fixed_charges_monthly: bool
    timezone: str | None
    downgrade_waits: bool | UnsetType = UNSET
    has_own_plan: bool | UnsetType = UNSET


class InvoiceHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of an invoice. created_at: to the microsecond, as its place in lists has it."""

    expected_finalization_date: date
    created_at: datetime
    external_customer_id: str


class PreviewedInvoice(NamedTuple):
    """The documents that an invoice would have if it were made: its own, and those of its subscriptions."""

    invoice: bytes
    subscriptions: Sequence[bytes]


class FeeHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of a fee that was made on no invoice. regroup: it waits, or waited, for an `advance_charges` invoice."""

    created_at: datetime
    external_customer_id: str
    regroup: bool


_customer_hidden = msgspec.json.Decoder(CustomerHidden)
_subscription_hidden = msgspec.json.Decoder(SubscriptionHidden)


def present(kind: str, body: bytes, organization: OrganizationState, now: datetime) -> Members:
    """The members to show at `now` of a stored document of one of the engine's kinds.

    Members are JSON text (`msgspec.Raw`) or plain values; `wire.encode` writes them.
    """
    document = members(body)
    if kind == "customer":
        return _customer(document, organization)
    if kind == "subscription":
        return _subscription(document, organization, now)
    if kind == "plan_override":
        return _plan_override(document, organization)
    if kind == "coupon":
        return present_coupon(document, organization, now)
    if kind == "wallet":
        return present_wallet(document, organization)
    if kind == "applied_coupon":
        return present_applied_coupon(document, organization, now)
    return without(document, HIDDEN)


def present_invoice(
    body: bytes, subscriptions: Iterable[bytes], organization: OrganizationState, now: datetime
) -> Members:
    """An invoice whose `subscriptions` are shown as they are now.

    subscriptions: the stored documents of those in `subscription_ids(body)`, in any order.
    """
    document = without(members(body), HIDDEN)
    shown = [present("subscription", each, organization, now) for each in subscriptions]
    current = {bytes(each["lago_id"]): each for each in shown}
    document["subscriptions"] = [
        current[bytes(each["lago_id"])] for each in members_list(document["subscriptions"])
    ]
    return document


def subscription_ids(body: bytes) -> list[str]:
    """The keys of the subscriptions on a stored invoice, in its order."""
    listed = members_list(members(body)["subscriptions"])
    return [msgspec.json.decode(each["lago_id"], type=str) for each in listed]


def plan_address(body: bytes, organization: OrganizationState) -> tuple[str, str]:
    """Kind and key of the document of the plan that prices a stored subscription."""
    document = members(body)
    hidden = _subscription_hidden.decode(document[HIDDEN])
    if hidden.has_own_plan:
        return "plan_override", read_string(document["lago_id"])
    plan = organization.plans_by_id[hidden.plan_id]
    live = organization.plans.get(plan.code)
    if live is not None and live.id == plan.id:
        return "plan", plan.code
    return "deleted_plan", str(plan.id)


def tax_object(tax: Tax, organization: OrganizationState) -> Members:
    """A tax (customers.md §7.1). The counts are deprecated and always 0."""
    entity = organization.organization.billing_entity_code
    return {
        "lago_id": tax.id,
        "name": tax.name,
        "code": tax.code,
        "rate": as_json_number(tax.rate),
        "description": tax.description,
        "applied_to_organization": tax.applied_to_organization,
        "applied_to_billing_entities_codes": [entity] if tax.applied_to_organization else [],
        "add_ons_count": 0,
        "customers_count": 0,
        "plans_count": 0,
        "charges_count": 0,
        "commitments_count": 0,
        "created_at": instant(tax.created_at),
    }


def tax_objects(tax_ids: Iterable[UUID], organization: OrganizationState) -> list[Members]:
    """The taxes of these ids that were not deleted, in the given order."""
    taxes = (organization.taxes_by_id[tax_id] for tax_id in tax_ids)
    return [
        tax_object(tax, organization)
        for tax in taxes
        if tax.code in organization.taxes and organization.taxes[tax.code].id == tax.id
    ]


def payment_provider_name(payment: Payment, organization: OrganizationState) -> str | None:
    """Which provider a payment goes through, as clients know it; None for a manual payment.

    A simulated connection answers to the name of what it simulates (test_clocks.md §9).
    """
    connection = organization.connections.get(payment.connection_code or "")
    if connection is not None and connection.simulated_as is not None:
        return connection.simulated_as
    return payment.provider


def applicable_timezone(own: str | None, organization: OrganizationState) -> str:
    """A customer's zone: its own, else that of its billing entity."""
    return own or organization.organization.timezone


def current_billing_period(
    hidden: SubscriptionHidden, organization: OrganizationState, now: datetime
) -> tuple[datetime, datetime] | None:
    """Usage boundaries of the period around `now`; None before there is a start (subscriptions.md §1.2)."""
    if hidden.started_at is None:
        return None
    subject = _period_subject(hidden, organization)
    windows = link_windows(subject, max(now, hidden.started_at), mode="current_usage")
    assert windows.charges_from is not None, "the running period always has a usage window"
    assert windows.charges_to is not None
    return windows.charges_from, windows.charges_to


def _period_subject(hidden: SubscriptionHidden, organization: OrganizationState) -> PeriodSubject:
    period = msgspec.structs.asdict(hidden)
    period["timezone"] = applicable_timezone(hidden.timezone, organization)
    return msgspec.convert(period, PeriodSubject)


def _plan_override(document: Members, organization: OrganizationState) -> Members:
    """A child plan with the taxes of now: no event of its own tells that one of them changed."""
    for section in ("charges", "fixed_charges"):
        parts = members_list(document[section])
        document[section] = [_with_taxes_of_now(part, organization) for part in parts]
    if "minimum_commitment" in document:
        commitment = members(document["minimum_commitment"])
        document["minimum_commitment"] = _with_taxes_of_now(commitment, organization)
    return _with_taxes_of_now(document, organization)


def _with_taxes_of_now(part: Members, organization: OrganizationState) -> Members:
    tax_ids = [UUID(read_string(tax["lago_id"])) for tax in members_list(part["taxes"])]
    return part | {"taxes": tax_objects(tax_ids, organization)}


def _customer(document: Members, organization: OrganizationState) -> Members:
    hidden = _customer_hidden.decode(document.pop(HIDDEN))
    document["applicable_timezone"] = applicable_timezone(hidden.timezone, organization)
    document["taxes"] = tax_objects(hidden.tax_ids, organization)
    return document


def _subscription(document: Members, organization: OrganizationState, now: datetime) -> Members:
    hidden = _subscription_hidden.decode(document.pop(HIDDEN))
    if not hidden.has_own_plan:
        plan = organization.plans_by_id[hidden.plan_id]
        document["plan_amount_cents"] = plan.amount_cents
    period = current_billing_period(hidden, organization, now)
    document["current_billing_period_started_at"] = period and instant(period[0])
    document["current_billing_period_ending_at"] = period and instant(period[1])
    if hidden.downgrade_waits:
        paid_until = period_containing(_period_subject(hidden, organization), now).last
        document["downgrade_plan_date"] = paid_until + DAY
    return document
