"""Bodies and signatures of outgoing webhooks.

Source of the rules: Lago's public documentation of webhook signatures. A body is compact JSON with
HTML-sensitive characters escaped; `hmac` is Base64(HMAC-SHA256(key text, body)); `jwt` is a compact RS256 JWS whose `data`
claim is the body as a string. The signature always covers the exact bytes sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lago_engine.errors import LagoError

SignatureAlgo = Literal["jwt", "hmac"]

_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_MIME_LINE_CHARACTERS = 60


def webhook_body(envelope: Any) -> bytes:
    """The envelope as compact JSON, ready to store, sign and send."""
    body = msgspec.json.encode(envelope)
    # These bytes occur in JSON only inside strings, where the escape means the same character.
    for character, escape in _ESCAPES:
        body = body.replace(character, escape)
    return body


def hmac_signature(body: bytes, key: str) -> str:
    """Standard Base64 with padding of HMAC-SHA256 over the body, keyed by the key's UTF-8 text."""
    return base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256)).decode()


def generate_private_key_pem() -> bytes:
    """A new RSA-2048 key as unencrypted PKCS#8 PEM, for a server that has none yet."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class JwtSigner:
    """Signs with one RSA key, parsed once: parsing costs a hundred times a signature."""

    def __init__(self, private_key_pem: bytes, *, issuer: str) -> None:
        """`issuer` is the public base URL of the API. Raises `LagoError` for another kind of key."""
        key = serialization.load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise LagoError("webhooks are signed with an RSA key, this one is of another kind")
        self._key = key
        self._issuer = issuer
        self._header = _base64url(msgspec.json.encode({"alg": "RS256"}))

    def sign(self, body: bytes) -> str:
        """Compact JWS with the claims `data` (the body) and `iss`; it does not expire."""
        claims = msgspec.json.encode({"data": body.decode(), "iss": self._issuer})
        signed = self._header + b"." + _base64url(claims)
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + _base64url(signature)).decode()

    def public_key_pem(self) -> bytes:
        """The PEM "PUBLIC KEY" that verifies the signatures."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def public_key_mime(self) -> str:
        """Base64 of the PEM in lines of 60 characters, each ended by a newline."""
        text = base64.b64encode(self.public_key_pem()).decode()
        starts = range(0, len(text), _MIME_LINE_CHARACTERS)
        return "".join(f"{text[start : start + _MIME_LINE_CHARACTERS]}\n" for start in starts)


class WebhookSigner:
    """The headers of a delivery. `hmac_key_of` gives an organization's current HMAC key."""

    def __init__(self, jwt: JwtSigner, hmac_key_of: Callable[[UUID], str]) -> None:
        self._jwt = jwt
        self._hmac_key_of = hmac_key_of

    def headers(
        self, *, delivery_id: UUID, organization_id: UUID, algo: str, body: bytes
    ) -> dict[str, str]:
        """All request headers; `algo` is `jwt` or `hmac`."""
        assert algo in ("jwt", "hmac"), algo
        if algo == "hmac":
            signature = hmac_signature(body, self._hmac_key_of(organization_id))
        else:
            signature = self._jwt.sign(body)
        return {
            "Content-Type": "application/json",
            "X-Lago-Unique-Key": str(delivery_id),
            "X-Lago-Signature-Algorithm": algo,
            "X-Lago-Signature": signature,
        }


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
