"""What the provider contract needs from the plugin's author, and its helpers."""

from __future__ import annotations

import enum
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

import aiohttp
import msgspec
import pytest

from lago_engine.payments import (
    Capability,
    ChargeRequest,
    Ctx,
    CustomerRef,
    MethodRef,
    Money,
    Outcome,
    PaymentProvider,
    ProviderConfig,
    RawWebhook,
    Succeeded,
)


class Case(enum.StrEnum):
    """What the PSP (a sandbox or a simulator) is to do with the next charge."""

    SUCCEEDS = "succeeds"
    DECLINED = "declined"
    PENDING = "pending"
    ACTION_REQUIRED = "action_required"
    TIMEOUT_BEFORE = "timeout_before"  # No answer; the money did not move.
    TIMEOUT_AFTER = "timeout_after"  # No answer; the money moved.
    SERVER_ERROR = "server_error"  # A 5xx, applied or not.
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"  # Nothing listens at the address.
    WRONG_CREDENTIALS = "wrong_credentials"


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """The connection and the payment method that bring a case about."""

    config: ProviderConfig
    method: MethodRef | None = None


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the PSP itself booked for one payment id, seen without the provider's code."""

    charged: Sequence[Money] = ()
    refunded: Sequence[Money] = ()


EUR_1205 = Money(1205, "EUR")


class ProviderKit:
    """Subclass as `Test…`, set `provider_class`, and implement the three hooks."""

    provider_class: ClassVar[type[PaymentProvider]]
    webhook_tolerance_s: ClassVar[int | None] = 300
    """How old a webhook may be; None when the PSP signs no timestamp."""
    currencies: ClassVar[Sequence[str]] = ("EUR", "JPY", "BHD")
    """Of 2, 0 and 3 decimals; leave out what the PSP does not take."""

    # ---- hooks ----------------------------------------------------------------------------
    def arrange(self, case: Case) -> Arrangement | None:
        """How to bring `case` about; None when the PSP cannot. `SUCCEEDS` is always asked for."""
        raise NotImplementedError

    async def books(self, payment_id: str) -> Books:
        """What the PSP booked; needed for `CHARGE_OFF_SESSION`."""
        raise NotImplementedError

    async def signed_webhook(self) -> RawWebhook:
        """A new genuine webhook about a payment, just received; needed for `WEBHOOKS`."""
        raise NotImplementedError

    # ---- helpers --------------------------------------------------------------------------
    @pytest.fixture
    async def provider(self) -> AsyncIterator[PaymentProvider]:
        """An opened provider on a session of its own."""
        async with aiohttp.ClientSession() as session:
            provider = self.provider_class()
            await provider.open(session)
            yield provider
            await provider.close()

    def need(self, *needed: Capability) -> None:
        missing = set(needed) - self.provider_class.capabilities
        if missing:
            pytest.skip(f"not declared: {', '.join(sorted(missing))}")

    def arranged(self, case: Case) -> Arrangement:
        arrangement = self.arrange(case)
        if arrangement is None:
            assert case is not Case.SUCCEEDS, "every provider can succeed"
            pytest.skip(f"the PSP cannot be made to do this: {case}")
        return arrangement

    def ctx(self, case: Case = Case.SUCCEEDS, **changes: object) -> Ctx:
        ctx = Ctx(config=self.arranged(case).config, idempotency_key=new_id("key"))
        return msgspec.structs.replace(ctx, **changes)

    async def request_for(
        self, provider: PaymentProvider, case: Case, amount: Money = EUR_1205
    ) -> ChargeRequest:
        customer = CustomerRef(lago_id=new_id("cus"), external_id="acme", email="a@example.com")
        customer_id = await provider.ensure_customer(self.ctx(), customer)
        return ChargeRequest(
            payment_id=new_id("pay"),
            amount=amount,
            customer=msgspec.structs.replace(customer, provider_customer_id=customer_id),
            method=self.arranged(case).method,
            invoice_ids=("inv-1",),
        )

    async def succeeded(self, provider: PaymentProvider) -> tuple[ChargeRequest, Succeeded]:
        request = await self.request_for(provider, Case.SUCCEEDS)
        outcome = await provider.charge(self.ctx(), request)
        assert isinstance(outcome, Succeeded)
        return request, outcome

    async def check_reconciled(
        self, provider: PaymentProvider, ctx: Ctx, request: ChargeRequest
    ) -> Outcome | None:
        """`find_by_key` tells what the books say, and repeating the call never charges twice."""
        found = await provider.find_by_key(ctx, ctx.idempotency_key)
        charged = list((await self.books(request.payment_id)).charged)
        assert charged == ([request.amount] if isinstance(found, Succeeded) else [])
        again = await provider.charge(msgspec.structs.replace(ctx, attempt=2), request)
        charged = list((await self.books(request.payment_id)).charged)
        assert len(charged) <= 1
        assert not isinstance(again, Succeeded) or charged == [request.amount]
        return found


def new_id(prefix: str) -> str:
    """Random, because a PSP's sandbox remembers the keys of earlier runs."""
    return f"{prefix}_{secrets.token_hex(8)}"
