"""`/fees` (invoices §16; filters: api_conventions §3.2)."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.call import Call, Order
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import get
from lago_engine.store.query import Filter

KIND = "fee"
OLDEST_FIRST: Order = (("sort_key", "asc"), ("position", "asc"))

FEE_TYPES = ("charge", "add_on", "subscription", "credit", "commitment", "fixed_charge")
PAYMENT_STATUSES = ("pending", "succeeded", "failed", "refunded")


async def index(call: Call) -> web.Response:
    conditions = fee_filters(call.params)
    return await call.answer_list(KIND, "fees", filters=conditions, order=OLDEST_FIRST)


def fee_filters(params: Params) -> Iterator[Condition]:
    """The filters of `GET /fees`."""
    yield from filters.equals("external_customer_id", params.text("external_customer_id"))
    subscription = params.text("external_subscription_id")
    yield from filters.equals("external_subscription_id", subscription)
    yield from filters.equals("amount_currency", params.text("currency"))
    yield from filters.equals("item.type", params.choice("fee_type", among=FEE_TYPES))
    metric = params.text("billable_metric_code")
    if metric is not None:
        yield Filter("item.type", "eq", "charge")
        yield Filter("item.code", "eq", metric)
    status = params.choice("payment_status", among=PAYMENT_STATUSES)
    yield from filters.equals("payment_status", status)
    yield from filters.equals("event_transaction_id", params.text("event_transaction_id"))
    for name in ("created_at", "succeeded_at", "failed_at", "refunded_at"):
        yield from filters.between(params, name, name)


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, str(call.uuid("lago_id", KIND)))


ROUTES = (get("/fees", index), get("/fees/{lago_id}", show))
