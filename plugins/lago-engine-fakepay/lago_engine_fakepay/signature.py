"""Webhook signatures: header `Fakepay-Signature: t=<seconds>,v1=<hex HMAC-SHA256>`.

The signed text is the timestamp, a dot and the exact body, so that neither can be replaced.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "fakepay-signature"
TOLERANCE_S = 300


def sign(body: bytes, *, secret: str, at_s: int) -> str:
    """The header's value for a body sent at `at_s`, seconds since the epoch."""
    return f"t={at_s},v1={_digest(body, secret, str(at_s))}"


def verify(header: str, body: bytes, *, secret: str, now_s: int) -> None:
    """Returns for a fresh, genuine signature; raises `ValueError` with the reason otherwise."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    timestamp, given = parts.get("t", ""), parts.get("v1", "")
    if not (timestamp.isascii() and timestamp.isdigit() and given):
        raise ValueError("the signature header has no timestamp or no v1 signature")
    if not hmac.compare_digest(_digest(body, secret, timestamp).encode(), given.encode()):
        raise ValueError("the signature does not match the body")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise ValueError(f"the webhook was signed more than {TOLERANCE_S} seconds away from now")


def _digest(body: bytes, secret: str, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
