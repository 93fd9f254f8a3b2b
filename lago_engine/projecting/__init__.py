"""From events to documents: the public interface of projections, and what runs them."""

from lago_engine.projecting.inline import (
    API_KINDS,
    ENTRY_POINT_GROUP,
    FoundProjections,
    InlineRunner,
    find_projections,
)
from lago_engine.projecting.memory import Difference, MemoryDocuments, differences, rebuild
from lago_engine.projecting.projection import Context, Projection
from lago_engine.projecting.view import DocumentReader, DocumentView
from lago_engine.store.codec import Envelope
from lago_engine.store.documents import DocumentChange

__all__ = [
    "API_KINDS",
    "ENTRY_POINT_GROUP",
    "Context",
    "Difference",
    "DocumentChange",
    "DocumentReader",
    "DocumentView",
    "Envelope",
    "FoundProjections",
    "InlineRunner",
    "MemoryDocuments",
    "Projection",
    "differences",
    "find_projections",
    "rebuild",
]
