"""`POST /invoices/preview` (invoices.md §15): what an invoice would say; nothing is stored."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from aiohttp import web

from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.call import Call
from lago_engine.api.routes import post
from lago_engine.projecting.presenting import present_invoice
from lago_engine.projecting.wire import Members, members_list

NOBODY: Final = UUID(int=0)
"""The id of nothing; null would be refused by Lago's schema and its Python client."""


async def preview(call: Call) -> web.Response:
    given = await call.body()
    for field, kind, refusal in (
        ("coupons", list, "coupons_must_be_an_array"),
        ("subscriptions", dict, "subscriptions_must_be_an_object"),
    ):
        if not isinstance(given.get(field), kind | None):
            return json_answer({"status": 400, "error": refusal}, 400)
    previewed = await call.engine.preview_invoice(call.organization_id, given)
    invoice = present_invoice(
        previewed.invoice, previewed.subscriptions, call.organization, call.now
    )
    return object_answer("invoice", _without_ids(invoice))


def _without_ids(invoice: Members) -> Members:
    """The invoice as one that does not exist: neither it nor its fees have an id that anybody could ask for."""
    fees = members_list(invoice["fees"])
    return invoice | {
        "lago_id": NOBODY,
        "fees": [fee | {"lago_id": None, "lago_invoice_id": None} for fee in fees],
    }


ROUTES = (post("/invoices/preview", preview),)
