"""`/files`: documents behind names that cannot be guessed, for browsers without an API key.

A name is the ids of organization and object with a MAC over both and the kind of the object, keyed by the server; it
is valid as long as that key is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Final
from uuid import UUID

from aiohttp import web

from lago_engine.api.call import ENGINE, SETTINGS
from lago_engine.api.routes import Route
from lago_engine.domain.invoicing.issued import DocumentKind

MAC_BYTES: Final = 16

FOLDERS: Final[dict[str, DocumentKind]] = {
    "invoices": "invoice",
    "credit_notes": "credit_note",
    "payment_receipts": "payment_receipt",
}
"""Part of the path → what its files show."""


def file_url(
    request: web.Request, kind: DocumentKind, organization_id: UUID, document_id: UUID
) -> str:
    """Where the PDF of an invoice, a credit note or a receipt can be fetched."""
    settings = request.app[SETTINGS]
    base = settings.public_url or str(request.url.origin())
    name = file_name(settings.files_secret, kind, organization_id, document_id)
    return f"{base.rstrip('/')}/files/{kind}s/{name}"


def file_name(secret: bytes, kind: DocumentKind, organization_id: UUID, document_id: UUID) -> str:
    """The name of a PDF."""
    ids = organization_id.bytes + document_id.bytes
    return base64.urlsafe_b64encode(ids + _mac(secret, kind, ids)).decode() + ".pdf"


def read_file_name(secret: bytes, kind: DocumentKind, name: str) -> tuple[UUID, UUID] | None:
    """(organization, object) of a name this server gave for this kind; None for any other."""
    token, _, extension = name.rpartition(".")
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ids, mac = data[:32], data[32:]
    if extension != "pdf" or not hmac.compare_digest(mac, _mac(secret, kind, ids)):
        return None
    return UUID(bytes=ids[:16]), UUID(bytes=ids[16:])


def _mac(secret: bytes, kind: DocumentKind, ids: bytes) -> bytes:
    return hmac.digest(secret, f"{kind} pdf".encode() + ids, "sha256")[:MAC_BYTES]


async def pdf(request: web.Request) -> web.Response:
    kind = FOLDERS.get(request.match_info["folder"])
    if kind is None:
        raise web.HTTPNotFound
    secret = request.app[SETTINGS].files_secret
    found = read_file_name(secret, kind, request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    organization_id, document_id = found
    body = await request.app[ENGINE].document_pdf(organization_id, kind, document_id)
    headers = {
        "Content-Disposition": f'inline; filename="{kind}.pdf"',
        "Cache-Control": "private",
        # The hash that `document_generated.v1` recorded, as long as template and compiler are the same.
        "ETag": f'"{sha256(body).hexdigest()}"',
    }
    return web.Response(body=body, content_type="application/pdf", headers=headers)


ROUTES = (Route("GET", "/files/{folder}/{name}", pdf),)
