"""The bodies of Fakepay's HTTP interface, as both sides read and write them.

Amounts travel as decimal text in major units (`{"value": "12.05", "currency": "EUR"}`), so the
provider converts from and to the engine's minor units.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

# Currencies whose ISO 4217 minor unit is not a hundredth.
_DIGITS = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
     "VUV", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)  # fmt: skip

RefundStatus = Literal["processing", "succeeded", "failed"]
PaymentStatus = Literal["processing", "requires_action", "succeeded", "failed", "canceled"]


def to_major(minor: int, currency: str) -> str:
    """Minor units as decimal text: (1205, "EUR") → "12.05", (1205, "JPY") → "1205"."""
    return f"{Decimal(minor).scaleb(-_DIGITS.get(currency, 2)):f}"


def to_minor(value: str, currency: str) -> int:
    """The inverse of `to_major`; raises `ValueError` for text finer than the minor unit."""
    try:
        minor = Decimal(value).scaleb(_DIGITS.get(currency, 2))
    except InvalidOperation:
        raise ValueError(f"{value} is not an amount") from None
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise ValueError(f"{value} {currency} is not a whole number of minor units")
    return int(minor)


class Amount(msgspec.Struct, frozen=True):
    """Decimal text in major units; one that is not a whole number of minor units is no amount."""

    value: str
    currency: str

    def __post_init__(self) -> None:
        self.minor()

    @classmethod
    def of(cls, minor: int, currency: str) -> Amount:
        """From minor units."""
        return cls(to_major(minor, currency), currency)

    def minor(self) -> int:
        """In minor units."""
        return to_minor(self.value, self.currency)


class Problem(msgspec.Struct, frozen=True):
    """Why something was refused."""

    code: str
    message: str


class PaymentInput(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/payments`; without `method` the customer's default one is charged."""

    reference: str
    amount: Amount
    customer: str
    method: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment; `reference` is the merchant's own id of it."""

    id: str
    reference: str
    status: PaymentStatus
    amount: Amount
    refunded: Amount
    customer: str | None = None
    method: str | None = None
    error: Problem | None = None
    action_url: str | None = None


class RefundInput(msgspec.Struct, frozen=True):
    """Body of `POST /v1/payments/{id}/refunds`."""

    amount: Amount


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund; complete at once, unless refunds are held."""

    id: str
    payment: str
    amount: Amount
    status: RefundStatus = "succeeded"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the look-ups: exactly one of the two is given."""

    payment: Payment | None = None
    refund: Refund | None = None


class CustomerInput(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/customers`; the same reference gives the same customer."""

    reference: str
    email: str | None = None
    name: str | None = None


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A stored card."""

    id: str
    brand: str = "fakecard"
    last4: str = "4242"


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with the default method first."""

    id: str
    reference: str
    methods: tuple[Method, ...] = ()


class SessionInput(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/checkout_sessions`: with a payment to make, or to store a method."""

    return_url: str
    customer: str
    payment: PaymentInput | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted page; `expires_at` is in seconds since the epoch."""

    id: str
    url: str
    expires_at: int


class EndpointInput(msgspec.Struct, frozen=True):
    """Body of `POST /v1/webhook_endpoints`."""

    url: str


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint and the secret its webhooks are signed with."""

    id: str
    url: str
    secret: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a webhook; `type` is `payment.<status>`, `refund.<status>` or `method.added`."""

    id: str
    type: str
    created: int
    payment: Payment | None = None
    refund: Refund | None = None
    customer: str | None = None
    method: Method | None = None
