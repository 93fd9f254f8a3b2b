"""What the pretended PSP does with a payment, told by the method's token.

    tok_ok                      succeeds
    tok_<decline code>          is declined, e.g. tok_insufficient_funds
    tok_decline_<n>             the first n payments are declined, later ones succeed
    tok_pending                 is processing, then succeeds by webhook
    tok_pending_fails           is processing, then fails by webhook
    tok_action                  requires the payer's action
    tok_timeout_before, _after  hangs before, or after, the payment was made
    tok_500_before, _after      answers 500 before, or after, the payment was made
    tok_429                     limits the rate

Any other token is an invalid method. A fault strikes the first request of an idempotency key
only; a repetition gets through.
"""

from __future__ import annotations

import enum
import re

import msgspec

from lago_engine_fakepay.dialect import PaymentStatus, Problem

DECLINES = {
    "insufficient_funds": "There is not enough money in the account.",
    "expired_card": "The card has expired.",
    "suspected_fraud": "The payment looks fraudulent.",
    "authentication_required": "The payer must authenticate.",
    "do_not_honor": "The bank refuses without a reason.",
    "limit_exceeded": "The card's limit is reached.",
    "amount_too_small": "The amount is below the minimum.",
    "invalid_method": "The method does not exist.",
}


class Fault(enum.Enum):
    """How a request goes wrong; `_AFTER` ones have been applied."""

    HANG_BEFORE = enum.auto()
    HANG_AFTER = enum.auto()
    ERROR_BEFORE = enum.auto()
    ERROR_AFTER = enum.auto()
    RATE_LIMIT = enum.auto()

    @property
    def applies(self) -> bool:
        """Whether the payment is made although the answer is lost."""
        return self in (Fault.HANG_AFTER, Fault.ERROR_AFTER)


_FAULTS = {
    "tok_timeout_before": Fault.HANG_BEFORE,
    "tok_timeout_after": Fault.HANG_AFTER,
    "tok_500_before": Fault.ERROR_BEFORE,
    "tok_500_after": Fault.ERROR_AFTER,
    "tok_429": Fault.RATE_LIMIT,
}


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a payment; `settles_to` is what the webhook of a processing one tells."""

    status: PaymentStatus = "succeeded"
    settles_to: PaymentStatus = "succeeded"
    problem: Problem | None = None
    fault: Fault | None = None


def declined(code: str) -> Behaviour:
    """A failed payment with one of the decline codes."""
    return Behaviour(status="failed", problem=Problem(code, DECLINES[code]))


def behaviour_of(token: str, *, earlier_payments: int) -> Behaviour:
    """The behaviour of one payment; `earlier_payments` were made with this token before."""
    if token == "tok_ok":  # noqa: S105 - a name of a test method, not a password.
        return Behaviour()
    if token in _FAULTS:
        return Behaviour(fault=_FAULTS[token])
    if token.startswith("tok_pending"):
        settles_to: PaymentStatus = "failed" if token.endswith("_fails") else "succeeded"
        return Behaviour(status="processing", settles_to=settles_to)
    if token == "tok_action":  # noqa: S105
        return Behaviour(status="requires_action")
    if counted := re.fullmatch(r"tok_decline_(\d{1,3})", token):
        still = earlier_payments < int(counted.group(1))
        return declined("do_not_honor") if still else Behaviour()
    code = token.removeprefix("tok_")
    return declined(code if code in DECLINES else "invalid_method")
