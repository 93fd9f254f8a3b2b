"""The `/control` endpoints: the bank's and the tester's hands on the pretended PSP."""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from lago_engine_fakepay.bodies import answer, body_of
from lago_engine_fakepay.dialect import Payment, PaymentStatus
from lago_engine_fakepay.postman import Postman
from lago_engine_fakepay.psp import Psp, Refused

PSP = web.AppKey("PSP", Psp)
POSTMAN = web.AppKey("POSTMAN", Postman)
ROUTES = web.RouteTableDef()


class Script(msgspec.Struct, frozen=True):
    """`steps` are tokens, one for each of the next payments."""

    steps: list[str]


class Methods(msgspec.Struct, frozen=True):
    """`methods` are tokens, the default one first."""

    methods: list[str]


class Settlement(msgspec.Struct, frozen=True):
    """How an open payment ends."""

    status: Literal["succeeded", "failed", "canceled"]


class Holding(msgspec.Struct, frozen=True):
    """Whether refunds are held."""

    hold: bool


class RefundSettlement(msgspec.Struct, frozen=True):
    """How a refund that was held ends."""

    status: Literal["succeeded", "failed"]


async def settle(app: web.Application, payment_id: str, status: PaymentStatus) -> Payment:
    """Ends an open payment and tells by webhook; an ended one is left alone, without webhook."""
    before = app[PSP].find_payment(payment_id)
    payment = app[PSP].settle(payment_id, status)
    if payment.status != before.status:
        postman = app[POSTMAN]
        event = app[PSP].event(f"payment.{payment.status}", postman.now_s(), payment=payment)
        await postman.send(event)
    return payment


@ROUTES.put("/control/methods/{token}/script")
async def script(request: web.Request) -> web.Response:
    """`{"steps": ["tok_insufficient_funds", "tok_ok"]}`: what the next payments do."""
    steps = (await body_of(request, Script)).steps
    request.app[PSP].script(request.match_info["token"], steps)
    return web.Response(status=204)


@ROUTES.put("/control/customers/{id}/methods")
async def set_methods(request: web.Request) -> web.Response:
    """`{"methods": ["tok_…"]}`: the customer's methods."""
    tokens = (await body_of(request, Methods)).methods
    return answer(request.app[PSP].set_methods(request.match_info["id"], tokens))


@ROUTES.get("/control/payments")
async def list_payments(request: web.Request) -> web.Response:
    """All payments in order, or those with `?reference=`."""
    reference = request.query.get("reference")
    payments = request.app[PSP].payments.values()
    return answer([payment for payment in payments if reference in (None, payment.reference)])


@ROUTES.post("/control/payments/{id}/settle")
async def settle_payment(request: web.Request) -> web.Response:
    """`{"status": "succeeded"}`: the end of an open payment, told by webhook."""
    status = (await body_of(request, Settlement)).status
    return answer(await settle(request.app, request.match_info["id"], status))


@ROUTES.put("/control/refunds")
async def hold_refunds(request: web.Request) -> web.Response:
    """`{"hold": true}`: refunds from now on take until they are settled."""
    request.app[PSP].holds_refunds = (await body_of(request, Holding)).hold
    return web.Response(status=204)


@ROUTES.get("/control/refunds")
async def list_refunds(request: web.Request) -> web.Response:
    """All refunds in order."""
    return answer(list(request.app[PSP].refunds.values()))


@ROUTES.post("/control/refunds/{id}/settle")
async def settle_refund(request: web.Request) -> web.Response:
    """`{"status": "failed"}`: the end of a refund that was held, told by webhook."""
    psp, postman = request.app[PSP], request.app[POSTMAN]
    status = (await body_of(request, RefundSettlement)).status
    refund = psp.settle_refund(request.match_info["id"], status)
    await postman.send(psp.event(f"refund.{status}", postman.now_s(), refund=refund))
    return answer(refund)


@ROUTES.get("/control/webhooks")
async def list_webhooks(request: web.Request) -> web.Response:
    """Every webhook sent, in order, with signature and exact body."""
    return answer(request.app[POSTMAN].sent)


@ROUTES.post("/control/webhooks/{event_id}/resend")
async def resend_webhook(request: web.Request) -> web.Response:
    """The same webhook once more, as PSPs sometimes do."""
    postman, event_id = request.app[POSTMAN], request.match_info["event_id"]
    for sent in postman.sent:
        if sent.event_id == event_id:
            await postman.post(sent)
            return web.Response(status=204)
    raise Refused(404, "webhook_not_found", "There is no such webhook.")
