"""`/test_clock/events` and `/test_clock/payment_providers`: what others do to a test organization (test_clocks §9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from lago_engine.api.answers import json_bytes
from lago_engine.api.bodies import as_text, read_body
from lago_engine.api.call import Call, parse_uuid
from lago_engine.api.payment_providers import answer_connection, check_config
from lago_engine.api.routes import post
from lago_engine.api.test_clock import of_test_organization
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.state import Payment
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.projecting.wire import members, read_string

OUTCOMES = ("succeeded", "failed")


async def backfill_event(call: Call) -> web.Response:
    """A usage event of the past. Nothing bills events in advance, so it is taken in as any other."""
    body = await read_body(call.request)
    answer = await call.engine.ingest(call.organization_id, body, single=True)
    return json_bytes(answer.body, answer.status)


async def connect(call: Call) -> web.Response:
    """A simulated connection; the same code again gives it a new outcome."""
    given = await call.input("payment_provider")
    check_config(call, "simulated", _named(given, "type", "outcome"))
    return await answer_connection(call, _named(given, "code", "name", "type", "outcome"))


def _named(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


async def report_payment(call: Call) -> web.Response:
    """The provider reports the end of a pending payment."""
    given = await call.input("event")
    status = given.get("status")
    if status not in OUTCOMES:
        raise ValidationFailed.of("status", "value_is_invalid")
    invoice_id = parse_uuid(as_text(given.get("invoice_id")), "invoice")
    owner, payment = await _pending_payment(call, invoice_id, call.path("code"))
    outcome = PaymentOutcome(
        status=status, payment_status=status, provider_payment_id=payment.provider_payment_id
    )
    await call.engine.report_payment(call.organization_id, owner, payment.id, outcome)
    await call.engine.settle(call.organization_id)
    return await call.answer("payment", str(payment.id))


async def _pending_payment(call: Call, invoice_id: UUID, code: str) -> tuple[UUID, Payment]:
    """The customer, by id, and its payment of the invoice that the connection has not finished."""
    invoice = members(await call.stored("invoice", str(invoice_id)))
    owner = UUID(read_string(members(invoice["customer"])["lago_id"]))
    customer = await call.engine.customer_by_id(owner)
    assert customer is not None, "an invoice has a customer"
    payment = _of_invoice(customer.payments, invoice_id, code)
    if payment is None:
        raise NotFound("payment")
    return owner, payment


def _of_invoice(payments: Mapping[UUID, Payment], invoice_id: UUID, code: str) -> Payment | None:
    return next(
        (
            payment
            for payment in payments.values()
            if payment.invoice_id == invoice_id and payment.connection_code == code
        ),
        None,
    )


ROUTES = (
    post("/test_clock/events", of_test_organization(backfill_event)),
    post("/test_clock/payment_providers", of_test_organization(connect)),
    post("/test_clock/payment_providers/{code}/events", of_test_organization(report_payment)),
)
