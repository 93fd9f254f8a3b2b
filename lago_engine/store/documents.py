"""The read side: JSON documents ready to serve, found by key or by filters.

A document is addressed by (organization, kind, key). Its body is UTF-8 JSON as msgspec or orjson
writes it and comes back byte for byte. Filters and orders look into the body, so a projection
stores nothing twice; `parent` and `sort_key` are columns because lists by them must be quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

import msgspec

from lago_engine.store.query import AnyOf, Filter, Query, json_path
from lago_engine.store.sql import Database, Fragment, order_sql, reads_body, where_sql

__all__ = ["AnyOf", "DocumentChange", "Documents", "Filter", "Query", "json_path", "last_changes"]

KEYS_PER_READ = 500
ITER_PAGE = 1000


class DocumentChange(msgspec.Struct, frozen=True, kw_only=True):
    """Write one document whole; `body` None deletes it.

    `parent` is what nested lists select by (a customer's id for its invoices). `sort_key` is the
    text the default list order uses, so numbers and instants in it must be padded to sort as text.
    No text may hold U+0000, which PostgreSQL cannot store; inside the body it may.
    """

    organization_id: UUID
    kind: str
    key: str
    parent: str | None = None
    sort_key: str = ""
    body: bytes | None

    def __post_init__(self) -> None:
        if "\0" in self.key or "\0" in self.sort_key or "\0" in (self.parent or ""):
            raise ValueError(f"U+0000 in the address of the document {self.kind} {self.key!r}")


def last_changes(changes: Iterable[DocumentChange]) -> list[DocumentChange]:
    """One change per document, the last one, in the order in which documents first appear."""
    return list({(c.kind, c.organization_id, c.key): c for c in changes}.values())


class Documents:
    """Reads of the document store; writes happen in `Store.commit` and `Store.write_documents`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._dialect = database.dialect
        self._get_sql = (
            f"SELECT {self._dialect.body_read} FROM documents"
            " WHERE kind = ? AND organization_id = ? AND key = ?"
        )

    def get(self, organization_id: UUID, kind: str, key: str) -> bytes | None:
        """The body, or None when there is no such document."""
        rows = self._db.query(self._get_sql, (kind, self._dialect.uuid(organization_id), key))
        return self._dialect.body(rows[0][0]) if rows else None

    def get_many(self, organization_id: UUID, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The bodies of those keys that exist."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), KEYS_PER_READ):
            part = keys[start : start + KEYS_PER_READ]
            marks = ", ".join("?" * len(part))
            rows = self._db.query(
                f"SELECT key, {self._dialect.body_read} FROM documents"
                f" WHERE kind = ? AND organization_id = ? AND key IN ({marks})",
                (kind, self._dialect.uuid(organization_id), *part),
            )
            found.update((row[0], self._dialect.body(row[1])) for row in rows)
        return found

    def list(self, organization_id: UUID, kind: str, query: Query) -> tuple[list[bytes], int]:
        """The bodies of one page, and how many documents match in all."""
        assert query.offset >= 0
        assert query.limit >= 0
        scope, params = self._scope(organization_id, kind, query)
        order, order_params = order_sql(self._dialect, query)
        rows = self._db.query(
            f"SELECT {self._dialect.body_read} FROM {scope} ORDER BY {order} LIMIT ? OFFSET ?",
            [*params, *order_params, query.limit, query.offset],
        )
        bodies = [self._dialect.body(row[0]) for row in rows]
        if len(bodies) < query.limit and (bodies or not query.offset):
            return bodies, query.offset + len(bodies)
        return bodies, self.count(organization_id, kind, query)

    def count(self, organization_id: UUID, kind: str, query: Query | None = None) -> int:
        """How many documents match, whatever the page of the query."""
        if query is None or (query.parent is None and not query.filters):
            return self._count_all(organization_id, kind)
        scope, params = self._scope(organization_id, kind, query)
        return int(self._db.query(f"SELECT count(*) FROM {scope}", params)[0][0])

    def _count_all(self, organization_id: UUID, kind: str) -> int:
        """Counting a million rows for every page of a list would take a tenth of a second."""
        rows = self._db.query(
            "SELECT documents FROM document_counts WHERE kind = ? AND organization_id = ?",
            (kind, self._dialect.uuid(organization_id)),
        )
        return int(rows[0][0]) if rows else 0

    def iter_kind(self, kind: str) -> Iterator[tuple[UUID, str, bytes]]:
        """(organization, key, body) of every document of a kind, by organization and key."""
        sql = (
            f"SELECT organization_id, key, {self._dialect.body_read} FROM documents"
            " WHERE kind = ? AND (organization_id, key) > (?, ?)"
            " ORDER BY organization_id, key LIMIT ?"
        )
        last: tuple[object, str] = (self._dialect.uuid(UUID(int=0)), "")
        while True:
            rows = self._db.query(sql, (kind, *last, ITER_PAGE))
            for row in rows:
                yield self._dialect.to_uuid(row[0]), row[1], self._dialect.body(row[2])
            if len(rows) < ITER_PAGE:
                return
            last = (rows[-1][0], rows[-1][1])

    def _scope(self, organization_id: UUID, kind: str, query: Query) -> Fragment:
        table = self._dialect.documents_parsed if reads_body(query) else "documents"
        sql = f"{table} WHERE kind = ? AND organization_id = ?"
        params = [kind, self._dialect.uuid(organization_id)]
        if query.parent is not None:
            sql += " AND parent = ?"
            params.append(query.parent)
        conditions, values = where_sql(self._dialect, query.filters)
        return sql + conditions, [*params, *values]
