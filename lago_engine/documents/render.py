"""Documents as PDF files, compiled in process from one Typst template.

The same input gives the same bytes with one version of the typst package: fonts are the ones embedded
in it, and the document's date is its issuing date. No clock, no system fonts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import typst

from lago_engine.documents.credit_notes import credit_note_view
from lago_engine.documents.model import DocumentError, DocumentView, MissingGlyph
from lago_engine.documents.receipts import receipt_view
from lago_engine.documents.view import invoice_view

Wire = Mapping[str, Any]

TEMPLATE: Final = Path(__file__).with_name("document.typ")
"""The template shipped with the package; a copy of it is where an own template starts."""

ARCHIVAL_STANDARD: Final = "a-3b"

# Control characters have no shape to print; a tab is a space, and line feeds are kept.
_CONTROL: Final = {code: None for code in (*range(32), *range(127, 160)) if code != 10} | {9: " "}


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How documents are printed.

    template: path of a Typst file used instead of `TEMPLATE`; it may read files of its own folder.
    fonts: folder with more fonts, for scripts the embedded ones lack. archival: write PDF/A-3b.
    """

    template: str | None = None
    fonts: str | None = None
    archival: bool = False


PLAIN: Final = Style()


def render_invoice(invoice: Wire, organization: Wire, style: Style = PLAIN) -> bytes:
    """The invoice as the bytes of a PDF file; invoice: the extended wire object with its sections (invoices §2).

    Raises DocumentError for sums that disagree, and as `render`.
    """
    return render(invoice_view(invoice, organization), style)


def render_credit_note(note: Wire, organization: Wire, style: Style = PLAIN) -> bytes:
    """The credit note as the bytes of a PDF file. Raises DocumentError as `render_invoice`."""
    return render(credit_note_view(note, organization), style)


def render_receipt(
    receipt: Wire, customer: Wire, organization: Wire, style: Style = PLAIN
) -> bytes:
    """The receipt of a payment as the bytes of a PDF file. Raises DocumentError as `render_invoice`."""
    return render(receipt_view(receipt, customer, organization), style)


def render(view: DocumentView, style: Style = PLAIN) -> bytes:
    """Compile a document. Blocking, thread-safe, without the GIL while compiling.

    Raises DocumentError for a template that is missing or does not compile and, of an archival document,
    MissingGlyph for a character that no font has.
    """
    path = TEMPLATE if style.template is None else Path(style.template)
    if not path.is_file():
        raise DocumentError(f"template {path} does not exist")
    # A compiler serves one thread at a time and is cheap; what costs time is finding the fonts.
    try:
        compiler = typst.Compiler(
            input=path,
            root=path.parent,
            font_paths=_fonts(style.fonts),
            ignore_system_fonts=True,
            sys_inputs={"data": _printable_json(view)},
        )
        pdf = compiler.compile(
            format="pdf",
            timestamp=datetime(*view.issued_on, tzinfo=UTC),
            pdf_standards=[ARCHIVAL_STANDARD] if style.archival else [],
        )
    except typst.TypstError as error:
        # The diagnostic is the message with the place in the template it comes from.
        diagnostic = error.diagnostic.strip()
        kind = MissingGlyph if "could not be displayed with" in diagnostic else DocumentError
        raise kind(f"document {view.number}: {diagnostic}") from error
    assert isinstance(pdf, bytes), "one PDF file, not one image per page"
    return pdf


@cache
def _fonts(folder: str | None) -> typst.Fonts:
    if folder is not None and not Path(folder).is_dir():
        raise DocumentError(f"fonts folder {folder} does not exist")
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=True,
        font_paths=[] if folder is None else [folder],
    )


def _printable_json(view: DocumentView) -> str:
    return msgspec.json.encode(_printable(msgspec.to_builtins(view))).decode()


def _printable(value: Any) -> Any:
    match value:
        case str():
            return value.translate(_CONTROL)
        case dict():
            return {name: _printable(member) for name, member in value.items()}
        case list() | tuple():
            return [_printable(item) for item in value]
        case _:
            return value
