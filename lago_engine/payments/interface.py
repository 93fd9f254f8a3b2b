"""The interface between the engine and a payment provider (PSP).

A provider gets frozen structs and returns a value; the engine alone writes events. It never sees
the store, and never chooses an idempotency key: both are the engine's, so that a charge can be
repeated after a crash and still happen once.

Money is integer minor units and an ISO 4217 code. A provider whose dialect uses another scale
converts inside, exactly.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import aiohttp
import msgspec

from lago_engine.errors import BadRequest, LagoError, UnavailableError

API_VERSION = (1, 0)
"""(major, minor). The registry refuses another major and warns about a newer minor."""


class Capability(enum.StrEnum):
    """What a provider can do; the engine hides what is absent. `METHODS` names the methods."""

    CHARGE_OFF_SESSION = "charge_off_session"  # Charge a stored method.
    CHECKOUT_SETUP = "checkout_setup"  # Hosted page that stores a method.
    CHECKOUT_PAYMENT = "checkout_payment"  # Hosted page that pays one payable.
    LIST_METHODS = "list_methods"
    REFUND_PARTIAL = "refund_partial"
    REFUND_FULL = "refund_full"
    CANCEL = "cancel"
    FETCH = "fetch"  # Look one operation up by the provider's reference.
    FIND_BY_KEY = "find_by_key"  # Look one operation up by the engine's idempotency key.
    WEBHOOKS = "webhooks"
    REGISTER_WEBHOOK = "register_webhook"


METHODS: Mapping[Capability, tuple[str, ...]] = {
    Capability.CHARGE_OFF_SESSION: ("ensure_customer", "charge"),
    Capability.CHECKOUT_SETUP: ("ensure_customer", "checkout_setup"),
    Capability.CHECKOUT_PAYMENT: ("checkout_payment",),
    Capability.LIST_METHODS: ("list_methods",),
    Capability.REFUND_PARTIAL: ("refund",),
    Capability.REFUND_FULL: ("refund",),
    Capability.CANCEL: ("cancel",),
    Capability.FETCH: ("fetch",),
    Capability.FIND_BY_KEY: ("find_by_key",),
    Capability.WEBHOOKS: ("verify_webhook",),
    Capability.REGISTER_WEBHOOK: ("register_webhook",),
}


class BadSignature(BadRequest):
    """A webhook is unsigned, altered, too old or unreadable; answered with 400."""


class ProviderUnavailable(UnavailableError):
    """The request was certainly not applied (refused connection, 429): safe to repeat."""


class Misconfigured(LagoError):
    """The connection cannot work: wrong credentials, missing setting, unusable plugin."""


class NotSupported(LagoError):
    """A method was called whose capability the provider does not declare."""


# ---- configuration ----------------------------------------------------------------------
Secret = Annotated[str, msgspec.Meta(extra_json_schema={"secret": True})]
"""A `Config` field of this type is masked in every form, listing and repr."""

MASK = "••••••••"


def secret_fields(config_type: type[ProviderConfig]) -> frozenset[str]:
    """Names of the fields declared as `Secret` or `Secret | None`, at the top level."""
    info = msgspec.inspect.type_info(config_type)
    assert isinstance(info, msgspec.inspect.StructType)
    return frozenset(field.encode_name for field in info.fields if _is_secret(field.type))


def _is_secret(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_is_secret(member) for member in kind.types)
    if isinstance(kind, msgspec.inspect.Metadata):
        return bool((kind.extra_json_schema or {}).get("secret")) or _is_secret(kind.type)
    return False


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every provider's `Config`: settings of one connection; flat; secrets masked."""

    def masked(self) -> dict[str, Any]:
        """The settings as plain JSON values with each non-empty secret replaced by `MASK`."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values | {name: MASK for name in secret_fields(type(self)) if values.get(name)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.masked().items())
        return f"{type(self).__name__}({shown})"


# ---- requests ---------------------------------------------------------------------------
class Money(msgspec.Struct, frozen=True):
    """An amount in minor units of `currency` (ISO 4217): 12.05 EUR is 1205, 1.205 BHD too."""

    minor: int
    currency: str


class Ctx(msgspec.Struct, frozen=True, kw_only=True):
    """What every call carries.

    `idempotency_key` is `payment_id:operation:generation`, the same for each repetition of one
    operation, also after a restart. `deadline_s` bounds the whole call.
    """

    config: ProviderConfig
    idempotency_key: str = ""
    attempt: int = 1
    deadline_s: float = 20.0
    correlation_id: str = ""
    test_mode: bool = True


class CustomerRef(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays. `provider_customer_id` is what `ensure_customer` gave."""

    lago_id: str
    external_id: str
    email: str | None = None
    name: str | None = None
    provider_customer_id: str | None = None


class MethodRef(msgspec.Struct, frozen=True, kw_only=True):
    """A stored payment method. `display` holds brand, last4, expiry: never a full number."""

    provider_method_id: str
    kind: str = "card"
    display: Mapping[str, str] = {}


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One amount to collect. Without `method` the provider uses the customer's default one."""

    payment_id: str
    amount: Money
    customer: CustomerRef
    method: MethodRef | None = None
    invoice_ids: Sequence[str] = ()
    description: str | None = None
    metadata: Mapping[str, str] = {}


class CheckoutLink(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted page; `expires_at_us` is microseconds since the epoch."""

    url: str
    provider_ref: str
    expires_at_us: int | None = None


class WebhookRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint registered at the provider; its secret belongs into the `Config`."""

    webhook_id: str
    webhook_secret: str

    def __repr__(self) -> str:
        return f"WebhookRegistration(webhook_id={self.webhook_id!r}, webhook_secret={MASK!r})"


# ---- outcomes: a tagged union, so that callers must match exhaustively --------------------
# `provider_status` is the provider's own word, shown unchanged as the payment's `status`.
class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded"):
    """The money moved: `amount` is what the provider booked."""

    provider_ref: str
    amount: Money
    provider_status: str = "succeeded"
    fee: Money | None = None
    raw: Mapping[str, Any] = {}


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag="pending"):
    """Accepted; a webhook or `fetch` tells the end."""

    provider_ref: str
    provider_status: str = "processing"
    poll_after_s: int | None = None
    raw: Mapping[str, Any] = {}


class ActionRequired(msgspec.Struct, frozen=True, kw_only=True, tag="action_required"):
    """The payer must act at `url` first (3-D Secure, approval)."""

    provider_ref: str
    url: str
    provider_status: str = "requires_action"
    expires_at_us: int | None = None
    raw: Mapping[str, Any] = {}


DeclineCode = Literal[
    "insufficient_funds", "expired_method", "fraud", "authentication_required", "do_not_honor",
    "limit_exceeded", "amount_too_small", "invalid_method", "canceled", "other",
]  # fmt: skip


class Declined(msgspec.Struct, frozen=True, kw_only=True, tag="declined"):
    """Refused: certain, final for this key. `provider_code` is the provider's own code."""

    code: DeclineCode
    message: str
    retryable: bool = False
    provider_ref: str | None = None
    provider_status: str = "failed"
    provider_code: str | None = None
    raw: Mapping[str, Any] = {}


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag="unknown"):
    """Perhaps applied (time-out, 5xx). The engine looks it up; it never charges blindly again."""

    reason: str


Outcome = Succeeded | Pending | ActionRequired | Declined | Unknown


# ---- webhooks ----------------------------------------------------------------------------
class RawWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A request as received: header names in lower case, exact body bytes, time of arrival."""

    headers: Mapping[str, str]
    body: bytes
    received_at_us: int


EventKind = Literal[
    "payment", "refund", "dispute", "method_added", "method_removed", "payout", "ignored"
]


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook says, normalized. `event_id` is the provider's own: the de-duplication key."""

    event_id: str
    occurred_at_us: int
    kind: EventKind
    provider_ref: str | None = None
    payment_id: str | None = None
    provider_customer_id: str | None = None
    method: MethodRef | None = None
    outcome: Outcome | None = None


class PaymentProvider(Protocol):
    """A payment provider; one instance per process serves every connection.

    Methods return an `Outcome` for whatever the provider decided. They raise
    `ProviderUnavailable` when the request certainly had no effect, `Misconfigured` for a
    connection that cannot work, and `NotSupported` for an undeclared capability. Cancellation
    must propagate. Subclass `BaseProvider` to implement only what the capabilities promise.
    """

    api_version: ClassVar[tuple[int, int]]
    code: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    Config: ClassVar[type[ProviderConfig]]

    async def open(self, http: aiohttp.ClientSession) -> None:
        """Takes the shared session. Called once, before any other method."""

    async def close(self) -> None:
        """Releases what `open` acquired, but not the shared session."""

    async def check(self, ctx: Ctx) -> None:
        """Returns when the credentials work; raises `Misconfigured` otherwise."""

    async def ensure_customer(self, ctx: Ctx, customer: CustomerRef) -> str:
        """Creates or finds the customer at the provider; returns its id there."""
        ...

    async def charge(self, ctx: Ctx, request: ChargeRequest) -> Outcome:
        """Collects once per `ctx.idempotency_key`, however often it is called."""
        ...

    async def refund(self, ctx: Ctx, provider_ref: str, amount: Money) -> Outcome:
        """Gives back a part of a payment, once per key, never more than was collected."""
        ...

    async def cancel(self, ctx: Ctx, provider_ref: str) -> Outcome:
        """Stops a pending payment; returns how the payment ended (`Declined` "canceled")."""
        ...

    async def fetch(self, ctx: Ctx, provider_ref: str) -> Outcome:
        """How a payment or refund stands now."""
        ...

    async def find_by_key(self, ctx: Ctx, idempotency_key: str) -> Outcome | None:
        """How the operation with this key stands; None when the provider never applied it."""
        ...

    async def list_methods(self, ctx: Ctx, provider_customer_id: str) -> Sequence[MethodRef]:
        """The customer's stored methods, the default one first."""
        ...

    async def checkout_setup(
        self, ctx: Ctx, customer: CustomerRef, return_url: str
    ) -> CheckoutLink:
        """A hosted page on which the customer stores a method."""
        ...

    async def checkout_payment(
        self, ctx: Ctx, request: ChargeRequest, return_url: str
    ) -> CheckoutLink:
        """A hosted page on which the customer pays `request.amount`."""
        ...

    async def register_webhook(self, ctx: Ctx, url: str) -> WebhookRegistration:
        """Asks the provider to send its webhooks to `url`."""
        ...

    def verify_webhook(self, ctx: Ctx, hook: RawWebhook) -> Sequence[ProviderEvent]:
        """Pure: checks the signature and normalizes; raises `BadSignature`."""
        ...
