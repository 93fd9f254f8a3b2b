"""How PostgreSQL spells JSON conditions. Bodies are text, parsed by a function of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.store.query import Direction, Scalar
from lago_engine.store.sql import Dialect, Fragment

DOCUMENT_JSON = r"""
CREATE OR REPLACE FUNCTION document_json(body text) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(body, '\u0000') = 0 THEN body::jsonb
    ELSE regexp_replace(body, '(?<!\\)((?:\\\\)*)\\u0000', '\1', 'g')::jsonb END
$$
"""
"""JSON may hold U+0000, jsonb may not: for filters it is left out, the body itself keeps it."""


class PostgresDialect(Dialect):
    """PostgreSQL 14 or later with UTF-8 encoding."""

    # OFFSET 0 keeps the planner from parsing the body once per condition.
    documents_parsed = (
        "documents CROSS JOIN LATERAL (SELECT document_json(body) AS doc OFFSET 0) AS parsed"
    )
    body_read = "body"
    body_write = "?"

    def uuid(self, value: UUID) -> object:
        return value

    def to_uuid(self, raw: Any) -> UUID:
        assert isinstance(raw, UUID)
        return raw

    def body(self, raw: Any) -> bytes:
        assert isinstance(raw, str)
        return raw.encode()

    def equal(self, names: list[str], values: Sequence[Scalar]) -> Fragment:
        marks = ", ".join(["?::jsonb"] * len(values))
        return f"doc #> ? IN ({marks})", [names, *map(_json, values)]

    def compare(self, names: list[str], sign: str, value: str | int) -> Fragment:
        if isinstance(value, str):
            sql = f"jsonb_typeof(doc #> ?) = 'string' AND (doc #>> ?) COLLATE \"C\" {sign} ?"
            return sql, [names, names, value]
        sql = f"jsonb_typeof(doc #> ?) = 'number' AND (doc #> ?) {sign} ?::jsonb"
        return sql, [names, names, _json(value)]

    def equal_ci(self, names: list[str], text: str) -> Fragment:
        sql = "jsonb_typeof(doc #> ?) = 'string' AND lower(doc #>> ?) = lower(?)"
        return sql, [names, names, text]

    def contains_ci(self, names: list[str], text: str) -> Fragment:
        sql = "jsonb_typeof(doc #> ?) = 'string' AND strpos(lower(doc #>> ?), lower(?)) > 0"
        return sql, [names, names, text]

    def null(self, names: list[str]) -> Fragment:
        return "coalesce(jsonb_typeof(doc #> ?), 'null') = 'null'", [names]

    def has_item(self, names: list[str], item: Scalar | Mapping[str, Scalar]) -> Fragment:
        sql = "coalesce(jsonb_typeof(doc #> ?), '') = 'array' AND (doc #> ?) @> ?::jsonb"
        return sql, [names, names, _json([item])]

    def order(self, names: list[str], direction: Direction) -> Fragment:
        nulls = "LAST" if direction == "asc" else "FIRST"
        number = (
            "CASE jsonb_typeof(doc #> ?) WHEN 'number' THEN (doc #> ?)::numeric"
            " WHEN 'boolean' THEN (doc #> ?)::boolean::int::numeric END"
        )
        text = "CASE jsonb_typeof(doc #> ?) WHEN 'string' THEN doc #>> ? END COLLATE \"C\""
        sql = f"{number} {direction} NULLS {nulls}, ({text}) {direction} NULLS {nulls}"
        return sql, [names] * 5


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
