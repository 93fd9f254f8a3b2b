"""`/events/estimate_instant_fees` and its batch: prices of events that are not stored (events §11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from lago_engine.api.answers import json_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, parse_uuid
from lago_engine.api.routes import post
from lago_engine.api.subscriptions import find
from lago_engine.domain.catalog.entities import BillableMetric, Plan
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.rating.instant_estimates import (
    EstimatedEvent,
    eligible_charges,
    estimate_instant_fees,
)
from lago_engine.domain.timezones import micros
from lago_engine.errors import ValidationFailed
from lago_engine.projecting.wire import encode, members, read_string

EVENTS_MAX: Final = 100
"""Of one body, which is priced where others wait."""


class Subscriber(msgspec.Struct, frozen=True):
    """An active subscription with what its fees show."""

    subscription: Subscription
    customer: CustomerProfile
    plan: Plan


async def estimate(call: Call) -> web.Response:
    return await _answer(call, [await call.input("event")])


async def estimate_batch(call: Call) -> web.Response:
    events = (await call.body()).get("events")
    if not isinstance(events, list) or not events:
        raise ValidationFailed.of("events", "no_events")
    if len(events) > EVENTS_MAX:
        raise ValidationFailed.of("events", "too_many_events")
    return await _answer(call, [_flat(event) for event in events])


def _flat(event: Any) -> Mapping[str, Any]:
    """An item of a batch; Lago's own description wraps it as a single one is."""
    given = event if isinstance(event, dict) else {}
    wrapped = given.get("event")
    return wrapped if isinstance(wrapped, dict) else given


async def _answer(call: Call, events: Sequence[Mapping[str, Any]]) -> web.Response:
    """Fees by subscription in the order of first appearance, then by event, then by charge."""
    by_subscription: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        external_id = as_text(event.get("external_subscription_id"))
        by_subscription.setdefault(external_id, []).append(event)
    subscribers = {each: await subscriber_of(call, each) for each in by_subscription}
    fees = [
        fee
        for external_id, given in by_subscription.items()
        for item in given
        for fee in _fees(call, subscribers[external_id], item)
    ]
    if not fees:
        raise ValidationFailed.of("code", "does_not_match_an_instant_charge")
    return json_answer({"fees": fees})


def _fees(
    call: Call, subscriber: Subscriber, given: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """One fee for each charge that would bill the event at once."""
    plan, code = subscriber.plan, as_text(given.get("code"))
    charges = eligible_charges(plan, call.organization, code)
    if not charges:
        return iter(())
    event = _event(call, charges[0][1], given)
    return estimate_instant_fees(event, charges, plan, subscriber.subscription, subscriber.customer)


def _event(call: Call, metric: BillableMetric, given: Mapping[str, Any]) -> EstimatedEvent:
    """The event with what the expression of its metric computes."""
    sent = given.get("properties")
    properties = sent if isinstance(sent, dict) else {}
    if metric.expression is not None and metric.field_name is not None:
        value, _ = call.engine.evaluate_expression(
            metric.expression,
            code=metric.code,
            timestamp_us=micros(call.now),
            properties=encode(properties),
        )
        if value is None:
            raise ValidationFailed.of("properties", "value_is_not_valid_number")
        properties = properties | {metric.field_name: value}
    transaction_id = as_text(given.get("transaction_id")) or None
    return EstimatedEvent(code=metric.code, properties=properties, transaction_id=transaction_id)


async def subscriber_of(call: Call, external_id: str) -> Subscriber:
    """The active subscription with an external id. Raises NotFound."""
    found = members(await find(call, external_id, "active"))
    owner = await call.engine.customer(
        call.organization_id, read_string(found["external_customer_id"])
    )
    assert owner is not None, "a subscription has a customer"
    subscription = owner.subscriptions[parse_uuid(read_string(found["lago_id"]), "subscription")]
    plan = call.organization.plans_by_id[subscription.plan_id]
    return Subscriber(subscription, owner.profile, plan)


ROUTES = (
    post("/events/estimate_instant_fees", estimate),
    post("/events/batch_estimate_instant_fees", estimate_batch),
)
