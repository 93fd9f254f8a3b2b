"""Documents of the engine as PDF files."""

from lago_engine.documents.model import DocumentError
from lago_engine.documents.render import TEMPLATE, render_invoice

__all__ = ["TEMPLATE", "DocumentError", "render_invoice"]
