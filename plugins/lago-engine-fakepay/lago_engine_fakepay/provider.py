"""The provider: the engine's calls in Fakepay's words, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import quote

import aiohttp
import msgspec

from lago_engine.payments import (
    ActionRequired,
    BadSignature,
    BaseProvider,
    Capability,
    ChargeRequest,
    CheckoutLink,
    Ctx,
    CustomerRef,
    DeclineCode,
    Declined,
    MethodRef,
    Misconfigured,
    Money,
    Outcome,
    Pending,
    ProviderConfig,
    ProviderEvent,
    RawWebhook,
    Succeeded,
    Unknown,
    WebhookRegistration,
)
from lago_engine_fakepay import dialect, signature
from lago_engine_fakepay.client import (
    FakepayConfig,
    Reply,
    Uncertain,
    call,
    create,
    look_up,
    settings,
)

# Fakepay's code → (the engine's code, whether a later attempt may work).
_DECLINES: dict[str, tuple[DeclineCode, bool]] = {
    "insufficient_funds": ("insufficient_funds", True),
    "expired_card": ("expired_method", False),
    "suspected_fraud": ("fraud", False),
    "authentication_required": ("authentication_required", False),
    "do_not_honor": ("do_not_honor", True),
    "limit_exceeded": ("limit_exceeded", True),
    "amount_too_small": ("amount_too_small", False),
    "invalid_method": ("invalid_method", False),
    "canceled": ("canceled", False),
}


class FakepayProvider(BaseProvider):
    """Charges through a Fakepay server; see `lago_engine_fakepay.server`."""

    api_version: ClassVar[tuple[int, int]] = (1, 0)
    code: ClassVar[str] = "fakepay"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    Config: ClassVar[type[ProviderConfig]] = FakepayConfig

    _http: aiohttp.ClientSession

    async def open(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def check(self, ctx: Ctx) -> None:
        await look_up(self._http, ctx, "/v1/account", dict)

    async def ensure_customer(self, ctx: Ctx, customer: CustomerRef) -> str:
        body = dialect.CustomerInput(
            reference=customer.lago_id, email=customer.email, name=customer.name
        )
        created = await create(self._http, ctx, "/v1/customers", body, dialect.Customer)
        return created.id

    async def list_methods(self, ctx: Ctx, provider_customer_id: str) -> Sequence[MethodRef]:
        path = f"/v1/customers/{quote(provider_customer_id, safe='')}"
        customer = await look_up(self._http, ctx, path, dialect.Customer)
        return [] if customer is None else [_method(method) for method in customer.methods]

    async def charge(self, ctx: Ctx, request: ChargeRequest) -> Outcome:
        try:
            reply = await call(self._http, ctx, "POST", "/v1/payments", body=_payment(request))
            return _payment_outcome(reply)
        except Uncertain as error:
            return Unknown(reason=str(error))

    async def refund(self, ctx: Ctx, provider_ref: str, amount: Money) -> Outcome:
        body = dialect.RefundInput(dialect.Amount.of(amount.minor, amount.currency))
        path = f"/v1/payments/{quote(provider_ref, safe='')}/refunds"
        try:
            reply = await call(self._http, ctx, "POST", path, body=body)
            if reply.status >= 400:
                return _declined(reply.read(dialect.Problem))
            return _refunded(reply.read(dialect.Refund))
        except Uncertain as error:
            return Unknown(reason=str(error))

    async def cancel(self, ctx: Ctx, provider_ref: str) -> Outcome:
        path = f"/v1/payments/{quote(provider_ref, safe='')}/cancel"
        try:
            return _payment_outcome(await call(self._http, ctx, "POST", path))
        except Uncertain as error:
            return Unknown(reason=str(error))

    async def fetch(self, ctx: Ctx, provider_ref: str) -> Outcome:
        found = await self._operation(ctx, id=provider_ref)
        if found is None:
            raise Misconfigured(f"Fakepay does not know {provider_ref}")
        return found

    async def find_by_key(self, ctx: Ctx, idempotency_key: str) -> Outcome | None:
        return await self._operation(ctx, idempotency_key=idempotency_key)

    async def checkout_setup(
        self, ctx: Ctx, customer: CustomerRef, return_url: str
    ) -> CheckoutLink:
        customer_id = customer.provider_customer_id or await self.ensure_customer(ctx, customer)
        return await self._session(
            ctx, dialect.SessionInput(return_url=return_url, customer=customer_id)
        )

    async def checkout_payment(
        self, ctx: Ctx, request: ChargeRequest, return_url: str
    ) -> CheckoutLink:
        customer = request.customer
        customer_id = customer.provider_customer_id or await self.ensure_customer(ctx, customer)
        payment = msgspec.structs.replace(_payment(request), customer=customer_id)
        return await self._session(
            ctx, dialect.SessionInput(return_url=return_url, customer=customer_id, payment=payment)
        )

    async def register_webhook(self, ctx: Ctx, url: str) -> WebhookRegistration:
        body = dialect.EndpointInput(url)
        endpoint = await create(self._http, ctx, "/v1/webhook_endpoints", body, dialect.Endpoint)
        return WebhookRegistration(webhook_id=endpoint.id, webhook_secret=endpoint.secret)

    def verify_webhook(self, ctx: Ctx, hook: RawWebhook) -> Sequence[ProviderEvent]:
        secret = settings(ctx).webhook_secret
        if not secret:  # Anyone can sign with an empty key.
            raise Misconfigured("webhook_secret is not set")
        try:
            header = hook.headers.get(signature.HEADER, "")
            now_s = hook.received_at_us // 1_000_000
            signature.verify(header, hook.body, secret=secret, now_s=now_s)
            return [_event(msgspec.json.decode(hook.body, type=dialect.Event))]
        except (ValueError, msgspec.DecodeError) as error:
            raise BadSignature(str(error)) from None

    async def _operation(self, ctx: Ctx, **query: str) -> Outcome | None:
        found = await look_up(self._http, ctx, "/v1/operations", dialect.Operation, query=query)
        if found is None:
            return None
        if found.refund is not None:
            return _refunded(found.refund)
        return None if found.payment is None else _outcome(found.payment)

    async def _session(self, ctx: Ctx, body: dialect.SessionInput) -> CheckoutLink:
        path = "/v1/checkout_sessions"
        session = await create(self._http, ctx, path, body, dialect.Session)
        return CheckoutLink(
            url=session.url,
            provider_ref=session.id,
            expires_at_us=session.expires_at * 1_000_000,
        )


def _payment(request: ChargeRequest) -> dialect.PaymentInput:
    return dialect.PaymentInput(
        reference=request.payment_id,
        amount=dialect.Amount.of(request.amount.minor, request.amount.currency),
        customer=request.customer.provider_customer_id or "",
        method=request.method.provider_method_id if request.method else None,
        description=request.description,
        metadata=dict(request.metadata),
    )


def _payment_outcome(reply: Reply) -> Outcome:
    """A declined payment (402) is a payment; any other refusal is a problem."""
    if reply.status >= 400 and reply.status != 402:
        return _declined(reply.read(dialect.Problem))
    return _outcome(reply.read(dialect.Payment))


def _outcome(payment: dialect.Payment) -> Outcome:
    if payment.status == "succeeded":
        return Succeeded(provider_ref=payment.id, amount=_money(payment.amount))
    if payment.status == "processing":
        return Pending(provider_ref=payment.id)
    if payment.status == "requires_action":
        return ActionRequired(provider_ref=payment.id, url=payment.action_url or "")
    problem = payment.error or dialect.Problem(payment.status, "The payment did not go through.")
    return _declined(problem, provider_ref=payment.id, provider_status=payment.status)


def _declined(
    problem: dialect.Problem, *, provider_ref: str | None = None, provider_status: str = "failed"
) -> Declined:
    code, retryable = _DECLINES.get(problem.code, ("other", False))
    return Declined(
        code=code,
        message=problem.message,
        retryable=retryable,
        provider_ref=provider_ref,
        provider_status=provider_status,
        provider_code=problem.code,
    )


def _refunded(refund: dialect.Refund) -> Outcome:
    if refund.status == "succeeded":
        return Succeeded(provider_ref=refund.id, amount=_money(refund.amount))
    if refund.status == "processing":
        return Pending(provider_ref=refund.id)
    problem = dialect.Problem("refund_failed", "The bank did not take the refund.")
    return _declined(problem, provider_ref=refund.id)


def _money(amount: dialect.Amount) -> Money:
    return Money(amount.minor(), amount.currency)


def _method(method: dialect.Method) -> MethodRef:
    display = {"brand": method.brand, "last4": method.last4}
    return MethodRef(provider_method_id=method.id, display=display)


def _event(event: dialect.Event) -> ProviderEvent:
    at_us = event.created * 1_000_000
    if event.payment is not None:
        return ProviderEvent(
            event_id=event.id,
            occurred_at_us=at_us,
            kind="payment",
            provider_ref=event.payment.id,
            payment_id=event.payment.reference,
            provider_customer_id=event.payment.customer,
            outcome=_outcome(event.payment),
        )
    if event.refund is not None:
        return ProviderEvent(
            event_id=event.id,
            occurred_at_us=at_us,
            kind="refund",
            provider_ref=event.refund.id,
            outcome=_refunded(event.refund),
        )
    if event.method is not None and event.customer is not None:
        return ProviderEvent(
            event_id=event.id,
            occurred_at_us=at_us,
            kind="method_added",
            provider_customer_id=event.customer,
            method=_method(event.method),
        )
    return ProviderEvent(event_id=event.id, occurred_at_us=at_us, kind="ignored")
