"""The simulated PSP of test organizations: no network, every reference a function of its input.

A connection's `outcome` says what payment attempts are answered. It is a raw status of the
imitated provider `type` (`requires_payment_method` of stripe …), one of `succeeded`, `failed`,
`processing`, `pending`, a decline code (`insufficient_funds` …), or a fault: `unavailable`,
`timeout` (lost before the provider applied it), `timeout_applied` (lost after).
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal, get_args

from lago_engine.payments.base import BaseProvider
from lago_engine.payments.interface import (
    ActionRequired,
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
    ProviderUnavailable,
    Succeeded,
    Unknown,
)

ProviderType = Literal["stripe", "gocardless", "adyen", "cashfree", "flutterwave", "moneyhash"]
_DECLINE_CODES: tuple[DeclineCode, ...] = get_args(DeclineCode)
_FAULTS = frozenset({"unavailable", "timeout", "timeout_applied"})
_ACTION = "requires_action"
_COMMON = {
    "succeeded": "succeeded",
    "failed": "failed",
    "processing": "pending",
    "pending": "pending",
}
# Raw statuses of each PSP by what they mean for the payment.
_STATUSES: dict[ProviderType, dict[str, tuple[str, ...]]] = {
    "stripe": {
        "pending": ("requires_capture", "requires_action", "requires_confirmation"),
        "succeeded": (),
        "failed": ("canceled", "requires_payment_method"),
    },
    "gocardless": {
        "pending": ("pending_customer_approval", "pending_submission", "submitted", "confirmed"),
        "succeeded": ("paid_out",),
        "failed": ("cancelled", "customer_approval_denied", "charged_back"),
    },
    "adyen": {
        "pending": ("AuthorisedPending", "Received"),
        "succeeded": ("Authorised", "SentForSettle", "SettleScheduled", "Settled", "Refunded"),
        "failed": ("Cancelled", "CaptureFailed", "Error", "Expired", "Refused"),
    },
    "cashfree": {
        "pending": ("PARTIALLY_PAID",),
        "succeeded": ("PAID",),
        "failed": ("EXPIRED", "CANCELLED"),
    },
    "flutterwave": {"pending": (), "succeeded": ("successful",), "failed": ("cancelled",)},
    "moneyhash": {
        "pending": ("PENDING", "PENDING_AUTHENTICATION", "UNPROCESSED"),
        "succeeded": ("SUCCESSFUL", "PROCESSED"),
        "failed": ("FAILED",),
    },
}


def _meaning(provider_type: ProviderType, status: str) -> str | None:
    """`pending`, `succeeded` or `failed` for a status word; None for an unknown one."""
    for meaning, words in _STATUSES[provider_type].items():
        if status in words:
            return meaning
    return "failed" if status in _DECLINE_CODES else _COMMON.get(status)


class SimulatedConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the simulated connection imitates and answers; see the module."""

    type: ProviderType = "stripe"
    outcome: str = "succeeded"

    def __post_init__(self) -> None:
        if self.outcome not in _FAULTS and _meaning(self.type, self.outcome) is None:
            raise ValueError(f"unknown outcome {self.outcome}")


class SimulatedProvider(BaseProvider):
    """Answers as configured and remembers each operation by its key and its reference.

    A reference spells out the operation (`simpay_<digest>_<minor>_<currency>_<status>`), so
    `fetch` answers alike after a restart. `find_by_key` knows this process's operations only:
    None leads the engine to repeat the call with the same key, which gives the same reference.
    """

    api_version: ClassVar[tuple[int, int]] = (1, 0)
    code: ClassVar[str] = "simulated"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.CHARGE_OFF_SESSION,
            Capability.CHECKOUT_SETUP,
            Capability.CHECKOUT_PAYMENT,
            Capability.LIST_METHODS,
            Capability.REFUND_PARTIAL,
            Capability.REFUND_FULL,
            Capability.CANCEL,
            Capability.FETCH,
            Capability.FIND_BY_KEY,
        }
    )
    Config: ClassVar[type[ProviderConfig]] = SimulatedConfig

    def __init__(self) -> None:
        self._by_key: dict[str, str] = {}
        self._by_ref: dict[str, Outcome] = {}
        self._refunded: dict[str, int] = {}

    async def ensure_customer(self, ctx: Ctx, customer: CustomerRef) -> str:
        return customer.provider_customer_id or f"simcus_{_digest(customer.external_id)}"

    async def list_methods(self, ctx: Ctx, provider_customer_id: str) -> list[MethodRef]:
        display = {"brand": "visa", "last4": "4242"}
        method_id = f"simpm_{_digest(provider_customer_id)}"
        return [MethodRef(provider_method_id=method_id, display=display)]

    async def charge(self, ctx: Ctx, request: ChargeRequest) -> Outcome:
        settings = _settings(ctx)
        key = ctx.idempotency_key
        assert key, "a charge needs an idempotency key"
        if (known := await self.find_by_key(ctx, key)) is not None:
            return known
        if settings.outcome == "unavailable":
            raise ProviderUnavailable("the simulated provider refuses connections")
        if settings.outcome == "timeout" and ctx.attempt == 1:
            return Unknown(reason="simulated time-out before the provider applied it")
        status = "succeeded" if settings.outcome in _FAULTS else settings.outcome
        reference = _reference(key, request.amount, status)
        outcome = _answer(settings.type, reference)
        self._record(key, reference, outcome)
        if settings.outcome == "timeout_applied" and ctx.attempt == 1:
            return Unknown(reason="simulated time-out after the provider applied it")
        return outcome

    async def refund(self, ctx: Ctx, provider_ref: str, amount: Money) -> Outcome:
        key = ctx.idempotency_key
        assert key, "a refund needs an idempotency key"
        if (known := await self.find_by_key(ctx, key)) is not None:
            return known
        payment = await self.fetch(ctx, provider_ref)
        refunded = self._refunded.get(provider_ref, 0)
        if not _refundable(payment, refunded, amount):
            return Declined(code="other", message="more than was paid", provider_code="over_refund")
        self._refunded[provider_ref] = refunded + amount.minor
        reference = f"simref_{_digest(key)}_{amount.minor}_{amount.currency}_succeeded"
        outcome = Succeeded(provider_ref=reference, amount=amount)
        self._record(key, reference, outcome)
        return outcome

    async def cancel(self, ctx: Ctx, provider_ref: str) -> Outcome:
        current = await self.fetch(ctx, provider_ref)
        if isinstance(current, Pending | ActionRequired):
            message = "The payment was canceled."
            current = Declined(
                code="canceled",
                message=message,
                provider_ref=provider_ref,
                provider_status="canceled",
            )
            self._by_ref[provider_ref] = current
        return current

    async def fetch(self, ctx: Ctx, provider_ref: str) -> Outcome:
        if provider_ref in self._by_ref:
            return self._by_ref[provider_ref]
        return _answer(_settings(ctx).type, provider_ref)

    async def find_by_key(self, ctx: Ctx, idempotency_key: str) -> Outcome | None:
        reference = self._by_key.get(idempotency_key)
        return None if reference is None else self._by_ref[reference]

    async def checkout_setup(
        self, ctx: Ctx, customer: CustomerRef, return_url: str
    ) -> CheckoutLink:
        reference = f"simsetup_{_digest(customer.external_id)}"
        return CheckoutLink(url=_page(reference), provider_ref=reference)

    async def checkout_payment(
        self, ctx: Ctx, request: ChargeRequest, return_url: str
    ) -> CheckoutLink:
        reference = _reference(ctx.idempotency_key, request.amount, "processing")
        return CheckoutLink(url=_page(reference), provider_ref=reference)

    def report(self, ctx: Ctx, provider_ref: str, status: str, *, now_us: int) -> ProviderEvent:
        """The provider reports the end of a payment, as a verified webhook would.

        Raises `Misconfigured` for a status the imitated provider does not know.
        """
        outcome = _answer(_settings(ctx).type, provider_ref, status=status)
        self._by_ref[provider_ref] = outcome
        return ProviderEvent(
            event_id=f"simevt_{_digest(f'{provider_ref}:{status}')}",
            occurred_at_us=now_us,
            kind="payment",
            provider_ref=provider_ref,
            outcome=outcome,
        )

    def _record(self, key: str, reference: str, outcome: Outcome) -> None:
        self._by_key[key] = reference
        self._by_ref[reference] = outcome


def _settings(ctx: Ctx) -> SimulatedConfig:
    if not isinstance(ctx.config, SimulatedConfig):
        raise Misconfigured("the connection is not a simulated one")
    return ctx.config


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _page(reference: str) -> str:
    return f"https://checkout.simulated.invalid/{reference}"  # .invalid never resolves (RFC 2606).


def _reference(key: str, amount: Money, status: str) -> str:
    return f"simpay_{_digest(key)}_{amount.minor}_{amount.currency}_{status}"


def _answer(provider_type: ProviderType, reference: str, *, status: str | None = None) -> Outcome:
    """The outcome a reference spells out, or the one it has after `status` was reported."""
    try:
        _, _, minor, currency, first_status = reference.split("_", 4)
        amount = Money(int(minor), currency)
    except ValueError:
        raise Misconfigured(f"{reference} is not a simulated payment") from None
    word = status or first_status
    meaning = _meaning(provider_type, word)
    if meaning is None:
        raise Misconfigured(f"{provider_type} has no status {word}")
    if meaning == "succeeded":
        return Succeeded(provider_ref=reference, amount=amount, provider_status=word)
    if meaning == "failed":
        return _declined(provider_type, reference, word)
    if word == _ACTION:
        return ActionRequired(provider_ref=reference, url=_page(reference), provider_status=word)
    return Pending(provider_ref=reference, provider_status=word)


def _declined(provider_type: ProviderType, reference: str, word: str) -> Declined:
    codes = [code for code in _DECLINE_CODES if code == word]
    return Declined(
        code=codes[0] if codes else "do_not_honor",
        message=f"The simulated provider answered {word}.",
        provider_ref=reference,
        provider_status=word if word in _STATUSES[provider_type]["failed"] else "failed",
        provider_code=word,
    )


def _refundable(payment: Outcome, refunded: int, amount: Money) -> bool:
    return (
        isinstance(payment, Succeeded)
        and payment.amount.currency == amount.currency
        and 0 < amount.minor <= payment.amount.minor - refunded
    )


__all__ = ["SimulatedConfig", "SimulatedProvider"]
