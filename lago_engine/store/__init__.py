"""Durable storage: the event log, the documents of the read side, the webhook outbox.

`open_store` gives a `Store` over an embedded SQLite file or a PostgreSQL database.
"""

from lago_engine.store.codec import Envelope, EventCodec, Upcaster, pack_state, unpack_state
from lago_engine.store.documents import DocumentChange, Documents
from lago_engine.store.open import open_store
from lago_engine.store.outbox import Outbox, OutboxEntry, OutboxMark, OutboxRow
from lago_engine.store.port import (
    USAGE_SEGMENT_TOPIC,
    USAGE_SEGMENTS,
    CommitBatch,
    CommitRow,
    CommitUndecided,
    Faults,
    LogRow,
    Store,
    StoredEvent,
)
from lago_engine.store.query import AnyOf, Filter, Query, json_path

__all__ = [
    "USAGE_SEGMENTS",
    "USAGE_SEGMENT_TOPIC",
    "AnyOf",
    "CommitBatch",
    "CommitRow",
    "CommitUndecided",
    "DocumentChange",
    "Documents",
    "Envelope",
    "EventCodec",
    "Faults",
    "Filter",
    "LogRow",
    "Outbox",
    "OutboxEntry",
    "OutboxMark",
    "OutboxRow",
    "Query",
    "Store",
    "StoredEvent",
    "Upcaster",
    "json_path",
    "open_store",
    "pack_state",
    "unpack_state",
]
