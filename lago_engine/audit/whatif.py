"""Recorded usage priced under another plan: what each customer pays for it now, and what it would pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.actors.asked_usage import read_selection, select
from lago_engine.actors.directory import metered_charge
from lago_engine.actors.streams import CUSTOMER_EVENTS
from lago_engine.audit.segments import SEGMENTS_PER_READ, iter_segments
from lago_engine.domain import events as e
from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CreatePlan
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.rating.current_usage import rated_usage
from lago_engine.domain.rating.usage_question import AskedUsage, UsageQuestion, ask_usage
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.metering import Meter
from lago_engine.store.codec import EventCodec, unpack_state
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, Store

MICROSECOND = timedelta(microseconds=1)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Whose usage, and of which billing periods: those that begin in [since, until).

    customer: external id. plan: code of the plan that is compared with. organization_id: needed where a store
    holds several.
    """

    since: datetime
    until: datetime
    customer: str | None = None
    plan: str | None = None
    organization_id: UUID | None = None


class CustomerCompared(msgspec.Struct, frozen=True, kw_only=True):
    """One customer's usage fees in minor units; periods: of the present plan."""

    external_id: str
    periods: int
    present_amount_cents: int
    new_amount_cents: int

    @property
    def difference_cents(self) -> int:
        return self.new_amount_cents - self.present_amount_cents


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The customers who have a subscription that was chosen, by external id, all in one currency."""

    plan: str
    currency: str
    customers: tuple[CustomerCompared, ...]

    @property
    def present_amount_cents(self) -> int:
        return sum(customer.present_amount_cents for customer in self.customers)

    @property
    def new_amount_cents(self) -> int:
        return sum(customer.new_amount_cents for customer in self.customers)


def whatif(
    store: Store, codec: EventCodec, secret: bytes, plan: Mapping[str, Any], choice: Choice
) -> Compared:
    """Fees of usage alone: base fees, minimums and taxes are left out. Reads only.

    plan: as `POST /plans` takes it, checked as there. Raises its ValidationFailed and NotFound, also for an unknown
    customer or plan, and `currency: currencies_does_not_match` when a chosen subscription has another one.
    """
    organization, customers = _read(store, codec, choice)
    new = _new_plan(organization, plan, choice.until)
    organization = evolve_organization(organization, e.PlanCreated(plan=new))
    chosen = list(_chosen(customers, organization, choice))
    if any(plan_of(s, organization).amount_currency != new.amount_currency for _, s in chosen):
        raise ValidationFailed.of("currency", "currencies_does_not_match")
    present = [list(_periods(state, organization, s, choice)) for state, s in chosen]
    priced_anew = [
        list(_periods(state, organization, _moved(subscription, new), choice))
        for state, subscription in chosen
    ]
    amounts = _amounts(store, secret, [*present, *priced_anew])
    return Compared(
        plan=new.code,
        currency=new.amount_currency,
        customers=tuple(
            _by_customer(chosen, present, amounts[: len(chosen)], amounts[len(chosen) :])
        ),
    )


# --- what is there -----------------------------------------------------------------------------


def _read(
    store: Store, codec: EventCodec, choice: Choice
) -> tuple[OrganizationState, list[CustomerState]]:
    """The organization that was chosen and its customers, as the log ends."""
    organizations: dict[UUID, OrganizationState] = {}
    customers: dict[UUID, CustomerState | None] = {}
    for row in store.iter_log(0):
        if row.topic == USAGE_SEGMENT_TOPIC:
            continue
        _, body = unpack_state(row.state)
        envelope, event = codec.decode(row.topic, body)
        before = organizations.get(envelope.organization_id)
        organizations[envelope.organization_id] = evolve_organization(before, event)
        if isinstance(event, CUSTOMER_EVENTS):
            state = customers.get(row.stream_id)
            customers[row.stream_id] = evolve_customer(state, event)
    organization = _one(organizations, choice.organization_id)
    mine = [
        state
        for state in customers.values()
        if state is not None and state.profile.organization_id == organization.organization.id
    ]
    return organization, mine


def _one(
    organizations: Mapping[UUID, OrganizationState], organization_id: UUID | None
) -> OrganizationState:
    if organization_id is None and len(organizations) == 1:
        return next(iter(organizations.values()))
    if organization_id is None:
        raise ValidationFailed.of("organization", "value_is_mandatory")
    if organization_id not in organizations:
        raise NotFound("organization")
    return organizations[organization_id]


def _new_plan(organization: OrganizationState, plan: Mapping[str, Any], now: datetime) -> Plan:
    """The plan as it would be created; it may have the code of one that exists."""
    others = {code: known for code, known in organization.plans.items() if code != plan.get("code")}
    command = CreatePlan(organization_id=organization.organization.id, input=dict(plan))
    created = decide_organization(
        msgspec.structs.replace(organization, plans=others), command, now=now
    )
    return next(event.plan for event in created if isinstance(event, e.PlanCreated))


def _chosen(
    customers: Sequence[CustomerState], organization: OrganizationState, choice: Choice
) -> Iterator[tuple[CustomerState, Subscription]]:
    """Subscriptions that ever started, by customer."""
    if choice.plan is not None and choice.plan not in organization.plans:
        raise NotFound("plan")
    asked = [state for state in customers if choice.customer in (None, state.profile.external_id)]
    if choice.customer is not None and not asked:
        raise NotFound("customer")
    for state in sorted(asked, key=lambda state: state.profile.external_id):
        for subscription in state.subscriptions.values():
            code = plan_of(subscription, organization).code
            if subscription.started_at is not None and choice.plan in (None, code):
                yield state, subscription


def _moved(subscription: Subscription, plan: Plan) -> Subscription:
    """The subscription as if it had been on the plan all the time."""
    return msgspec.structs.replace(subscription, plan_id=plan.id, plan_override=None)


def _periods(
    state: CustomerState,
    organization: OrganizationState,
    subscription: Subscription,
    choice: Choice,
) -> Iterator[AskedUsage]:
    """The billing periods of usage that begin in the time that was chosen."""
    at = choice.since
    while at < choice.until:
        asked = ask_usage(state, organization, subscription, UsageQuestion(), now=at)
        if choice.since <= asked.start < choice.until and asked.charges:
            yield asked
        if asked.end < at:  # The subscription ended before.
            return
        at = asked.end + MICROSECOND


# --- pricing -----------------------------------------------------------------------------------


def _amounts(store: Store, secret: bytes, periods: Sequence[Sequence[AskedUsage]]) -> list[int]:
    """The usage fees of each list of periods, all folded in one pass over the log."""
    fold = Meter(secret).usage_fold()
    plans: dict[tuple[UUID, int], int] = {}
    selections: list[list[int]] = []
    for asked_periods in periods:
        selections.append([])
        for asked in asked_periods:
            key = asked.plan.id, asked.plan.version
            if key not in plans:
                plans[key] = fold.plan([metered_charge(*charge) for charge in asked.charges])
            selections[-1].append(select(fold, asked, plans[key]))
    if any(selections):
        segments: list[bytes] = []
        for segment in iter_segments(store):
            segments.append(segment)
            if len(segments) == SEGMENTS_PER_READ:
                fold.feed(segments, parallel=True)
                segments = []
        fold.feed(segments, parallel=True)
    return [
        sum(
            bucket.rated.amount_cents
            for asked, selection in zip(asked_periods, numbers, strict=True)
            for item in rated_usage(asked, read_selection(fold, selection, asked))
            for bucket in item.buckets
        )
        for asked_periods, numbers in zip(periods, selections, strict=True)
    ]


def _by_customer(
    chosen: Sequence[tuple[CustomerState, Subscription]],
    present: Sequence[Sequence[AskedUsage]],
    now: Sequence[int],
    then: Sequence[int],
) -> Iterator[CustomerCompared]:
    rows: dict[str, CustomerCompared] = {}
    for (state, _), periods, paid, would_pay in zip(chosen, present, now, then, strict=True):
        name = state.profile.external_id
        known = rows.get(name)
        rows[name] = CustomerCompared(
            external_id=name,
            periods=len(periods) + (known.periods if known else 0),
            present_amount_cents=paid + (known.present_amount_cents if known else 0),
            new_amount_cents=would_pay + (known.new_amount_cents if known else 0),
        )
    yield from rows.values()
