"""`/subscriptions` (subscriptions §1.2, §1.3, §2.1, §5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import object_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, Order, event_of
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, post, put
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    CreateSubscription,
    TerminateSubscription,
    UpdateSubscription,
)
from lago_engine.domain.customer.state import SubscriptionStatus
from lago_engine.domain.events import (
    DomainEvent,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionTerminated,
    SubscriptionUpdated,
)
from lago_engine.errors import NotFound
from lago_engine.projecting.presenting import plan_address
from lago_engine.projecting.wire import Members, members, read_string, without
from lago_engine.store.query import Filter, Query

KIND = "subscription"

STATUSES = frozenset({*get_args(SubscriptionStatus), "incomplete"})
LIST_ORDER: Order = (("subscription_at", "desc"), ("sort_key", "desc"), ("position", "desc"))
LATEST: Order = (("terminated_at", "desc"), ("started_at", "desc"), ("position", "desc"))
"""Not terminated first, then the one that ended last."""

THRESHOLDS: Members = {"applicable_usage_thresholds": []}
BLOCKS: Members = {"entitlements": []} | THRESHOLDS
CUSTOM_SECTIONS: Members = {"applied_invoice_custom_sections": []}
PLAN_SECTIONS_ELSEWHERE = ("fixed_charges", "entitlements")
"""What plans show but not inside a subscription."""


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    owner = as_text(given.get("external_customer_id")).strip()
    events = await call.execute(
        CreateSubscription(
            organization_id=call.organization_id,
            customer_id=call.organization.customer_id(owner),
            input=given,
        )
    )
    lago_id = answered_subscription(events)
    if lago_id is not None:
        body = await call.stored(KIND, str(lago_id))
    else:
        # The same request again: nothing happened, the subscription is the one in force.
        external_id = as_text(given.get("external_id")).strip()
        body = await find(call, external_id, "active", "pending", owner=owner)
    return await answer_whole(call, body)


def answered_subscription(events: Sequence[DomainEvent]) -> UUID | None:
    """What a creation answers: the current subscription of a scheduled or replaced plan, else the new one."""
    changed = event_of(events, SubscriptionUpdated)
    created = event_of(events, SubscriptionCreated)
    event = changed or created
    return None if event is None else event.subscription.id


async def answer_whole(call: Call, body: bytes) -> web.Response:
    """A stored subscription with every block a single one has."""
    return object_answer(KIND, await with_plan(call, body) | BLOCKS | CUSTOM_SECTIONS)


async def with_plan(call: Call, body: bytes) -> Members:
    """A stored subscription as clients see it now, with its plan."""
    subscription = call.present(KIND, body)
    kind, key = plan_address(body, call.organization)
    plan = call.present(kind, await call.stored(kind, key))
    return subscription | {"plan": without(plan, *PLAN_SECTIONS_ELSEWHERE)}


async def find(call: Call, external_id: str, *statuses: str, owner: str | None = None) -> bytes:
    """The latest stored subscription with an external id and one of the statuses. Raises NotFound."""
    conditions = (Filter("external_id", "eq", external_id), Filter("status", "in", list(statuses)))
    query = Query(filters=conditions, parent=owner, order=LATEST, limit=1)
    bodies, _ = await call.page(KIND, query)
    if not bodies:
        raise NotFound(KIND)
    return bodies[0]


async def index(call: Call) -> web.Response:
    return await answer_subscriptions(call)


async def answer_subscriptions(call: Call, *, parent: str | None = None) -> web.Response:
    """A page of subscriptions, of one customer when `parent` names one."""
    return await call.answer_list(
        KIND,
        "subscriptions",
        filters=subscription_filters(call.params, call.organization),
        parent=parent,
        order=LIST_ORDER,
    )


def subscription_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /subscriptions`; an unknown status drops the filter by status."""
    yield from filters.equals("external_customer_id", params.text("external_customer_id"))
    yield from filters.equals("external_id", params.text("external_id"))
    yield from filters.equals("plan_code", params.text("plan_code"))
    yield from filters.equals("plan_amount_currency", params.text("currency"))
    yield from filters.billing_entities(params, organization)
    if (overridden := params.flag("overridden", "overriden")) is not None:
        yield Filter("_.has_own_plan", "not_null" if overridden else "is_null")
    statuses = params.texts("status") or ["active"]
    if STATUSES.issuperset(statuses):
        yield Filter("status", "in", statuses)


async def show(call: Call) -> web.Response:
    status = call.params.text("status") or "active"
    return await answer_whole(call, await find(call, call.path("external_id"), status))


async def update(call: Call) -> web.Response:
    given = await call.input(KIND)
    found = members(await find_editable(call, call.path("external_id")))
    owner = UUID(read_string(found["lago_customer_id"]))
    lago_id = UUID(read_string(found["lago_id"]))
    await call.execute(
        UpdateSubscription(
            organization_id=call.organization_id,
            customer_id=owner,
            subscription_id=lago_id,
            input=given,
        )
    )
    shown = await with_plan(call, await call.stored(KIND, str(lago_id)))
    return object_answer(KIND, shown | THRESHOLDS | CUSTOM_SECTIONS)


async def find_editable(call: Call, external_id: str) -> bytes:
    """The only subscription with the id, whatever its status; of several the one of the asked status."""
    named = Filter("external_id", "eq", external_id)
    bodies, total = await call.page(KIND, Query(filters=(named,), order=LIST_ORDER, limit=1))
    if total == 1:
        return bodies[0]
    status = call.params.text("status")
    wanted = Filter("status", "eq", status if status in ("pending", "incomplete") else "active")
    bodies, _ = await call.page(KIND, Query(filters=(named, wanted), order=LIST_ORDER, limit=1))
    if not bodies:
        raise NotFound(KIND)
    return bodies[0]


async def destroy(call: Call) -> web.Response:
    external_id = call.path("external_id")
    given = await call.body() | dict(call.request.query)
    status = "pending" if given.get("status") == "pending" else "active"
    found = members(await find(call, external_id, status))
    owner = UUID(read_string(found["lago_customer_id"]))
    events = await call.execute(
        TerminateSubscription(
            organization_id=call.organization_id,
            customer_id=owner,
            external_id=external_id,
            input=given,
        )
    )
    event = event_of(events, SubscriptionTerminated) or event_of(events, SubscriptionCanceled)
    assert event is not None
    body = await call.stored(KIND, str(event.subscription.id))
    return object_answer(KIND, await with_plan(call, body) | CUSTOM_SECTIONS)


ROUTES = (
    post("/subscriptions", create),
    get("/subscriptions", index),
    get("/subscriptions/{external_id}", show),
    put("/subscriptions/{external_id}", update),
    delete("/subscriptions/{external_id}", destroy),
)
