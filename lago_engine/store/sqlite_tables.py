"""The tables of the store on SQLite, beside the log, which the recorder describes."""

from __future__ import annotations

# The key leads with the kind, so that a rebuild can walk one kind across organizations.
TABLES = """
CREATE TABLE IF NOT EXISTS commits (
    seq INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    recorded_at_us INTEGER NOT NULL,
    last_position INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    key TEXT NOT NULL,
    parent TEXT,
    sort_key TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, organization_id, key)
);
CREATE INDEX IF NOT EXISTS documents_order
    ON documents (kind, organization_id, sort_key DESC, key);
CREATE INDEX IF NOT EXISTS documents_parent
    ON documents (kind, organization_id, parent, sort_key DESC, key) WHERE parent IS NOT NULL;
CREATE TABLE IF NOT EXISTS document_counts (
    kind TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    documents INTEGER NOT NULL,
    PRIMARY KEY (kind, organization_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL,
    org_sequence INTEGER NOT NULL,
    webhook_type TEXT NOT NULL,
    object_type TEXT NOT NULL,
    webhook_url TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    signature_algo TEXT NOT NULL,
    payload BLOB NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at_us INTEGER NOT NULL,
    http_status INTEGER,
    response TEXT,
    created_at_us INTEGER NOT NULL,
    last_retried_at_us INTEGER
);
CREATE INDEX IF NOT EXISTS outbox_due
    ON outbox (next_attempt_at_us, seq) WHERE status IN ('pending', 'retrying');
CREATE INDEX IF NOT EXISTS outbox_organization ON outbox (organization_id, org_sequence);
CREATE INDEX IF NOT EXISTS outbox_endpoint ON outbox (endpoint_id);
CREATE INDEX IF NOT EXISTS outbox_age ON outbox (created_at_us);
"""
