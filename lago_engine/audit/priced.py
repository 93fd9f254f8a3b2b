"""What an invoice was priced by, read from the log, and which bucket of a charge an event belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any
from uuid import UUID

from lago_engine.actors.directory import metered_charge
from lago_engine.audit.recompute import INVOICE_EVENTS
from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.invoicing.model import InvoiceLink
from lago_engine.domain.rating.assignment import assigned_filter, property_text
from lago_engine.metering import MeteredCharge
from lago_engine.store.codec import EventCodec, unpack_state
from lago_engine.store.port import Store
from lago_engine.store.upcasters import UPCASTERS

Bucket = tuple[UUID | None, tuple[str | None, ...]]
"""Charge filter, None for the default bucket, and a value per pricing group key."""

SUBSCRIPTION_EVENTS = (
    e.SubscriptionCreated,
    e.SubscriptionStarted,
    e.SubscriptionUpdated,
    e.SubscriptionRepriced,
)


def priced_charges(store: Store, customer_id: UUID, invoice_id: UUID) -> dict[UUID, MeteredCharge]:
    """The charges of an invoice by id, as they were when it was last computed."""
    codec = EventCodec(e.EVENT_TYPES, UPCASTERS)
    position = 0
    links: tuple[InvoiceLink, ...] = ()
    for at, event in _facts(store, codec, customer_id):
        if isinstance(event, INVOICE_EVENTS) and event.invoice.id == invoice_id:
            position, links = at, event.invoice.links
    charges = {}
    for link in links:
        plan = _plan_of(store, codec, customer_id, link)
        for charge in plan.charges:
            *_, metric = (
                known.metric
                for at, known in _facts(store, codec, charge.billable_metric_id)
                if at < position
            )
            charges[charge.id] = metered_charge(charge, metric)
    return charges


def _plan_of(store: Store, codec: EventCodec, customer_id: UUID, link: InvoiceLink) -> Plan:
    """The plan of a link at its version: of the catalog, or a child plan in the customer's stream."""
    plans = [
        event.plan
        for _, event in _facts(store, codec, link.plan_id)
        if isinstance(event, e.PlanCreated | e.PlanUpdated)
    ]
    children = (
        event.subscription.plan_override
        for _, event in _facts(store, codec, customer_id)
        if isinstance(event, SUBSCRIPTION_EVENTS) and event.subscription.plan_override
    )
    key = link.plan_id, link.plan_version
    return next(plan for plan in chain(plans, children) if (plan.id, plan.version) == key)


def _facts(store: Store, codec: EventCodec, stream_id: UUID) -> Iterator[tuple[int, Any]]:
    """The events of a stream with their log positions."""
    for row in store.read_stream(stream_id):
        _, body = unpack_state(row.state)
        yield row.position, codec.decode(row.topic, body)[1]


def bucket_of(charge: MeteredCharge, properties: Mapping[str, Any]) -> Bucket:
    """The one bucket of an event (charges.md §7.3).

    Most keys win; of filters with the same keys one whose values are all among those of the other; then the first.
    """
    index = assigned_filter([each.values for each in charge.filters], properties)
    filter_ = None if index is None else charge.filters[index]
    keys = charge.pricing_group_keys if filter_ is None else filter_.pricing_group_keys
    group = tuple(property_text(properties.get(key)) or None for key in keys)
    return None if filter_ is None else filter_.filter_id, group
