"""`POST /invoices/:id/payment_url` (payments.md §6)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call
from lago_engine.api.files import file_url
from lago_engine.api.routes import post
from lago_engine.projecting.presenting import payment_provider_name
from lago_engine.projecting.wire import members, read_string

KIND: Final = "invoice"


async def payment_url(call: Call) -> web.Response:
    """Where the customer can pay; whoever has paid comes back to the invoice."""
    invoice_id = call.uuid("lago_id", KIND)
    customer = members(members(await call.stored(KIND, str(invoice_id)))["customer"])
    owner = UUID(read_string(customer["lago_id"]))
    back = file_url(call.request, KIND, call.organization_id, invoice_id)
    link = await call.engine.payment_page(call.organization_id, owner, invoice_id, back)
    return object_answer(
        "invoice_payment_details",
        {
            "lago_customer_id": customer["lago_id"],
            "external_customer_id": customer["external_id"],
            "payment_provider": payment_provider_name(link.payment, call.organization),
            "lago_invoice_id": invoice_id,
            "payment_url": link.url,
        },
    )


ROUTES = (post("/invoices/{lago_id}/payment_url", payment_url),)
