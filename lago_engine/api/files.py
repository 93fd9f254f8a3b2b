"""`/files`: documents behind names that cannot be guessed, for browsers without an API key.

A name is the ids of organization and invoice with a MAC over both, keyed by the server; it is valid
as long as that key is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from uuid import UUID

from aiohttp import web

from lago_engine.api.call import ENGINE, SETTINGS
from lago_engine.api.routes import Route

MAC_BYTES = 16


def invoice_file_url(request: web.Request, organization_id: UUID, invoice_id: UUID) -> str:
    """Where the PDF of an invoice can be fetched."""
    settings = request.app[SETTINGS]
    base = settings.public_url or str(request.url.origin())
    name = invoice_file_name(settings.files_secret, organization_id, invoice_id)
    return f"{base.rstrip('/')}/files/invoices/{name}"


def invoice_file_name(secret: bytes, organization_id: UUID, invoice_id: UUID) -> str:
    """The name of an invoice's PDF."""
    ids = organization_id.bytes + invoice_id.bytes
    return base64.urlsafe_b64encode(ids + _mac(secret, ids)).decode() + ".pdf"


def read_invoice_file_name(secret: bytes, name: str) -> tuple[UUID, UUID] | None:
    """(organization, invoice) of a name this server gave; None for any other."""
    token, _, extension = name.rpartition(".")
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ids, mac = data[:32], data[32:]
    if extension != "pdf" or not hmac.compare_digest(mac, _mac(secret, ids)):
        return None
    return UUID(bytes=ids[:16]), UUID(bytes=ids[16:])


def _mac(secret: bytes, ids: bytes) -> bytes:
    return hmac.digest(secret, b"invoice pdf" + ids, "sha256")[:MAC_BYTES]


async def invoice_pdf(request: web.Request) -> web.Response:
    found = read_invoice_file_name(request.app[SETTINGS].files_secret, request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    pdf = await request.app[ENGINE].invoice_pdf(*found)
    headers = {"Content-Disposition": 'inline; filename="invoice.pdf"', "Cache-Control": "private"}
    return web.Response(body=pdf, content_type="application/pdf", headers=headers)


ROUTES = (Route("GET", "/files/invoices/{name}", invoice_pdf),)
