"""What all documents have in common: languages, the two parties, paper."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from lago_engine.documents.formats import Formats, formats_for
from lago_engine.documents.labels import Labels, labels_for
from lago_engine.documents.model import DocumentError, Party
from lago_engine.documents.parties import customer_party, organization_party
from lago_engine.domain.money import CURRENCIES
from lago_engine.domain.timezones import zone

Wire = Mapping[str, Any]

_LETTER_PAPER_COUNTRIES = frozenset({"CA", "CL", "CO", "MX", "PH", "US"})


class Frame(NamedTuple):
    """How a document is written, and between whom."""

    labels: Labels
    formats: Formats
    zone: ZoneInfo
    paper: str
    seller: Party
    buyer: Party
    footer: str | None

    @property
    def common(self) -> dict[str, Any]:
        """The members of the view that follow from the frame alone."""
        return {
            "language": self.formats.language,
            "region": self.formats.region,
            "paper": self.paper,
            "seller_heading": self.labels.seller,
            "seller": self.seller,
            "buyer_heading": self.labels.buyer,
            "buyer": self.buyer,
            "footer": self.footer,
            "page": self.labels.page,
        }


def frame_of(
    customer: Wire, organization: Wire, *, currency: str, number: str, self_billed: bool
) -> Frame:
    """The frame of the document `number`, in the customer's language. Raises DocumentError for an unknown currency."""
    if currency not in CURRENCIES:
        raise DocumentError(f"document {number}: unknown currency {currency!r}")
    locale, labels = labels_for(_document_locale(customer, organization))
    formats = formats_for(locale, currency)
    issuer = organization_party(organization, labels, formats)
    partner = customer_party(customer, labels, formats)
    # A self-billed invoice is written by the buyer in the name of the partner who sells.
    seller, buyer = (partner, issuer) if self_billed else (issuer, partner)
    return Frame(
        labels=labels,
        formats=formats,
        zone=zone(customer["applicable_timezone"]),
        paper="us-letter" if organization.get("country") in _LETTER_PAPER_COUNTRIES else "a4",
        seller=seller,
        buyer=buyer,
        footer=organization["billing_configuration"].get("invoice_footer") or None,
    )


def year_month_day(day: date) -> tuple[int, int, int]:
    """As templates get the day of a document."""
    return day.year, day.month, day.day


def _document_locale(customer: Wire, organization: Wire) -> str | None:
    own: str | None = (customer.get("billing_configuration") or {}).get("document_locale")
    common: str | None = organization["billing_configuration"].get("document_locale")
    return own or common
