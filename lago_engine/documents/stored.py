"""The PDF of a stored object, as it was issued.

A document says what held when it was issued: payments and offsets that came later do not change it, so that its bytes
stay the same. Only voiding shows, as a watermark on what is downloaded afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from lago_engine.documents.model import MissingGlyph
from lago_engine.documents.render import (
    TEMPLATE,
    Style,
    render_credit_note,
    render_invoice,
    render_receipt,
)
from lago_engine.domain.invoicing.issued import DocumentKind, GeneratedDocument, Issuer
from lago_engine.errors import NotFound
from lago_engine.store.port import Store

Wire = Mapping[str, Any]

GENERATED: Final = "generated_document"
"""Kind of the documents that keep what was issued."""

COMPILER: Final = f"typst {version('typst')}"

_generated = msgspec.json.Decoder(GeneratedDocument)


class Printed(NamedTuple):
    """The bytes of a PDF and the standard it keeps."""

    pdf: bytes
    standard: Literal["a-3b"] | None


def stored_pdf(
    store: Store, organization_id: UUID, kind: DocumentKind, document_id: UUID, current: Issuer
) -> bytes:
    """The PDF of a finalized or voided invoice, a credit note or a receipt. Blocking. Raises NotFound.

    current: stands in for the issuer of a document that was not generated yet.
    """
    body = store.documents.get(organization_id, kind, str(document_id))
    if body is None:
        raise NotFound(kind)
    document = msgspec.json.decode(body)
    if kind == "invoice" and document["status"] not in ("finalized", "voided"):
        raise NotFound(kind)
    generated = generated_document(store, organization_id, document_id)
    issuer = current if generated is None else generated.issuer
    return _print(kind, _settled_later(kind, document), issuer).pdf


def generated_document(
    store: Store, organization_id: UUID, document_id: UUID
) -> GeneratedDocument | None:
    """What was recorded of the document when it was generated."""
    body = store.documents.get(organization_id, GENERATED, str(document_id))
    return None if body is None else _generated.decode(body)


def generate(
    store: Store, organization_id: UUID, kind: DocumentKind, document_id: UUID, issuer: Issuer
) -> GeneratedDocument | None:
    """Make the document as it is issued; None: it was generated before. Blocking. Raises DocumentError."""
    if generated_document(store, organization_id, document_id) is not None:
        return None
    body = store.documents.get(organization_id, kind, str(document_id))
    assert body is not None, f"no {kind} {document_id}, although it was issued"
    document = msgspec.json.decode(body)
    printed = _print(kind, _as_issued(kind, document), issuer)
    return GeneratedDocument(
        kind=kind,
        id=document_id,
        number=document["number"],
        sha256=sha256(printed.pdf).hexdigest(),
        size_bytes=len(printed.pdf),
        pdf_standard=printed.standard,
        template_sha256=template_sha256(),
        compiler=COMPILER,
        issuer=issuer,
    )


def can_repeat(generated: GeneratedDocument) -> bool:
    """Whether this program has the template and the compiler that made the document."""
    return (generated.template_sha256, generated.compiler) == (template_sha256(), COMPILER)


def repeated_sha256(generated: GeneratedDocument, body: bytes) -> str:
    """The hash of a document that is made again from the stored object it shows."""
    document = _as_issued(generated.kind, msgspec.json.decode(body))
    return sha256(_print(generated.kind, document, generated.issuer).pdf).hexdigest()


@cache
def template_sha256() -> str:
    """The hash of the template of this version."""
    return sha256(TEMPLATE.read_bytes()).hexdigest()


def _print(kind: DocumentKind, document: Wire, issuer: Issuer) -> Printed:
    """PDF/A-3b; an ordinary PDF when a character has no glyph, which PDF/A forbids."""
    organization = _organization(issuer)
    try:
        return Printed(_render(kind, document, organization, Style(archival=True)), "a-3b")
    except MissingGlyph:
        return Printed(_render(kind, document, organization, Style()), None)


def _render(kind: DocumentKind, document: Wire, organization: Wire, style: Style) -> bytes:
    match kind:
        case "invoice":
            return render_invoice(document, organization, style)
        case "credit_note":
            return render_credit_note(document, organization, style)
        case "payment_receipt":
            # The customer as it was when it paid.
            return render_receipt(document, document["_"]["customer"], organization, style)


def _organization(issuer: Issuer) -> Wire:
    """The members of the wire's organization that documents show."""
    members = {name: getattr(issuer, name) for name in Issuer.__struct_fields__}
    return members | {"billing_configuration": members}


def _as_issued(kind: DocumentKind, document: Wire) -> Wire:
    match kind:
        case "invoice":
            return {**_settled_later(kind, document), "status": "finalized"}
        case "credit_note":
            return {**document, "credit_status": "available"}
        case "payment_receipt":
            return document


def _settled_later(kind: DocumentKind, document: Wire) -> Wire:
    """Nothing of an invoice is paid or offset on the day of issue."""
    if kind != "invoice":
        return document
    return {
        **document,
        "total_paid_amount_cents": 0,
        "total_offsetted_credit_note_amount_cents": 0,
        "total_due_amount_cents": document["total_amount_cents"],
    }
