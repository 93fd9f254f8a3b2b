"""Webhook bodies and signatures against the published rules, verified with the other side's code."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.errors import LagoError
from lago_engine.webhooks.signing import (
    JwtSigner,
    WebhookSigner,
    generate_private_key_pem,
    hmac_signature,
    webhook_body,
)

KEY = "3f0c2a58-5d6e-4a0b-9b9b-0d8a0f6f4b11"
ENVELOPE = {
    "webhook_type": "customer.created",
    "object_type": "customer",
    "organization_id": "11111111-1111-4111-8111-111111111111",
    "customer": {"lago_id": "22222222-2222-4222-8222-222222222222", "external_id": "acme & sons"},
}
SIGNATURE = "NF75tcpfMJ2R7sWJZrN+ltEweLsIeaQNZh8Ar0+WRuk="
ISSUER = "https://billing.example.com"
DELIVERY = UUID("33333333-3333-4333-8333-333333333333")
ORGANIZATION = UUID("11111111-1111-4111-8111-111111111111")


@pytest.fixture(scope="module")
def signer() -> JwtSigner:
    return JwtSigner(generate_private_key_pem(), issuer=ISSUER)


def test_the_test_vector_is_met_byte_for_byte() -> None:
    body = webhook_body(ENVELOPE)
    assert len(body) == 212
    assert b"acme \\u0026 sons" in body
    assert hmac_signature(body, KEY) == SIGNATURE


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.booleans()))
def test_bodies_hold_no_html_sensitive_bytes_and_mean_the_same(value: dict[str, object]) -> None:
    body = webhook_body(value)
    assert not any(char in body.decode() for char in "<>&\u2028\u2029")
    assert json.loads(body) == value


def test_each_sensitive_character_has_its_escape() -> None:
    assert webhook_body({"a": "<>&\u2028\u2029é\\"}) == (
        '{"a":"\\u003c\\u003e\\u0026\\u2028\\u2029é\\\\"}'.encode()
    )


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_jwt_carries_the_body_and_verifies_with_the_published_key(signer: JwtSigner) -> None:
    body = webhook_body(ENVELOPE)
    header, claims, signature = signer.sign(body).split(".")
    published = base64.b64decode(signer.public_key_mime())
    public_key = serialization.load_pem_public_key(published)
    assert isinstance(public_key, rsa.RSAPublicKey)
    signed = f"{header}.{claims}".encode()
    public_key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(_decoded(header)) == {"alg": "RS256"}
    assert json.loads(_decoded(claims)) == {"data": body.decode(), "iss": ISSUER}
    with pytest.raises(InvalidSignature):
        public_key.verify(_decoded(signature), signed + b"x", padding.PKCS1v15(), hashes.SHA256())


def test_the_public_key_is_mime_base64_of_a_pem(signer: JwtSigner) -> None:
    text = signer.public_key_mime()
    lines = text.split("\n")
    assert lines[-1] == ""
    assert all(len(line) == 60 for line in lines[:-2])
    assert 0 < len(lines[-2]) <= 60
    assert base64.b64decode(text).startswith(b"-----BEGIN PUBLIC KEY-----\n")


def test_a_key_of_another_kind_is_refused() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(LagoError, match="RSA"):
        JwtSigner(pem, issuer=ISSUER)


def test_headers_name_the_delivery_and_the_algorithm(signer: JwtSigner) -> None:
    keys = {ORGANIZATION: KEY}
    webhook_signer = WebhookSigner(signer, keys.__getitem__)
    body = webhook_body(ENVELOPE)
    by_hmac = webhook_signer.headers(
        delivery_id=DELIVERY, organization_id=ORGANIZATION, algo="hmac", body=body
    )
    assert by_hmac == {
        "Content-Type": "application/json",
        "X-Lago-Unique-Key": str(DELIVERY),
        "X-Lago-Signature-Algorithm": "hmac",
        "X-Lago-Signature": SIGNATURE,
    }
    by_jwt = webhook_signer.headers(
        delivery_id=DELIVERY, organization_id=ORGANIZATION, algo="jwt", body=body
    )
    assert by_jwt["X-Lago-Signature-Algorithm"] == "jwt"
    assert by_jwt["X-Lago-Signature"] == signer.sign(body)
