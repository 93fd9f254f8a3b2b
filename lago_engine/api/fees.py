"""`/fees` (invoices §16; filters: api_conventions §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, Order
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, update
from lago_engine.domain.commands import DeleteFee, UpdateFee
from lago_engine.errors import NotAllowed
from lago_engine.projecting.presenting import HIDDEN, FeeHidden
from lago_engine.projecting.wire import members, read_string
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


class Standalone(NamedTuple):
    """A fee that may be changed: whose it is, and whether it waits for an `advance_charges` invoice."""

    id: UUID
    customer_id: UUID
    regroup: bool


async def _standalone(call: Call) -> Standalone:
    """The fee of the path. Raises NotFound, and NotAllowed when it is on an invoice."""
    fee_id = call.uuid("lago_id", KIND)
    document = members(await call.stored(KIND, str(fee_id)))
    hidden = document.get(HIDDEN)
    if hidden is None or bytes(document["lago_invoice_id"]) != b"null":
        raise NotAllowed("invoiced_fee")
    return Standalone(
        fee_id,
        UUID(read_string(document["lago_customer_id"])),
        msgspec.json.decode(hidden, type=FeeHidden).regroup,
    )


async def change(call: Call) -> web.Response:
    given = await call.input(KIND)
    fee = await _standalone(call)
    await call.execute(
        UpdateFee(
            organization_id=call.organization_id,
            customer_id=fee.customer_id,
            fee_id=fee.id,
            regroup=fee.regroup,
            input=given,
        )
    )
    return await call.answer(KIND, str(fee.id))


async def destroy(call: Call) -> web.Response:
    """The fee as it was."""
    fee = await _standalone(call)
    shown = call.present(KIND, await call.stored(KIND, str(fee.id)))
    await call.execute(
        DeleteFee(
            organization_id=call.organization_id,
            customer_id=fee.customer_id,
            fee_id=fee.id,
            regroup=fee.regroup,
        )
    )
    return object_answer(KIND, shown)


ROUTES = (
    get("/fees", index),
    get("/fees/{lago_id}", show),
    *update("/fees/{lago_id}", change),
    delete("/fees/{lago_id}", destroy),
)
