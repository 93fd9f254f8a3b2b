"""An invoice as PDF, compiled in process from a Typst template.

The same input gives the same bytes with one version of the typst package: fonts are the ones embedded
in it, and the document's date is the issuing date. No clock, no system fonts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import typst

from lago_engine.documents.model import DocumentError, InvoiceView
from lago_engine.documents.view import invoice_view

TEMPLATE: Final = Path(__file__).with_name("invoice.typ")
"""The template shipped with the package; a copy of it is where an own template starts."""

# Control characters have no shape to print; a tab is a space, and line feeds are kept.
_CONTROL: Final = {code: None for code in (*range(32), *range(127, 160)) if code != 10} | {9: " "}


def render_invoice(
    invoice: Mapping[str, Any],
    organization: Mapping[str, Any],
    *,
    template: str | None = None,
    fonts: str | None = None,
    archival: bool = False,
) -> bytes:
    """The invoice as the bytes of a PDF file. Blocking, thread-safe, without the GIL while compiling.

    invoice: the extended wire object with its sections (invoices §2); organization: the wire object.
    template: path of a Typst file used instead of `TEMPLATE`; it may read files of its own folder.
    fonts: folder with more fonts, for scripts the embedded ones lack. archival: write PDF/A-2b.
    Raises DocumentError for sums that disagree, a template that is missing or does not compile and,
    with `archival`, for a character without a glyph.
    """
    view = invoice_view(invoice, organization)
    path = TEMPLATE if template is None else Path(template)
    if not path.is_file():
        raise DocumentError(f"template {path} does not exist")
    # A compiler serves one thread at a time and is cheap; what costs time is finding the fonts.
    try:
        compiler = typst.Compiler(
            input=path,
            root=path.parent,
            font_paths=_fonts(fonts),
            ignore_system_fonts=True,
            sys_inputs={"invoice": _printable_json(view)},
        )
        pdf = compiler.compile(
            format="pdf",
            timestamp=datetime(*view.issued_on, tzinfo=UTC),
            pdf_standards=["a-2b"] if archival else [],
        )
    except typst.TypstError as error:
        # The diagnostic is the message with the place in the template it comes from.
        raise DocumentError(f"invoice {view.number}: {error.diagnostic.strip()}") from error
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


def _printable_json(view: InvoiceView) -> str:
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
