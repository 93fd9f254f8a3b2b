"""The PDF of a stored object, as it was issued.

A document says what held when it was issued: payments and offsets that came later do not change it, so that its bytes
stay the same. Only voiding shows, as a watermark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from lago_engine.documents.model import MissingGlyph
from lago_engine.documents.render import Style, render_credit_note, render_invoice
from lago_engine.errors import NotFound
from lago_engine.store.port import Store

Wire = Mapping[str, Any]
Kind = Literal["invoice", "credit_note"]

ARCHIVAL: Final = Style(archival=True)


def stored_pdf(store: Store, organization_id: UUID, kind: Kind, document_id: UUID) -> bytes:
    """The PDF of a finalized or voided invoice, or of a credit note. Blocking. Raises NotFound."""
    body = store.documents.get(organization_id, kind, str(document_id))
    organization = store.documents.get(organization_id, "organization", str(organization_id))
    if body is None or organization is None:
        raise NotFound(kind)
    document = msgspec.json.decode(body)
    if kind == "invoice" and document["status"] not in ("finalized", "voided"):
        raise NotFound(kind)
    return printed(kind, document, msgspec.json.decode(organization))


def printed(kind: Kind, document: Wire, organization: Wire) -> bytes:
    """An issued object as PDF/A-3b; as an ordinary PDF when a character in it has no glyph, which PDF/A forbids."""
    try:
        return _print(kind, document, organization, ARCHIVAL)
    except MissingGlyph:
        return _print(kind, document, organization, Style())


def _print(kind: Kind, document: Wire, organization: Wire, style: Style) -> bytes:
    if kind == "invoice":
        return render_invoice(_as_issued(document), organization, style)
    return render_credit_note(document, organization, style)


def _as_issued(invoice: Wire) -> Wire:
    return {
        **invoice,
        "total_paid_amount_cents": 0,
        "total_offsetted_credit_note_amount_cents": 0,
        "total_due_amount_cents": invoice["total_amount_cents"],
    }
