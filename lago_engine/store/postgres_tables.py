"""The tables of the store on PostgreSQL, beside the log, which the recorder makes."""

from __future__ import annotations

from lago_engine.store.postgres_dialect import DOCUMENT_JSON

# The key leads with the kind, so that a rebuild can walk one kind across organizations. Text that is
# compared or sorted is in collation C: by code point, as SQLite does it.
TABLES = (
    """
CREATE TABLE IF NOT EXISTS store_owner (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch bigint NOT NULL
);
INSERT INTO store_owner (epoch) VALUES (0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS commits (
    seq bigint PRIMARY KEY,
    hash bytea NOT NULL,
    recorded_at_us bigint NOT NULL,
    last_position bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    position bigint GENERATED ALWAYS AS IDENTITY,
    kind text COLLATE "C" NOT NULL,
    organization_id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    parent text COLLATE "C",
    sort_key text COLLATE "C" NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (kind, organization_id, key)
);
CREATE INDEX IF NOT EXISTS documents_order
    ON documents (kind, organization_id, sort_key DESC, key);
CREATE INDEX IF NOT EXISTS documents_parent
    ON documents (kind, organization_id, parent, sort_key DESC, key) WHERE parent IS NOT NULL;
CREATE TABLE IF NOT EXISTS document_counts (
    kind text COLLATE "C" NOT NULL,
    organization_id uuid NOT NULL,
    documents bigint NOT NULL,
    PRIMARY KEY (kind, organization_id)
);
CREATE OR REPLACE FUNCTION count_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO document_counts AS counts
        SELECT kind, organization_id, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END
        FROM changed GROUP BY kind, organization_id
        ON CONFLICT (kind, organization_id)
        DO UPDATE SET documents = counts.documents + excluded.documents;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER documents_added AFTER INSERT ON documents
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_documents();
CREATE OR REPLACE TRIGGER documents_removed AFTER DELETE ON documents
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_documents();
CREATE TABLE IF NOT EXISTS outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    organization_id uuid NOT NULL,
    org_sequence bigint NOT NULL,
    webhook_type text NOT NULL,
    object_type text NOT NULL,
    webhook_url text NOT NULL,
    endpoint_id uuid NOT NULL,
    signature_algo text NOT NULL,
    payload bytea NOT NULL,
    status text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    next_attempt_at_us bigint NOT NULL,
    http_status integer,
    response text,
    created_at_us bigint NOT NULL,
    last_retried_at_us bigint
);
CREATE INDEX IF NOT EXISTS outbox_due
    ON outbox (next_attempt_at_us, seq) WHERE status IN ('pending', 'retrying');
CREATE INDEX IF NOT EXISTS outbox_organization ON outbox (organization_id, org_sequence);
CREATE INDEX IF NOT EXISTS outbox_endpoint ON outbox (endpoint_id);
CREATE INDEX IF NOT EXISTS outbox_age ON outbox (created_at_us);
"""
    + DOCUMENT_JSON
)
