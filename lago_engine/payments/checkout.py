"""Hosted payment pages: asks a provider for one (payments.md §6)."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import PaymentLink
from lago_engine.errors import ValidationFailed
from lago_engine.payments.guarding import guarded
from lago_engine.payments.interface import Capability, Ctx, Misconfigured, Unknown
from lago_engine.payments.ledger_words import charge_request
from lago_engine.payments.registry import ProviderRegistry

DEADLINE_S = 20.0


async def open_page(
    registry: ProviderRegistry,
    connection: PaymentConnection,
    link: PaymentLink,
    customer: CustomerProfile,
    return_url: str,
) -> PaymentLink:
    """The link with the address of its page, one per idempotency key.

    Raises ValidationFailed on `base`: `invalid_payment_provider` (it has no such pages) or `payment_provider_error`.
    """
    payment = link.payment
    assert payment.idempotency_key is not None
    try:
        provider = await registry.get(connection.provider)
        if Capability.CHECKOUT_PAYMENT not in provider.capabilities:
            raise ValidationFailed.of("base", "invalid_payment_provider")
        ctx = Ctx(
            config=registry.config(connection.provider, connection.config),
            idempotency_key=payment.idempotency_key,
            correlation_id=str(payment.id),
            deadline_s=DEADLINE_S,
        )
        request = charge_request(payment, customer)
        request = replace(request, metadata={**request.metadata, "payment_type": "one-time"})
        page = await guarded(provider.checkout_payment(ctx, request, return_url), DEADLINE_S)
    except Misconfigured:
        raise ValidationFailed.of("base", "payment_provider_error") from None
    if isinstance(page, Unknown) or not page.url:
        raise ValidationFailed.of("base", "payment_provider_error")
    if page.expires_at_us is None:
        return replace(link, url=page.url)
    ends = datetime.fromtimestamp(page.expires_at_us // 1_000_000, tz=UTC)
    return replace(link, url=page.url, expires_at=min(link.expires_at, ends))
