"""Documents of the engine as PDF files."""

from lago_engine.documents.model import DocumentError, MissingGlyph
from lago_engine.documents.render import (
    TEMPLATE,
    Style,
    render_credit_note,
    render_invoice,
    render_receipt,
)

__all__ = [
    "TEMPLATE",
    "DocumentError",
    "MissingGlyph",
    "Style",
    "render_credit_note",
    "render_invoice",
    "render_receipt",
]
