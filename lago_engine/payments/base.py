"""A starting point for providers: every method refuses until its capability is implemented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import aiohttp

from lago_engine.payments.interface import (
    Capability,
    ChargeRequest,
    CheckoutLink,
    Ctx,
    CustomerRef,
    MethodRef,
    Money,
    NotSupported,
    Outcome,
    ProviderConfig,
    ProviderEvent,
    RawWebhook,
    WebhookRegistration,
)


class BaseProvider:
    """Implements `PaymentProvider`; subclasses override what their capabilities promise.

    A method added by a later minor version gets its refusing default here, so that older
    plugins keep working.
    """

    # Written out by each provider: inherited, it would always match the engine's own.
    api_version: ClassVar[tuple[int, int]]
    code: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    Config: ClassVar[type[ProviderConfig]] = ProviderConfig

    async def open(self, http: aiohttp.ClientSession) -> None:
        """Nothing to acquire."""

    async def close(self) -> None:
        """Nothing to release."""

    async def check(self, ctx: Ctx) -> None:
        """Nothing to check."""

    async def ensure_customer(self, ctx: Ctx, customer: CustomerRef) -> str:
        raise self._refusal("ensure_customer")

    async def charge(self, ctx: Ctx, request: ChargeRequest) -> Outcome:
        raise self._refusal("charge")

    async def refund(self, ctx: Ctx, provider_ref: str, amount: Money) -> Outcome:
        raise self._refusal("refund")

    async def cancel(self, ctx: Ctx, provider_ref: str) -> Outcome:
        raise self._refusal("cancel")

    async def fetch(self, ctx: Ctx, provider_ref: str) -> Outcome:
        raise self._refusal("fetch")

    async def find_by_key(self, ctx: Ctx, idempotency_key: str) -> Outcome | None:
        raise self._refusal("find_by_key")

    async def list_methods(self, ctx: Ctx, provider_customer_id: str) -> Sequence[MethodRef]:
        raise self._refusal("list_methods")

    async def checkout_setup(
        self, ctx: Ctx, customer: CustomerRef, return_url: str
    ) -> CheckoutLink:
        raise self._refusal("checkout_setup")

    async def checkout_payment(
        self, ctx: Ctx, request: ChargeRequest, return_url: str
    ) -> CheckoutLink:
        raise self._refusal("checkout_payment")

    async def register_webhook(self, ctx: Ctx, url: str) -> WebhookRegistration:
        raise self._refusal("register_webhook")

    def verify_webhook(self, ctx: Ctx, hook: RawWebhook) -> Sequence[ProviderEvent]:
        raise self._refusal("verify_webhook")

    def _refusal(self, method: str) -> NotSupported:
        return NotSupported(f"the provider {self.code} does not support {method}")
