"""The pretended PSP as an HTTP server: `python -m lago_engine_fakepay.server --port 8181`.

The dialect is under `/v1`, hosted pages under `/checkout` and `/actions`. `/control` plays the
part of the bank and of the test: it needs no key and belongs on this machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from html import escape

import aiohttp
import msgspec
from aiohttp import web

from lago_engine_fakepay import control, dialect
from lago_engine_fakepay.behaviour import Fault
from lago_engine_fakepay.bodies import answer, body_of
from lago_engine_fakepay.postman import Postman
from lago_engine_fakepay.psp import Psp, Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server behaves. `hang_s` is how long a hanging request hangs, `settle_after_s`
    when a processing payment ends by itself (None: only by `/control`), `latency_s` how long
    every charge takes."""

    secret_key: str = "sk_fakepay"  # noqa: S105 - public, it guards pretended money only.
    webhook_secret: str = "whsec_fakepay"  # noqa: S105
    webhook_url: str | None = None
    hang_s: float = 60.0
    settle_after_s: float | None = 1.0
    latency_s: float = 0.0


SETTINGS = web.AppKey("SETTINGS", Settings)
PSP = control.PSP
POSTMAN = control.POSTMAN
CLOSING = web.AppKey("CLOSING", asyncio.Event)


def create_app(
    settings: Settings, *, now_s: Callable[[], int] = lambda: time.time_ns() // 1_000_000_000
) -> web.Application:
    """The server's application; `now_s` is its clock, seconds since the epoch."""
    app = web.Application(middlewares=[_refusals, _authentication])
    app[SETTINGS] = settings
    app[PSP] = Psp()
    app[CLOSING] = asyncio.Event()

    async def postman(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as http:
            app[POSTMAN] = Postman(http, secret=settings.webhook_secret, now_s=now_s)
            if settings.webhook_url is not None:
                app[POSTMAN].urls.append(settings.webhook_url)
            yield
            await app[POSTMAN].close()

    async def release_hanging(app: web.Application) -> None:
        app[CLOSING].set()

    app.cleanup_ctx.append(postman)
    app.on_shutdown.append(release_hanging)
    app.add_routes(ROUTES)
    app.add_routes(control.ROUTES)
    return app


ROUTES = web.RouteTableDef()


@ROUTES.get("/v1/account")
async def account(_: web.Request) -> web.Response:
    """Answers when the key is right."""
    return web.json_response({"id": "acc_fakepay"})


@ROUTES.post("/v1/customers")
async def create_customer(request: web.Request) -> web.Response:
    """Finds or creates by reference."""
    return answer(request.app[PSP].customer(await body_of(request, dialect.CustomerInput)))


@ROUTES.get("/v1/customers/{id}")
async def get_customer(request: web.Request) -> web.Response:
    """A customer with methods."""
    return answer(request.app[PSP].find_customer(request.match_info["id"]))


@ROUTES.post("/v1/payments")
async def create_payment(request: web.Request) -> web.Response:
    """Charges: 201 made or under way, 402 declined."""
    app, key = request.app, request.headers.get("Idempotency-Key", "")
    wanted = await body_of(request, dialect.PaymentInput)
    await asyncio.sleep(app[SETTINGS].latency_s)
    planned = app[PSP].plan(key, wanted)
    if planned.fault is not None and not planned.fault.applies:
        return await _strike(app, planned.fault)
    payment = app[PSP].pay(key, wanted, planned, _origin(request))
    settle_after_s = app[SETTINGS].settle_after_s
    if payment.status == "processing" and settle_after_s is not None:
        end = planned.settles_to
        app[POSTMAN].later(settle_after_s, lambda: control.settle(app, payment.id, end))
    if planned.fault is not None:
        return await _strike(app, planned.fault)
    return answer(payment, status=402 if payment.status == "failed" else 201)


@ROUTES.post("/v1/payments/{id}/refunds")
async def create_refund(request: web.Request) -> web.Response:
    """Gives back a part of a payment."""
    wanted = await body_of(request, dialect.RefundInput)
    psp, postman = request.app[PSP], request.app[POSTMAN]
    refunds_before = len(psp.refunds)
    key = request.headers.get("Idempotency-Key", "")
    refund = psp.refund(key, request.match_info["id"], wanted.amount)
    if len(psp.refunds) > refunds_before:
        event = psp.event(f"refund.{refund.status}", postman.now_s(), refund=refund)
        postman.later(0, lambda: postman.send(event))
    return answer(refund, status=201)


@ROUTES.post("/v1/payments/{id}/cancel")
async def cancel_payment(request: web.Request) -> web.Response:
    """Stops an open payment; answers with the payment as it stands."""
    return answer(request.app[PSP].settle(request.match_info["id"], "canceled"))


@ROUTES.get("/v1/operations")
async def find_operation(request: web.Request) -> web.Response:
    """A payment or refund by `id` or `idempotency_key`."""
    query = request.query
    found = request.app[PSP].operation(
        key=query.get("idempotency_key"), operation_id=query.get("id")
    )
    return answer(found)


@ROUTES.post("/v1/checkout_sessions")
async def create_session(request: web.Request) -> web.Response:
    """A hosted page."""
    app, key = request.app, request.headers.get("Idempotency-Key", "")
    wanted = await body_of(request, dialect.SessionInput)
    now_s = app[POSTMAN].now_s()
    return answer(app[PSP].open_session(key, wanted, _origin(request), now_s), status=201)


@ROUTES.post("/v1/webhook_endpoints")
async def create_endpoint(request: web.Request) -> web.Response:
    """Adds a receiver of webhooks."""
    url = (await body_of(request, dialect.EndpointInput)).url
    urls = request.app[POSTMAN].urls
    if url not in urls:
        urls.append(url)
    secret = request.app[SETTINGS].webhook_secret
    return answer(dialect.Endpoint(id=f"we_{urls.index(url)}", url=url, secret=secret), status=201)


@ROUTES.get("/checkout/{id}")
async def show_checkout(request: web.Request) -> web.Response:
    """The page the payer sees."""
    wanted = request.app[PSP].find_session(request.match_info["id"], request.app[POSTMAN].now_s())
    action = "Store this card"
    if wanted.payment is not None:
        action = f"Pay {wanted.payment.amount.value} {wanted.payment.amount.currency}"
    return _page(action)


@ROUTES.post("/checkout/{id}")
async def complete_checkout(request: web.Request) -> web.Response:
    """The payer agrees; the webhook goes out and the browser returns to the merchant."""
    app, session_id = request.app, request.match_info["id"]
    now_s = app[POSTMAN].now_s()
    wanted = app[PSP].find_session(session_id, now_s)
    await app[POSTMAN].send(app[PSP].complete_session(session_id, _origin(request), now_s))
    raise web.HTTPSeeOther(wanted.return_url)


@ROUTES.get("/actions/{id}")
async def show_action(request: web.Request) -> web.Response:
    """Where the payer confirms a payment that requires action."""
    payment = request.app[PSP].find_payment(request.match_info["id"])
    return _page(f"Confirm {payment.amount.value} {payment.amount.currency}")


@ROUTES.post("/actions/{id}")
async def complete_action(request: web.Request) -> web.Response:
    """The payer confirms: the payment succeeds."""
    await control.settle(request.app, request.match_info["id"], "succeeded")
    return web.Response(text="Thank you.")


async def _strike(app: web.Application, fault: Fault) -> web.Response:
    if fault is Fault.RATE_LIMIT:
        return web.Response(status=429, headers={"Retry-After": "2"})
    if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
        return answer(dialect.Problem("internal_error", "Something broke."), status=500)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app[CLOSING].wait(), app[SETTINGS].hang_s)
    return web.Response(status=504)


def _origin(request: web.Request) -> str:
    return str(request.url.origin())


def _page(action: str) -> web.Response:
    form = f'<form method="post"><button>{escape(action)}</button></form>'
    return web.Response(text=f"<title>Fakepay</title>{form}", content_type="text/html")


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return answer(refused.problem, status=refused.status)


@web.middleware
async def _authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    expected = f"Bearer {request.app[SETTINGS].secret_key}"
    if request.path.startswith("/v1/") and request.headers.get("Authorization") != expected:
        raise Refused(401, "unauthorized", "The secret key is wrong.")
    return await handler(request)


def main() -> None:
    """Serves on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(description="A pretended payment service provider.")
    parser.add_argument("--port", type=int, default=8181)
    parser.add_argument("--secret-key", default=Settings().secret_key)
    parser.add_argument("--webhook-secret", default=Settings().webhook_secret)
    parser.add_argument("--webhook-url", help="where webhooks go before any is registered")
    parser.add_argument("--settle-after", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()
    settings = Settings(
        secret_key=options.secret_key,
        webhook_secret=options.webhook_secret,
        webhook_url=options.webhook_url,
        settle_after_s=options.settle_after,
    )
    web.run_app(create_app(settings), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
