"""Which subscriptions there are, by external id and by plan, and what metering must know of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.actors.pending import billed_places
from lago_engine.domain import events as e
from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import (
    ALL_VALUES,
    BillableMetric,
    Charge,
    ChargeFilter,
    Plan,
)
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.rating.charge_models.registry import CHARGE_MODELS
from lago_engine.domain.rating.grouping import spelled_out
from lago_engine.domain.rating.presentation import presentation_keys
from lago_engine.domain.timezones import micros
from lago_engine.metering import Meter, MeteredCharge, MeteredFilter, MeteredSubscription


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that started: who has it, on which plan, and from when to when."""

    id: UUID
    organization_id: UUID
    customer_id: UUID
    external_id: str
    plan_id: UUID
    started_at: datetime
    terminated_at: datetime | None


class Directory:
    """Folded from committed events; feeds the metering registry as it goes."""

    def __init__(self, meter: Meter, entries: tuple[Entry, ...] = ()) -> None:
        self._meter = meter
        self._entries: dict[UUID, Entry] = {}
        self._by_external_id: dict[tuple[UUID, str], list[UUID]] = {}
        self._by_plan: dict[UUID, set[UUID]] = {}
        for entry in entries:
            self._index(entry)

    def entries(self) -> tuple[Entry, ...]:
        """Everything, for a snapshot."""
        return tuple(self._entries.values())

    def entry(self, subscription_id: UUID) -> Entry:
        """A subscription that started."""
        return self._entries[subscription_id]

    def active_owner(self, organization_id: UUID, external_id: str) -> UUID | None:
        """The customer that has this external id active."""
        for subscription_id in self._by_external_id.get((organization_id, external_id), ()):
            entry = self._entries[subscription_id]
            if entry.terminated_at is None:
                return entry.customer_id
        return None

    def apply(self, event: e.DomainEvent, state: OrganizationState) -> None:
        """A committed event; `state` is the organization right after it."""
        for subscription_id, place in billed_places(event).items():
            self._meter.drop_pending(subscription_id, place)
        if isinstance(
            event, e.BillableMetricCreated | e.BillableMetricUpdated | e.BillableMetricDeleted
        ):
            self._metric(event, state.organization.id)
        elif isinstance(event, e.PlanCreated | e.PlanUpdated):
            self._put_plan(event.plan, state)
            for subscription_id in sorted(self._by_plan.get(event.plan.id, ())):
                self._put_subscription(self._entries[subscription_id], event.plan)
        elif isinstance(
            event,
            e.SubscriptionCreated
            | e.SubscriptionStarted
            | e.SubscriptionUpdated
            | e.SubscriptionRepriced
            | e.SubscriptionTerminated,
        ):
            self._subscription(event.customer.id, event.subscription, state)

    def _metric(
        self,
        event: e.BillableMetricCreated | e.BillableMetricUpdated | e.BillableMetricDeleted,
        organization_id: UUID,
    ) -> None:
        """From here on events of the metric's code are computed by its expression, or no more."""
        metric = event.metric
        if isinstance(event, e.BillableMetricUpdated) and event.previous_code != metric.code:
            self._meter.put_metric(organization_id, event.previous_code, None, None)
        expression = None if isinstance(event, e.BillableMetricDeleted) else metric.expression
        self._meter.put_metric(organization_id, metric.code, metric.field_name, expression)

    def _subscription(
        self, customer_id: UUID, subscription: Subscription, state: OrganizationState
    ) -> None:
        if subscription.started_at is None:
            return
        plan = plan_of(subscription, state)
        entry = Entry(
            id=subscription.id,
            organization_id=state.organization.id,
            customer_id=customer_id,
            external_id=subscription.external_id,
            plan_id=plan.id,
            started_at=subscription.started_at,
            terminated_at=subscription.terminated_at,
        )
        self._index(entry)
        if subscription.plan_override:
            self._put_plan(plan, state)
        self._put_subscription(entry, plan)

    def _index(self, entry: Entry) -> None:
        before = self._entries.get(entry.id)
        if before is None:
            key = entry.organization_id, entry.external_id
            self._by_external_id.setdefault(key, []).append(entry.id)
        elif before.plan_id != entry.plan_id:
            self._by_plan[before.plan_id].discard(entry.id)
        self._by_plan.setdefault(entry.plan_id, set()).add(entry.id)
        self._entries[entry.id] = entry

    def _put_plan(self, plan: Plan, state: OrganizationState) -> None:
        charges = [
            metered_charge(charge, state.metrics_by_id[charge.billable_metric_id])
            for charge in plan.charges
        ]
        self._meter.put_plan(plan_key(plan), charges)

    def _put_subscription(self, entry: Entry, plan: Plan) -> None:
        ended = entry.terminated_at
        self._meter.put_subscription(
            MeteredSubscription(
                subscription_id=entry.id,
                organization_id=entry.organization_id,
                external_id=entry.external_id,
                stream_id=entry.customer_id,
                plan_key=plan_key(plan),
                started_at_us=micros(entry.started_at),
                terminated_at_us=None if ended is None else micros(ended),
            )
        )


def metered_charge(charge: Charge, metric: BillableMetric) -> MeteredCharge:
    """What metering counts for a charge."""
    charge = spelled_out(charge)
    return MeteredCharge(
        charge_id=charge.id,
        metric_code=metric.code,
        aggregation_type=metric.aggregation_type,
        field_name=metric.field_name,
        recurring=metric.recurring,
        pricing_group_keys=_group_keys(charge.properties),
        filters=tuple(_metered_filters(charge.filters, metric)),
        pay_in_advance=charge.pay_in_advance,
        keeps_values=_keeps_values(charge, metric),
        keeps_changes=charge.prorated,
        keeps_amounts=CHARGE_MODELS[charge.charge_model].needs_amounts,
        presentation_keys=presentation_keys(charge.properties),
    )


def _keeps_values(charge: Charge, metric: BillableMetric) -> bool:
    """Whether the properties of a bucket cannot be priced without the value of each event."""
    model = CHARGE_MODELS[charge.charge_model]
    properties = (charge.properties, *(filter_.properties for filter_ in charge.filters))
    return any(model.needs_values(each, metric.aggregation_type) for each in properties)


def _group_keys(properties: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(properties.get("pricing_group_keys", ()))


def _metered_filters(
    filters: Sequence[ChargeFilter], metric: BillableMetric
) -> Iterator[MeteredFilter]:
    """In their order, but those with the same values among each other by age: the oldest takes all."""
    metered = {filter_.id: _metered_filter(filter_, metric) for filter_ in filters}
    by_age: dict[object, deque[MeteredFilter]] = {}
    for filter_ in sorted(filters, key=lambda each: each.created_at):
        same = by_age.setdefault(_value_sets(metered[filter_.id]), deque())
        same.append(metered[filter_.id])
    return (by_age[_value_sets(metered[filter_.id])].popleft() for filter_ in filters)


def _metered_filter(filter_: ChargeFilter, metric: BillableMetric) -> MeteredFilter:
    return MeteredFilter(
        filter_id=filter_.id,
        values={
            key: metric.values_of(key) if values == ALL_VALUES else values
            for key, values in filter_.values.items()
        },
        pricing_group_keys=_group_keys(filter_.properties),
    )


def _value_sets(filter_: MeteredFilter) -> object:
    return frozenset((key, frozenset(values)) for key, values in filter_.values.items())


def plan_key(plan: Plan) -> UUID:
    """What metering knows one version of a plan by."""
    return ids.derive(plan.id, plan.version)
