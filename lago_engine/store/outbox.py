"""Outgoing webhooks waiting for delivery, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from lago_engine.store.sql import Database, Dialect

OutboxStatus = Literal["pending", "retrying", "succeeded", "failed"]


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery to one endpoint, with its payload frozen at creation.

    `id` is the `X-Lago-Unique-Key`; `org_sequence` grows per organization.
    """

    id: UUID
    organization_id: UUID
    org_sequence: int
    webhook_type: str
    object_type: str
    webhook_url: str
    endpoint_id: UUID
    signature_algo: str
    payload: bytes
    created_at_us: int
    next_attempt_at_us: int


class OutboxRow(OutboxEntry, frozen=True, kw_only=True):
    """A delivery with its progress. `seq` is its place in the whole outbox."""

    seq: int
    status: OutboxStatus
    attempts: int
    http_status: int | None
    response: str | None
    last_retried_at_us: int | None


class OutboxMark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a delivery stands after an attempt. `attempts` counts the finished ones."""

    id: UUID
    status: OutboxStatus
    attempts: int
    next_attempt_at_us: int
    http_status: int | None = None
    response: str | None = None
    last_retried_at_us: int | None = None


Rows = list[OutboxRow]

COLUMNS = (
    "id, organization_id, org_sequence, webhook_type, object_type, webhook_url, endpoint_id,"
    " signature_algo, payload, created_at_us, next_attempt_at_us, status"
)
INSERT = f"INSERT INTO outbox ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,'pending')"
SELECT = (
    f"SELECT {COLUMNS}, seq, attempts, http_status, response, last_retried_at_us FROM outbox WHERE "
)


def insert_params(dialect: Dialect, entry: OutboxEntry) -> tuple[object, ...]:
    """The parameters of `INSERT`."""
    return (
        dialect.uuid(entry.id),
        dialect.uuid(entry.organization_id),
        entry.org_sequence,
        entry.webhook_type,
        entry.object_type,
        entry.webhook_url,
        dialect.uuid(entry.endpoint_id),
        entry.signature_algo,
        entry.payload,
        entry.created_at_us,
        entry.next_attempt_at_us,
    )


class Outbox:
    """Reads and progress of deliveries; entries are added by `Store.commit`.

    A write that raises `UnavailableError` may be repeated.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._dialect = database.dialect

    def get(self, delivery_id: UUID) -> OutboxRow | None:
        """One delivery by its id."""
        rows = self._select("id = ?", self._dialect.uuid(delivery_id))
        return rows[0] if rows else None

    def due(self, now_us: int, limit: int) -> Rows:
        """Unfinished deliveries whose next attempt is not in the future, the most overdue first."""
        return self._select(
            "status IN ('pending', 'retrying') AND next_attempt_at_us <= ?"
            " ORDER BY next_attempt_at_us, seq LIMIT ?",
            now_us,
            limit,
        )

    def next_due_at_us(self) -> int | None:
        """When the next attempt of any delivery falls due; None when all are finished."""
        sql = "SELECT min(next_attempt_at_us) FROM outbox WHERE status IN ('pending', 'retrying')"
        at_us: int | None = self._db.query(sql)[0][0]
        return at_us

    def list(self, organization_id: UUID, after_org_sequence: int, limit: int) -> Rows:
        """Deliveries of an organization after a sequence number, in order of sequence."""
        return self._select(
            "organization_id = ? AND org_sequence > ? ORDER BY org_sequence, seq LIMIT ?",
            self._dialect.uuid(organization_id),
            after_org_sequence,
            limit,
        )

    def mark(self, marks: Sequence[OutboxMark]) -> int:
        """Record progress of deliveries in one transaction. Gives how many were found."""
        return self._db.write(
            "UPDATE outbox SET status = ?, attempts = ?, next_attempt_at_us = ?, http_status = ?,"
            " response = ?, last_retried_at_us = ? WHERE id = ?",
            [
                (
                    mark.status,
                    mark.attempts,
                    mark.next_attempt_at_us,
                    mark.http_status,
                    mark.response,
                    mark.last_retried_at_us,
                    self._dialect.uuid(mark.id),
                )
                for mark in marks
            ],
        )

    def purge(self, before_us: int) -> int:
        """Forget deliveries created before an instant. Gives how many went."""
        return self._db.write("DELETE FROM outbox WHERE created_at_us < ?", [(before_us,)])

    def delete_endpoint(self, endpoint_id: UUID) -> int:
        """Forget all deliveries to an endpoint. Gives how many went."""
        key = self._dialect.uuid(endpoint_id)
        return self._db.write("DELETE FROM outbox WHERE endpoint_id = ?", [(key,)])

    def _select(self, condition: str, *params: object) -> Rows:
        return [self._row(row) for row in self._db.query(SELECT + condition, params)]

    def _row(self, row: Sequence[Any]) -> OutboxRow:
        to_uuid = self._dialect.to_uuid
        return OutboxRow(
            id=to_uuid(row[0]),
            organization_id=to_uuid(row[1]),
            org_sequence=row[2],
            webhook_type=row[3],
            object_type=row[4],
            webhook_url=row[5],
            endpoint_id=to_uuid(row[6]),
            signature_algo=row[7],
            payload=row[8],
            created_at_us=row[9],
            next_attempt_at_us=row[10],
            status=row[11],
            seq=row[12],
            attempts=row[13],
            http_status=row[14],
            response=row[15],
            last_retried_at_us=row[16],
        )
