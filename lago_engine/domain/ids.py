"""Identifiers derived from what they identify, so that a replay gives the same ones.

An id is the first 128 bits of a SHA-256 over length-prefixed parts, marked as an RFC 9562 version 8 UUID.
"""

from __future__ import annotations

import hashlib
from uuid import UUID


def derive(*parts: str | int | UUID) -> UUID:
    """The id of the thing named by `parts`; different part lists never share a name."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.bytes if isinstance(part, UUID) else str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    raw = bytearray(digest.digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))


def customer_id(organization_id: UUID, external_id: str, earlier: int = 0) -> UUID:
    """A customer's id and stream: one per (organization, external_id) and `earlier` customers with it that were deleted."""
    again = (earlier,) if earlier else ()
    return derive(organization_id, "customer", external_id, *again)
