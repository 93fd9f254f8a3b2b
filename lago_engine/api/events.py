"""`/events`: usage events (events §3, §4, §8, §9).

Taking events in is the hot path: the body goes to the engine as raw bytes, and its answer comes back
as raw bytes.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from lago_engine.api.answers import json_answer, json_bytes
from lago_engine.api.bodies import read_body
from lago_engine.api.call import ENGINE, Call, authorize, parse_uuid
from lago_engine.api.params import Page, Params, meta
from lago_engine.api.routes import RequestHandler, Route, get
from lago_engine.api.subscriptions import find
from lago_engine.domain.timezones import micros
from lago_engine.errors import Forbidden, NotFound, ValidationFailed
from lago_engine.projecting.wire import members, members_list, read_string

KIND = "event"


def ingesting(*, single: bool) -> RequestHandler:
    """The handler that takes in one event, or a batch."""

    async def ingest(request: web.Request) -> web.Response:
        organization_id, _ = authorize(request)
        body = await read_body(request)
        partial = bool(request.query_string) and Params(request.query).flag("partial") is True
        answer = await request.app[ENGINE].ingest(
            organization_id, body, single=single, partial=partial
        )
        return json_bytes(answer.body, answer.status)

    return ingest


async def show(call: Call) -> web.Response:
    """The event with the latest timestamp among those with this transaction id."""
    total, events = await _scan(call, Page(1, 1), transaction_id=call.path("transaction_id"))
    if not total:
        raise NotFound(KIND)
    return json_answer({KIND: members_list(events)[0]})


async def index(call: Call) -> web.Response:
    params, page = call.params, call.params.page
    from_started_at = _from_started_at(params)
    start, end = params.instant("timestamp_from"), params.instant("timestamp_to")
    if from_started_at:
        start = await _started_at(call, params.text("external_subscription_id"))
    total, events = await _scan(
        call,
        page,
        code=params.text("code"),
        external_subscription_id=params.text("external_subscription_id"),
        start=start,
        end=end,
    )
    return json_answer({"events": msgspec.Raw(events), "meta": meta(page, total)})


async def _scan(
    call: Call,
    page: Page,
    *,
    code: str | None = None,
    external_subscription_id: str | None = None,
    transaction_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> tuple[int, bytes]:
    return await call.engine.scan_events(
        call.organization_id,
        code=code,
        external_subscription_id=external_subscription_id,
        transaction_id=transaction_id,
        from_us=None if start is None else micros(start),
        to_us=None if end is None else micros(end),
        offset=page.offset,
        limit=page.size,
    )


def _from_started_at(params: Params) -> bool:
    """Whether the list begins where the subscription began. Raises ValidationFailed."""
    value = params.text("timestamp_from_started_at")
    if value not in (None, "true", "false"):
        raise ValidationFailed.of("timestamp_from_started_at", "must be one of: true, false")
    if value != "true":
        return False
    if params.text("timestamp_from") is not None:
        raise ValidationFailed.of("timestamp_from", "cannot be used with timestamp_from_started_at")
    if params.text("external_subscription_id") is None:
        raise ValidationFailed.of(
            "external_subscription_id", "required with timestamp_from_started_at"
        )
    return True


async def _started_at(call: Call, external_id: str | None) -> datetime | None:
    """When the active subscription began, else the one that ended last; None without any."""
    assert external_id is not None
    try:
        found = members(await find(call, external_id, "active", "terminated"))
    except NotFound:
        return None
    owner = await call.engine.customer(
        call.organization_id, read_string(found["external_customer_id"])
    )
    assert owner is not None, "a subscription has a customer"
    subscription_id = parse_uuid(read_string(found["lago_id"]), "subscription")
    return owner.subscriptions[subscription_id].started_at


async def enriched(call: Call) -> web.Response:
    """Only organizations on Lago's column store have it (events.md §9.1)."""
    raise Forbidden("endpoint_not_available")


ROUTES = (
    Route("POST", "/events", ingesting(single=True), often=True),
    Route("POST", "/events/batch", ingesting(single=False), often=True),
    get("/events", index),
    get("/events_enriched", enriched),
    get("/events/{transaction_id}", show),
)
