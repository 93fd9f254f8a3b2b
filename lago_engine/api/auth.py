"""API keys in requests (api_conventions §1.1).

`Authorization: <any word> <key>`: only the second word is read. HTTP Basic carries the key as user
name, so that a key inside a URL works with clients that send no header of their own.
"""

from __future__ import annotations

import base64
import binascii


def presented_key(authorization: str | None) -> str | None:
    """The API key in an `Authorization` header; None when there is none to read."""
    words = (authorization or "").split(maxsplit=2)
    if len(words) < 2:
        return None
    scheme, credentials = words[0], words[1]
    if scheme.lower() != "basic":
        return credentials
    try:
        user, _, _ = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return user or None
