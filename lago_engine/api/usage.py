"""`/customers/{external_id}/current_usage`, `/past_usage` and `/projected_usage` (metrics §11)."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from aiohttp import web

from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.call import Call
from lago_engine.api.filters import owned_by
from lago_engine.api.params import PER_PAGE_MAX, Page, Params, meta
from lago_engine.api.routes import get
from lago_engine.domain.invoicing.model import InvoicingReason
from lago_engine.domain.rating.past_usage import past_usage as period_of
from lago_engine.domain.rating.usage_question import UsageQuestion
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.store.documents import AnyOf, Filter, Query

CHARGE_FILTERS = (
    ("charge_id", "filter_by_charge_id"),
    ("charge_code", "filter_by_charge_code"),
    ("billable_metric_code", "filter_by_metric_code"),
)
"""Each with its alias; of several the first one given counts."""

GROUP = ("group", "filter_by_group")


async def current_usage(call: Call) -> web.Response:
    params = call.params
    question = UsageQuestion(
        apply_taxes=params.flag("apply_taxes") is not False,
        charge_filter=charge_filter(params),
        only=group_filter(params),
        skip_grouping=params.flag("skip_grouping") is True,
        presentation=presentation_filter(params),
        full=params.flag("full_usage") is True,
    )
    usage = await call.engine.current_usage(
        call.organization_id, call.path("external_id"), _subscription(params), question
    )
    return object_answer("customer_usage", usage)


async def projected_usage(call: Call) -> web.Response:
    usage = await call.engine.projected_usage(
        call.organization_id,
        call.path("external_id"),
        _subscription(call.params),
        apply_taxes=call.params.flag("apply_taxes") is not False,
    )
    return object_answer("customer_projected_usage", usage)


async def past_usage(call: Call) -> web.Response:
    """Periods that were billed, the latest first; an unknown customer has none."""
    params, organization = call.params, call.organization
    subscription = params.text("external_subscription_id")
    if subscription is None:
        raise ValidationFailed.of("external_subscription_id", "value_is_mandatory")
    code = params.text("billable_metric_code")
    if code is not None and code not in organization.metrics:
        raise NotFound("billable_metric")
    metric_id = None if code is None else organization.metrics[code].id
    page = params.page
    count = params.integer("periods_count")
    if count is not None:
        page = Page(page.number, min(max(count, 1), PER_PAGE_MAX))
    external_id = call.path("external_id")
    owned = owned_by("invoice", external_id, organization)
    query = Query(
        filters=(Filter("status", "eq", "finalized"), _bills_usage_of(subscription), *owned),
        parent=external_id,
        offset=page.offset,
        limit=page.size,
    )
    bodies, total = await call.page("invoice", query)
    customer = await call.engine.customer(call.organization_id, external_id)
    periods = [
        period_of(msgspec.json.decode(body), subscription, metric_id, organization, customer)
        for body in bodies
        if customer is not None
    ]
    return json_answer({"usage_periods": periods, "meta": meta(page, total)})


def _bills_usage_of(external_subscription_id: str) -> AnyOf:
    return AnyOf(
        tuple(
            Filter(
                "billing_periods",
                "has_item",
                {"external_subscription_id": external_subscription_id, "invoicing_reason": reason},
            )
            for reason in get_args(InvoicingReason)
            if reason != "subscription_starting"
        )
    )


def _subscription(params: Params) -> str:
    return params.text("external_subscription_id") or ""


def charge_filter(params: Params) -> dict[str, str] | None:
    """Which charges are asked for: one of the names of CHARGE_FILTERS and its value."""
    for name, alias in CHARGE_FILTERS:
        value = params.text(name, alias)
        if value is not None:
            return {name: value}
    return None


def group_filter(params: Params) -> dict[str, tuple[str, ...]]:
    """`group[region]=eu`, with lists, or the same as a JSON object; texts an event's properties must have."""
    for name in GROUP:
        given = params.lists(name)
        if given:
            return given
        text = params.text(name)
        if text is not None:
            return _texts_by_key(name, text)
    return {}


def _texts_by_key(name: str, text: str) -> dict[str, tuple[str, ...]]:
    object_ = _json(name, text)
    if not isinstance(object_, dict):
        raise ValidationFailed.of(name, "value_is_invalid")
    return {
        key: tuple(_text(name, each) for each in (value if isinstance(value, list) else [value]))
        for key, value in object_.items()
    }


def presentation_filter(params: Params) -> tuple[str, ...] | None:
    """The presentation keys to keep; None when all are shown."""
    name = "filter_by_presentation"
    text = params.text(name)
    if text is None:
        return None
    keys = _json(name, text)
    if not isinstance(keys, list):
        raise ValidationFailed.of(name, "value_is_invalid")
    return tuple(_text(name, key) for key in keys)


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ValidationFailed.of(name, "value_is_invalid") from None


def _text(name: str, value: Any) -> str:
    """A value as properties are compared by: numbers and truth values as JSON writes them."""
    if value is None or isinstance(value, list | dict):
        raise ValidationFailed.of(name, "value_is_invalid")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


ROUTES = (
    get("/customers/{external_id}/current_usage", current_usage),
    get("/customers/{external_id}/past_usage", past_usage),
    get("/customers/{external_id}/projected_usage", projected_usage),
)
