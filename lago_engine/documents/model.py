"""What a template is given: finished texts, in print order.

Every amount, date and label is formatted already; a template only places them. The structs are sent
to the template as one JSON object with these member names (docs/invoice-template.md).
"""

from __future__ import annotations

import msgspec

from lago_engine.errors import LagoError


class DocumentError(LagoError):
    """The document cannot be produced: a broken template, a missing glyph, or sums that disagree."""


class MissingGlyph(DocumentError):
    """A character that no font has, which PDF/A forbids."""


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A seller or a buyer; `lines` are the address, then e-mail, tax and register numbers."""

    name: str
    lines: tuple[str, ...]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled value of the header, such as the issuing date."""

    label: str
    value: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One fee, or what is said of one. A member is null when its column is.

    `notes` say which filter, group, description and period it covers, and how its amount came about.
    """

    name: str
    notes: tuple[str, ...]
    units: str | None
    unit_price: str | None
    tax_rate: str | None
    amount: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The fees of one subscription; a group without `title` holds fees that belong to none.

    subtotal: null when the group is the only one, since the invoice subtotal says the same.
    """

    title: str | None
    reference: str | None
    lines: tuple[Line, ...]
    subtotal: str | None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A row under the fees; `strong` marks the sums among the additions and deductions."""

    label: str
    amount: str
    strong: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A custom section: free text under a heading."""

    title: str
    body: str


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The headings of the table; null: this kind of document has no such column."""

    item: str
    units: str | None
    unit_price: str | None
    tax_rate: str | None
    amount: str
    subtotal: str


class DocumentView(msgspec.Struct, frozen=True, kw_only=True):
    """A whole invoice, credit note or receipt; `due` is what it amounts to.

    language: ISO 639-1 code; region: ISO 3166-1 code or null. paper: a Typst paper name.
    issued_on: year, month, day. watermark: text across the page of a document that is not in force.
    page: label in which the template replaces `{page}` and `{pages}`.
    """

    language: str
    region: str | None
    paper: str
    title: str
    number: str
    watermark: str | None
    issued_on: tuple[int, int, int]
    seller_heading: str
    seller: Party
    buyer_heading: str
    buyer: Party
    facts: tuple[Fact, ...]
    columns: Columns
    groups: tuple[Group, ...]
    totals: tuple[Total, ...]
    due: Total
    sections: tuple[Section, ...]
    footer: str | None
    page: str
