"""`/customers` and the lists below one customer (customers §1-§3)."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from lago_engine.api import filters, invoices, payments, subscriptions
from lago_engine.api.answers import object_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, post
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import DeleteCustomer, UpsertCustomer
from lago_engine.domain.money import CURRENCIES
from lago_engine.domain.validation import COUNTRIES
from lago_engine.errors import ValidationFailed

KIND = "customer"
DETAILS = ("error_details", "applicable_invoice_custom_sections")
"""Sections that only single customers show."""

SEARCHED = ("name", "firstname", "lastname", "legal_name", "external_id", "email")
ACCOUNT_TYPES = ("customer", "partner")
CUSTOMER_TYPES = ("company", "individual")


async def upsert(call: Call) -> web.Response:
    given = await call.input(KIND)
    external_id = as_text(given.get("external_id"))
    await call.execute(
        UpsertCustomer(
            organization_id=call.organization_id,
            customer_id=call.organization.customer_id(external_id),
            external_id=external_id,
            input=given,
        )
    )
    return await call.answer(KIND, external_id)


async def index(call: Call) -> web.Response:
    conditions = customer_filters(call.params, call.organization)
    return await call.answer_list(KIND, "customers", filters=conditions, omit=DETAILS)


def customer_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /customers`."""
    external_id = params.text("external_id")
    yield from filters.equals("external_id", external_id)
    if external_id is None:
        yield from filters.search(params.text("search_term"), *SEARCHED)
    yield from filters.one_of("account_type", params.choices("account_type", among=ACCOUNT_TYPES))
    yield from _customer_type(params)
    yield from filters.billing_entities(params, organization)
    countries = params.choices("countries", among=COUNTRIES)
    yield from filters.one_of("country", countries)
    yield from filters.one_of("state", params.texts("states"))
    yield from filters.one_of("zipcode", params.texts("zipcodes"))
    yield from filters.one_of("currency", params.choices("currencies", among=CURRENCIES))
    identified = params.flag("has_tax_identification_number")
    yield from filters.is_set("tax_identification_number", identified)
    yield from filters.metadata(params.members("metadata"))


def _customer_type(params: Params) -> Iterator[Condition]:
    given = params.flag("has_customer_type")
    customer_type = params.choice("customer_type", among=CUSTOMER_TYPES)
    if given is False and customer_type is not None:
        raise ValidationFailed.of("has_customer_type", "value_is_invalid")
    yield from filters.is_set("customer_type", given)
    yield from filters.equals("customer_type", customer_type)


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("external_id"))


async def destroy(call: Call) -> web.Response:
    external_id = call.path("external_id")
    customer = call.present(KIND, await call.stored(KIND, external_id))
    command = DeleteCustomer(
        organization_id=call.organization_id,
        customer_id=call.organization.customer_id(external_id),
    )
    await call.execute(command)
    return object_answer(KIND, customer)


async def _existing(call: Call) -> str:
    """The external id in the path, of a customer that exists. Raises NotFound."""
    external_id = call.path("external_id")
    await call.stored(KIND, external_id)
    return external_id


async def invoice_index(call: Call) -> web.Response:
    return await invoices.answer_invoices(call, parent=await _existing(call))


async def payment_index(call: Call) -> web.Response:
    return await payments.answer_payments(call, parent=await _existing(call))


async def subscription_index(call: Call) -> web.Response:
    return await subscriptions.answer_subscriptions(call, parent=await _existing(call))


ROUTES = (
    post("/customers", upsert),
    get("/customers", index),
    get("/customers/{external_id}", show),
    delete("/customers/{external_id}", destroy),
    get("/customers/{external_id}/invoices", invoice_index),
    get("/customers/{external_id}/payments", payment_index),
    get("/customers/{external_id}/subscriptions", subscription_index),
)
