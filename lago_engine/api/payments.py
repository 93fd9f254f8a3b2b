"""`/payments` (payments §2, §7)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.call import Call
from lago_engine.api.filters import Condition
from lago_engine.api.invoices import owner_of
from lago_engine.api.params import Params
from lago_engine.api.routes import get, post
from lago_engine.domain.commands import RecordManualPayment
from lago_engine.domain.customer.payments import manual_invoice_id
from lago_engine.errors import ValidationFailed
from lago_engine.store.query import Filter

KIND = "payment"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    invoice_id = manual_invoice_id(given)
    command = RecordManualPayment(
        organization_id=call.organization_id,
        customer_id=await owner_of(call, invoice_id, hidden=True),
        invoice_id=invoice_id,
        input=given,
    )
    (payment_id,) = await call.book(command)
    return await call.answer(KIND, str(payment_id))


async def index(call: Call) -> web.Response:
    return await answer_payments(call)


async def answer_payments(call: Call, *, parent: str | None = None) -> web.Response:
    """A page of payments, of one customer when `parent` names one."""
    conditions = payment_filters(call.params)
    return await call.answer_list(KIND, "payments", filters=conditions, parent=parent)


def payment_filters(params: Params) -> Iterator[Condition]:
    """The filters of `GET /payments`."""
    yield from of_invoice(params, "invoice_ids")
    yield from filters.equals("external_customer_id", params.text("external_customer_id"))


def of_invoice(params: Params, member: str) -> Iterator[Condition]:
    """The filter `invoice_id` on a list of ids."""
    invoice_id = params.text("invoice_id")
    if invoice_id is not None:
        yield Filter(member, "has_item", _uuid(invoice_id))


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValidationFailed.of("invoice_id", "value_is_invalid") from None


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, str(call.uuid("lago_id", KIND)))


ROUTES = (
    post("/payments", create),
    get("/payments", index),
    get("/payments/{lago_id}", show),
)
