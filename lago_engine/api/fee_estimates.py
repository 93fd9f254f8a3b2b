"""`/events/estimate_fees`: what an event would be billed at once, with everything used so far (events §10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from lago_engine.api.answers import json_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, new_uuid
from lago_engine.api.instant_estimates import Subscriber, subscriber_of
from lago_engine.api.routes import post
from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.customer.fee_estimates import estimated_properties
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.decimals import quantize_to
from lago_engine.domain.timezones import micros
from lago_engine.errors import ExpressionFailed, NotFound, ValidationFailed
from lago_engine.projecting.presenting import HIDDEN
from lago_engine.projecting.wire import Members, encode, members, members_list

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
WHOLE_DIGITS_MAX: Final = 25
"""Of an amount that an event carries; AMOUNT_PLACES are its decimals."""

AMOUNT_PLACES: Final = 15


async def estimate(call: Call) -> web.Response:
    given = await call.input("event")
    subscriber = await subscriber_of(call, as_text(given.get("external_subscription_id")))
    _check_timestamp(given.get("timestamp"))
    metric = call.organization.metrics.get(as_text(given.get("code")))
    if metric is None:
        raise NotFound("billable_metric")
    event = _event(call, metric, subscriber, given)
    bodies = await call.engine.estimate_fees(
        call.organization_id,
        subscriber.customer.external_id,
        subscriber.subscription.id,
        encode(event),
    )
    return json_answer({"fees": [_fee(body) for body in bodies]})


def _event(
    call: Call, metric: BillableMetric, subscriber: Subscriber, given: Mapping[str, Any]
) -> Members:
    """The event as it would be stored, checked in the order of the contract."""
    sent = given.get("properties")
    transaction_id = str(new_uuid())
    properties: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    wanted = estimated_properties(metric, properties, transaction_id)
    plan = plan_of(subscriber.subscription, call.organization)
    billed = (charge for charge in plan.charges if charge.pay_in_advance)
    if all(charge.billable_metric_id != metric.id for charge in billed):
        raise ValidationFailed.of("code", "does_not_match_an_instant_charge")
    if metric.expression is not None and metric.field_name is not None:
        value = _computed(call, metric, metric.expression, properties)
        computed = {**properties, metric.field_name: value}
        wanted = estimated_properties(metric, computed, transaction_id)
    return {
        "transaction_id": transaction_id,
        "external_subscription_id": subscriber.subscription.external_id,
        "code": metric.code,
        "properties": wanted,
        "precise_total_amount_cents": _precise_amount(given.get("precise_total_amount_cents")),
    }


def _computed(
    call: Call, metric: BillableMetric, expression: str, properties: Mapping[str, Any]
) -> str:
    """What the expression of the metric gives. Raises ExpressionFailed."""
    value, problem = call.engine.evaluate_expression(
        expression,
        code=metric.code,
        timestamp_us=micros(call.now),
        properties=encode(properties),
    )
    if value is None:
        raise ExpressionFailed(str(problem))
    return value


def _check_timestamp(value: Any) -> None:
    """It is not used, but must be one that an event could have (events §2.2)."""
    if value is None or value is False or isinstance(value, list | dict):
        return
    if value is True or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        raise ValidationFailed.of("timestamp", "invalid_format")


def _precise_amount(value: Any) -> str | None:
    """A price that the event carries, as plain decimal text. Raises ValidationFailed."""
    if isinstance(value, bool | list | dict) or value is None or not str(value).strip():
        return None
    text = str(value).strip()
    if not _NUMBER.fullmatch(text) or Decimal(text).adjusted() >= WHOLE_DIGITS_MAX:
        raise ValidationFailed.of("precise_total_amount_cents", "invalid_format")
    amount = quantize_to(Decimal(text), AMOUNT_PLACES)
    if amount.adjusted() >= WHOLE_DIGITS_MAX:
        raise ValidationFailed.of("precise_total_amount_cents", "invalid_format")
    return format(amount, "f")


def _fee(body: bytes) -> Members:
    """A fee that there is not: it has no id and no instant."""
    fee = members(body)
    del fee[HIDDEN]
    taxes = [
        tax | {"lago_id": None, "lago_fee_id": None} for tax in members_list(fee["applied_taxes"])
    ]
    return fee | {"lago_id": None, "created_at": None, "applied_taxes": taxes}


ROUTES = (post("/events/estimate_fees", estimate),)
