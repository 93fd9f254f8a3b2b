"""`/payment_providers`: connections to payment providers. Lago configures them in its dashboard only."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from lago_engine.api.call import PROVIDERS, Call, event_of
from lago_engine.api.routes import get, post
from lago_engine.domain.commands import ConnectPaymentProvider
from lago_engine.domain.events import PaymentConnectionSet
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.payments import Misconfigured

KIND = "payment_provider"


async def connect(call: Call) -> web.Response:
    """Create a connection, or replace the one with the same code."""
    given = await call.input(KIND)
    check_config(call, given.get("provider"), given.get("config"))
    return await answer_connection(call, given)


def check_config(call: Call, provider: object, config: object) -> None:
    """The provider's own check of its settings. Raises ValidationFailed.

    A missing provider is left to the decision, which has its code for that.
    """
    if not isinstance(provider, str) or not provider:
        return
    try:
        call.request.app[PROVIDERS].config(provider, config if isinstance(config, dict) else {})
    except (NotFound, Misconfigured):
        raise ValidationFailed.of("provider", "value_is_invalid") from None


async def answer_connection(call: Call, given: dict[str, Any]) -> web.Response:
    command = ConnectPaymentProvider(organization_id=call.organization_id, input=given)
    event = event_of(await call.execute(command), PaymentConnectionSet)
    assert event is not None
    return await call.answer(KIND, event.connection.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "payment_providers")


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


ROUTES = (
    post("/payment_providers", connect),
    get("/payment_providers", index),
    get("/payment_providers/{code}", show),
)
