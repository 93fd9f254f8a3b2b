"""A document as it was issued: what was printed, by which means, and the hash of its bytes."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import Organization

DocumentKind = Literal["invoice", "credit_note", "payment_receipt"]


class Issuer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a document says of the organization that issued it, as it was then."""

    name: str
    country: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    state: str | None = None
    zipcode: str | None = None
    city: str | None = None
    email: str | None = None
    legal_name: str | None = None
    legal_number: str | None = None
    tax_identification_number: str | None = None
    invoice_footer: str | None = None
    document_locale: str = "en"


class GeneratedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A PDF that can be made again, byte for byte, from the object `id` and the rest of this.

    sha256, template_sha256: hex. compiler: name and version. pdf_standard: null when a character has no glyph.
    """

    kind: DocumentKind
    id: UUID
    number: str
    sha256: str
    size_bytes: int
    pdf_standard: Literal["a-3b"] | None
    template_sha256: str
    compiler: str
    issuer: Issuer


def issuer_of(organization: Organization) -> Issuer:
    """The organization as documents show it now."""
    return Issuer(**{name: getattr(organization, name) for name in Issuer.__struct_fields__})
