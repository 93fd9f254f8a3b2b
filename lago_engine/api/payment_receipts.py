"""`/payment_receipts` (payments §10)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call
from lago_engine.api.files import file_url
from lago_engine.api.payments import of_invoice
from lago_engine.api.routes import get
from lago_engine.projecting.wire import Members, read_string

KIND: Final = "payment_receipt"


async def index(call: Call) -> web.Response:
    def show(body: bytes) -> Members:
        return with_file(call, body)

    conditions = of_invoice(call.params, "payment.invoice_ids")
    return await call.answer_list(KIND, "payment_receipts", filters=conditions, show=show)


async def show(call: Call) -> web.Response:
    body = await call.stored(KIND, str(call.uuid("lago_id", KIND)))
    return object_answer(KIND, with_file(call, body))


def with_file(call: Call, body: bytes) -> Members:
    """A stored receipt with the address of its PDF."""
    receipt = call.present(KIND, body)
    receipt_id = UUID(read_string(receipt["lago_id"]))
    return receipt | {"file_url": file_url(call.request, KIND, call.organization_id, receipt_id)}


ROUTES = (
    get("/payment_receipts", index),
    get("/payment_receipts/{lago_id}", show),
)
