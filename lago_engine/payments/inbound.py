"""What providers post: verified by the provider's plugin, in the words of the ledger (payments.md §11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.timezones import micros
from lago_engine.payments.interface import Ctx, ProviderEvent, RawWebhook, Unknown
from lago_engine.payments.ledger_words import ledger_outcome
from lago_engine.payments.registry import ProviderRegistry


class News(msgspec.Struct, frozen=True, kw_only=True):
    """How a payment or a refund stands, by a provider's word.

    payment_id: of a payment, if the provider knows it. provider_ref: what the provider calls it.
    """

    kind: Literal["payment", "refund"]
    payment_id: str | None
    provider_ref: str | None
    outcome: PaymentOutcome


async def read_webhook(
    registry: ProviderRegistry,
    connection: PaymentConnection,
    headers: Mapping[str, str],
    body: bytes,
    received_at: datetime,
) -> Sequence[News]:
    """Each payment and refund the webhook speaks of.

    Raises BadSignature (400) for what is unsigned, altered or too old.
    """
    provider = await registry.get(connection.provider)
    ctx = Ctx(config=registry.config(connection.provider, connection.config))
    hook = RawWebhook(
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
        received_at_us=micros(received_at),
    )
    told = map(_news, provider.verify_webhook(ctx, hook))
    return [news for news in told if news is not None]


def _news(event: ProviderEvent) -> News | None:
    if event.outcome is None or isinstance(event.outcome, Unknown):
        return None
    if event.kind != "payment" and event.kind != "refund":
        return None
    return News(
        kind=event.kind,
        payment_id=event.payment_id,
        provider_ref=event.provider_ref,
        outcome=ledger_outcome(event.outcome),
    )
