"""`/invoices` (invoices §2, §8, §11, §14; filters: api_conventions §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import empty, object_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, event_of
from lago_engine.api.files import file_url
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, post, put, update
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    CreateOneOffInvoice,
    CustomerCommand,
    DeleteInvoice,
    FinalizeInvoice,
    LoseDispute,
    RefreshInvoice,
    RetryInvoice,
    RetryPayment,
    UpdateInvoice,
    VoidInvoice,
)
from lago_engine.domain.events import InvoiceClosed
from lago_engine.domain.invoicing.model import PaymentStatus
from lago_engine.domain.money import CURRENCIES
from lago_engine.errors import NotFound
from lago_engine.projecting.presenting import HIDDEN, present_invoice, subscription_ids
from lago_engine.projecting.wire import Members, members, read_string, without
from lago_engine.store.query import AnyOf, Filter

KIND: Final = "invoice"

STATUSES = ("draft", "finalized", "voided", "failed", "pending")
HIDDEN_STATUSES = ("open", "closed", "generating")
"""Listed for test organizations when asked for (test_clocks §7)."""

INVOICE_TYPES = (
    "subscription", "add_on", "credit", "one_off", "advance_charges", "progressive_billing",
)  # fmt: skip
SETTLEMENTS = {
    "payment": "total_paid_amount_cents",
    "credit_note": "total_offsetted_credit_note_amount_cents",
}
SEARCHED = (
    "number",
    "customer.name",
    "customer.firstname",
    "customer.lastname",
    "customer.external_id",
    "customer.email",
)

LISTED = ("customer", "metadata", "applied_taxes")
"""The sections that items of a list keep."""
DETAILS = (
    "subscriptions",
    "billing_periods",
    "fees",
    "credits",
    "error_details",
    "applied_invoice_custom_sections",
)


# --- lists -------------------------------------------------------------------------------------


async def index(call: Call) -> web.Response:
    return await answer_invoices(call)


async def answer_invoices(call: Call, *, parent: str | None = None) -> web.Response:
    """A page of invoices, of one customer when `parent` names one."""
    conditions = invoice_filters(call.params, call.organization)

    def show(body: bytes) -> Members:
        return with_file(call, without(members(body), HIDDEN, *DETAILS))

    return await call.answer_list(KIND, "invoices", filters=conditions, parent=parent, show=show)


def invoice_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /invoices`."""
    customer = params.text("external_customer_id", "customer_external_id")
    yield from filters.equals("customer.external_id", customer)
    yield from filters.billing_entities(params, organization)
    yield from filters.equals("currency", params.choice("currency", among=CURRENCIES))
    yield from filters.equals("invoice_type", params.choice("invoice_type", among=INVOICE_TYPES))
    yield from _statuses(params, organization)
    yield from filters.amounts_and_dates(params)
    yield from _payments(params)
    yield from filters.equals("self_billed", params.flag("self_billed"))
    if (number := params.text("purchase_order_number")) is not None:
        yield Filter("purchase_order_number", "eq_ci", number)
    yield from filters.metadata(params.members("metadata"))
    if (term := params.text("search_term")) is not None:
        yield AnyOf((Filter(SEARCHED, "contains_ci", term), Filter("lago_id", "eq", term.lower())))


def _statuses(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    known = STATUSES + (HIDDEN_STATUSES if organization.organization.test else ())
    yield from filters.one_of("status", params.choices("status", "statuses", among=known))
    known = get_args(PaymentStatus)
    statuses = params.choices("payment_status", "payment_statuses", among=known)
    yield from filters.one_of("payment_status", statuses)


def _payments(params: Params) -> Iterator[Condition]:
    yield from filters.equals("payment_overdue", params.flag("payment_overdue"))
    yield from filters.is_set("payment_dispute_lost_at", params.flag("payment_dispute_lost"))
    partially = params.flag("partially_paid")
    if partially:
        yield Filter("total_paid_amount_cents", "gt", 0)
        yield Filter("total_due_amount_cents", "gt", 0)
    elif partially is False:
        yield AnyOf(
            (Filter("total_paid_amount_cents", "le", 0), Filter("total_due_amount_cents", "le", 0))
        )
    settled_by = params.choices("settlements", among=SETTLEMENTS)
    if settled_by:
        yield AnyOf(tuple(Filter(SETTLEMENTS[each], "gt", 0) for each in settled_by))


# --- one invoice -------------------------------------------------------------------------------


async def show(call: Call) -> web.Response:
    return await answer_invoice(call, call.uuid("lago_id", KIND))


async def answer_invoice(call: Call, invoice_id: UUID) -> web.Response:
    """One invoice with all its sections."""
    return object_answer(KIND, await whole_invoice(call, await call.stored(KIND, str(invoice_id))))


async def whole_invoice(call: Call, body: bytes) -> Members:
    """A stored invoice as clients see it now."""
    shown = [await call.stored("subscription", key) for key in subscription_ids(body)]
    return with_file(call, present_invoice(body, shown, call.organization, call.now))


def with_file(call: Call, invoice: Members) -> Members:
    """The invoice with the address of its PDF, which exists from finalization on."""
    if read_string(invoice["status"]) in ("finalized", "voided"):
        invoice_id = UUID(read_string(invoice["lago_id"]))
        url = file_url(call.request, KIND, call.organization_id, invoice_id)
        invoice["file_url"] = url
    return invoice


async def owner_of(call: Call, invoice_id: UUID, *, hidden: bool = False) -> UUID:
    """The customer of an invoice, by id. hidden: also of one that is open until it is paid. Raises NotFound."""
    if hidden:
        documents = call.engine.store.documents
        key = str(invoice_id)
        opened = await call.read(documents.get, call.organization_id, "open_invoice", key)
        if opened is not None:
            return _owner(opened)
    return _owner(await call.stored(KIND, str(invoice_id)))


def _owner(body: bytes) -> UUID:
    customer = members(members(body)["customer"])
    return UUID(read_string(customer["lago_id"]))


async def refresh(call: Call) -> web.Response:
    invoice_id = call.uuid("lago_id", KIND)
    await call.execute(
        RefreshInvoice(
            organization_id=call.organization_id,
            customer_id=await owner_of(call, invoice_id),
            invoice_id=invoice_id,
        )
    )
    return await answer_invoice(call, invoice_id)


async def finalize(call: Call) -> web.Response:
    invoice_id = call.uuid("lago_id", KIND)
    draft = await call.stored(KIND, str(invoice_id))
    events = await call.execute(
        FinalizeInvoice(
            organization_id=call.organization_id,
            customer_id=_owner(draft),
            invoice_id=invoice_id,
        )
    )
    if event_of(events, InvoiceClosed) is not None:
        # An invoice of zero that the settings skip is hidden from now on; this answer is its last.
        return object_answer(KIND, await whole_invoice(call, draft) | {"status": "closed"})
    return await answer_invoice(call, invoice_id)


async def create(call: Call) -> web.Response:
    """A one-off invoice."""
    given = await call.input(KIND)
    external_id = as_text(given.get("external_customer_id"))
    command = CreateOneOffInvoice(
        organization_id=call.organization_id,
        customer_id=call.organization.customer_id(external_id),
        input=given,
    )
    (invoice_id,) = await call.book(command)
    return await answer_invoice(call, invoice_id)


async def void(call: Call) -> web.Response:
    return await _about(call, VoidInvoice, input=await call.body())


async def change(call: Call) -> web.Response:
    return await _about(call, UpdateInvoice, input=await call.input(KIND))


async def lose_dispute(call: Call) -> web.Response:
    return await _about(call, LoseDispute)


async def retry(call: Call) -> web.Response:
    return await _about(call, RetryInvoice)


async def _about(call: Call, kind: type[CustomerCommand], **members: Any) -> web.Response:
    """Decide something about the invoice in the path, and show it."""
    invoice_id = call.uuid("lago_id", KIND)
    owner = await owner_of(call, invoice_id)
    given = {"invoice_id": invoice_id, **members}
    await call.execute(kind(organization_id=call.organization_id, customer_id=owner, **given))
    return await answer_invoice(call, invoice_id)


async def destroy(call: Call) -> web.Response:
    """Throw a draft away; the answer shows it for the last time."""
    invoice_id = call.uuid("lago_id", KIND)
    draft = await call.stored(KIND, str(invoice_id))
    shown = await whole_invoice(call, draft)
    command = DeleteInvoice(
        organization_id=call.organization_id, customer_id=_owner(draft), invoice_id=invoice_id
    )
    await call.execute(command)
    return object_answer(KIND, shown | {"status": "deleted"})


async def retry_payment(call: Call) -> web.Response:
    invoice_id, given = call.uuid("lago_id", KIND), await call.body()
    await call.execute(
        RetryPayment(
            organization_id=call.organization_id,
            customer_id=await owner_of(call, invoice_id),
            invoice_id=invoice_id,
            input=given,
        )
    )
    return empty()


async def download(call: Call) -> web.Response:
    """The invoice without sections, with the address of a PDF that is ready."""
    invoice_id = call.uuid("lago_id", KIND)
    invoice = without(members(await call.stored(KIND, str(invoice_id))), HIDDEN, *LISTED, *DETAILS)
    if read_string(invoice["status"]) != "finalized":
        raise NotFound(KIND)
    await call.engine.document_pdf(call.organization_id, KIND, invoice_id)
    return object_answer(KIND, with_file(call, invoice))


async def explain(call: Call) -> web.Response:
    """Where every amount comes from, down to usage events; of our own (docs/differences-from-lago.md)."""
    explained = await call.engine.explain_invoice(call.organization_id, call.uuid("lago_id", KIND))
    return object_answer("invoice_explanation", explained)


ROUTES = (
    get("/invoices", index),
    post("/invoices", create),
    get("/invoices/{lago_id}", show),
    get("/invoices/{lago_id}/explain", explain),
    put("/invoices/{lago_id}/refresh", refresh),
    put("/invoices/{lago_id}/finalize", finalize),
    *update("/invoices/{lago_id}", change),
    delete("/invoices/{lago_id}", destroy),
    post("/invoices/{lago_id}/void", void),
    post("/invoices/{lago_id}/lose_dispute", lose_dispute),
    put("/invoices/{lago_id}/lose_dispute", lose_dispute),
    post("/invoices/{lago_id}/retry", retry),
    post("/invoices/{lago_id}/retry_payment", retry_payment),
    post("/invoices/{lago_id}/download", download),
    post("/invoices/{lago_id}/download_pdf", download),
)
