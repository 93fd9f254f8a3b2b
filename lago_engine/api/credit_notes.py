"""`/credit_notes` (coupons_wallets_credit_notes §9 - §13)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, get_args
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, parse_uuid
from lago_engine.api.files import file_url
from lago_engine.api.filters import Condition
from lago_engine.api.invoices import SEARCHED, owner_of
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, post, put, update
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    ChangeCreditNoteMetadata,
    CreateCreditNote,
    UpdateCreditNote,
    VoidCreditNote,
)
from lago_engine.domain.customer.credit_notes import Estimate, estimate_credit_note
from lago_engine.domain.decimals import as_json_number
from lago_engine.domain.invoicing.credit_note import CreditStatus, Reason, RefundStatus
from lago_engine.domain.money import CURRENCIES
from lago_engine.errors import NotFound
from lago_engine.projecting.wire import Members, members, read_string, without
from lago_engine.store.query import AnyOf, Filter

KIND: Final = "credit_note"
DETAILS = ("items", "applied_taxes", "customer", "error_details", "metadata")
TYPES = ("credit", "refund", "offset")


# --- lists -------------------------------------------------------------------------------------


async def index(call: Call) -> web.Response:
    return await _answer_notes(call)


async def customer_index(call: Call) -> web.Response:
    external_id = call.path("external_id")
    await call.stored("customer", external_id)
    return await _answer_notes(call, parent=external_id)


async def _answer_notes(call: Call, *, parent: str | None = None) -> web.Response:
    conditions = credit_note_filters(call.params, call.organization)

    def show(body: bytes) -> Members:
        return without(with_file(call, body), "error_details")

    return await call.answer_list(
        KIND, "credit_notes", filters=conditions, parent=parent, show=show
    )


def credit_note_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /credit_notes`; words that are not known select everything."""
    yield from filters.equals("customer.external_id", params.text("external_customer_id"))
    yield from filters.billing_entities(params, organization)
    for name, known in (
        ("credit_status", get_args(CreditStatus)),
        ("refund_status", get_args(RefundStatus)),
        ("reason", get_args(Reason)),
        ("currency", CURRENCIES),
    ):
        yield from filters.one_of(name, [word for word in params.texts(name) if word in known])
    yield from filters.equals("invoice_number", params.text("invoice_number"))
    if (number := params.text("purchase_order_number")) is not None:
        yield Filter("purchase_order_number", "eq_ci", number)
    yield from filters.amounts_and_dates(params)
    yield from filters.equals("self_billed", params.flag("self_billed"))
    types = [word for word in params.texts("types") if word in TYPES]
    if types:
        yield AnyOf(tuple(Filter(f"{each}_amount_cents", "gt", 0) for each in types))
    if (term := params.text("search_term")) is not None:
        yield AnyOf((Filter(SEARCHED, "contains_ci", term), Filter("lago_id", "eq", term.lower())))


def with_file(call: Call, body: bytes) -> Members:
    """A stored note with the address of its PDF."""
    note = call.present(KIND, body)
    note_id = UUID(read_string(note["lago_id"]))
    return note | {"file_url": file_url(call.request, KIND, call.organization_id, note_id)}


async def _answer(call: Call, note_id: UUID) -> web.Response:
    body = await call.stored(KIND, str(note_id))
    return object_answer(KIND, with_file(call, body))


# --- one note ----------------------------------------------------------------------------------


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    invoice_id = parse_uuid(as_text(given.get("invoice_id")), "invoice")
    command = CreateCreditNote(
        organization_id=call.organization_id,
        customer_id=await owner_of(call, invoice_id),
        invoice_id=invoice_id,
        input=given,
    )
    (note_id,) = await call.book(command)
    return await _answer(call, note_id)


async def estimate(call: Call) -> web.Response:
    """What a note over these items would be; nothing is kept."""
    given = await call.input(KIND)
    invoice_id = parse_uuid(as_text(given.get("invoice_id")), "invoice")
    invoice = members(await call.stored("invoice", str(invoice_id)))
    external_id = read_string(members(invoice["customer"])["external_id"])
    state = await call.engine.customer(call.organization_id, external_id)
    if state is None:
        raise NotFound("invoice")
    return object_answer(
        "estimated_credit_note", _estimated(estimate_credit_note(state, invoice_id, given))
    )


def _estimated(found: Estimate) -> Members:
    amounts, currency = found.amounts, found.record.currency
    return {
        "lago_invoice_id": found.record.id,
        "invoice_number": found.record.number,
        "currency": currency,
        "taxes_amount_cents": amounts.taxes_amount_cents,
        "precise_taxes_amount_cents": as_json_number(amounts.precise_taxes_amount_cents),
        "taxes_rate": as_json_number(amounts.taxes_rate),
        "sub_total_excluding_taxes_amount_cents": amounts.sub_total_excluding_taxes_amount_cents,
        "max_creditable_amount_cents": found.max_creditable_amount_cents,
        "max_refundable_amount_cents": found.max_refundable_amount_cents,
        "max_offsettable_amount_cents": found.max_offsettable_amount_cents,
        "coupons_adjustment_amount_cents": amounts.coupons_adjustment_amount_cents,
        "precise_coupons_adjustment_amount_cents": as_json_number(
            amounts.precise_coupons_adjustment_amount_cents
        ),
        "items": [
            {"amount_cents": item.amount_cents, "lago_fee_id": item.fee_id}
            for item in amounts.items
        ],
        "applied_taxes": [
            {
                "lago_tax_id": tax.tax_id,
                "tax_name": tax.tax_name,
                "tax_code": tax.tax_code,
                "tax_rate": as_json_number(tax.tax_rate),
                # Text also where a tax has none: the official clients require a string.
                "tax_description": tax.tax_description or "",
                "base_amount_cents": tax.base_amount_cents,
                "amount_cents": tax.amount_cents,
                "amount_currency": currency,
            }
            for tax in amounts.applied_taxes
        ],
    }


async def show(call: Call) -> web.Response:
    return await _answer(call, call.uuid("lago_id", KIND))


async def change(call: Call) -> web.Response:
    note_id, given = call.uuid("lago_id", KIND), await call.input(KIND)
    command = UpdateCreditNote(
        organization_id=call.organization_id,
        customer_id=await _owner(call, note_id),
        credit_note_id=note_id,
        input=given,
    )
    await call.execute(command)
    return await _answer(call, note_id)


async def void(call: Call) -> web.Response:
    note_id = call.uuid("lago_id", KIND)
    command = VoidCreditNote(
        organization_id=call.organization_id,
        customer_id=await _owner(call, note_id),
        credit_note_id=note_id,
    )
    await call.execute(command)
    return await _answer(call, note_id)


async def download(call: Call) -> web.Response:
    """The note without sections, with the address of a PDF that is ready."""
    note_id = call.uuid("lago_id", KIND)
    note = with_file(call, await call.stored(KIND, str(note_id)))
    await call.engine.document_pdf(call.organization_id, KIND, note_id)
    return object_answer(KIND, without(note, *DETAILS))


async def _owner(call: Call, note_id: UUID) -> UUID:
    """The customer of a note. Raises NotFound."""
    customer = members(members(await call.stored(KIND, str(note_id)))["customer"])
    return UUID(read_string(customer["lago_id"]))


# --- its metadata ------------------------------------------------------------------------------


async def replace_metadata(call: Call) -> web.Response:
    return await _metadata(call, "replace", {"metadata": (await call.body()).get("metadata")})


async def merge_metadata(call: Call) -> web.Response:
    return await _metadata(call, "merge", {"metadata": (await call.body()).get("metadata")})


async def drop_metadata(call: Call) -> web.Response:
    return await _metadata(call, "drop", {})


async def drop_metadata_key(call: Call) -> web.Response:
    return await _metadata(call, "drop_key", {"key": call.path("key")})


async def _metadata(
    call: Call, change: Literal["replace", "merge", "drop", "drop_key"], given: dict[str, Any]
) -> web.Response:
    note_id = call.uuid("lago_id", KIND)
    command = ChangeCreditNoteMetadata(
        organization_id=call.organization_id,
        customer_id=await _owner(call, note_id),
        credit_note_id=note_id,
        change=change,
        input=given,
    )
    await call.execute(command)
    stored = members(await call.stored(KIND, str(note_id)))
    return json_answer({"metadata": stored["metadata"]})


ROUTES = (
    get("/credit_notes", index),
    post("/credit_notes", create),
    post("/credit_notes/estimate", estimate),
    get("/credit_notes/{lago_id}", show),
    *update("/credit_notes/{lago_id}", change),
    put("/credit_notes/{lago_id}/void", void),
    post("/credit_notes/{lago_id}/download", download),
    post("/credit_notes/{lago_id}/download_pdf", download),
    post("/credit_notes/{lago_id}/metadata", replace_metadata),
    *update("/credit_notes/{lago_id}/metadata", merge_metadata),
    delete("/credit_notes/{lago_id}/metadata", drop_metadata),
    delete("/credit_notes/{lago_id}/metadata/{key}", drop_metadata_key),
    get("/customers/{external_id}/credit_notes", customer_index),
)
