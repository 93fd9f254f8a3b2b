"""Deliveries: added with a commit, marked, listed, purged."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from lago_engine.errors import ConflictError
from lago_engine.store import OutboxEntry, OutboxMark, OutboxRow, Store

A = UUID(int=1)
B = UUID(int=2)


def entry(number: int, **members: Any) -> OutboxEntry:
    members = {
        "organization_id": A,
        "endpoint_id": UUID(int=900),
        "created_at_us": 1_000 + number,
        "next_attempt_at_us": 2_000 + number,
        **members,
    }
    return OutboxEntry(
        id=UUID(int=number),
        org_sequence=number,
        webhook_type="invoice.created",
        object_type="invoice",
        webhook_url="https://example.com/hook?a=1",
        signature_algo="hmac",
        payload=b'{"n":"\\u0026 \xc3\xa9"}',
        **members,
    )


def ids(rows: list[OutboxRow]) -> list[int]:
    return [row.id.int for row in rows]


def test_an_entry_comes_back_as_it_went_in(store: Store, batch) -> None:
    store.commit(batch.of(1, outbox=[entry(1)]))
    (row,) = store.outbox.list(A, 0, 10)
    assert all(getattr(row, name) == getattr(entry(1), name) for name in entry(1).__struct_fields__)
    assert (row.status, row.attempts, row.seq > 0) == ("pending", 0, True)
    assert (row.http_status, row.response, row.last_retried_at_us) == (None, None, None)
    assert store.outbox.get(UUID(int=1)) == row
    assert store.outbox.get(UUID(int=2)) is None


def test_due_deliveries_come_by_time_until_they_are_finished(store: Store, batch) -> None:
    entries = [entry(n, next_attempt_at_us=at) for n, at in ((1, 50), (2, 10), (3, 10), (4, 99))]
    store.commit(batch.of(1, outbox=entries))
    outbox = store.outbox
    assert ids(outbox.due(50, 10)) == [2, 3, 1]
    assert ids(outbox.due(50, 2)) == [2, 3]
    assert outbox.due(9, 10) == []
    assert outbox.next_due_at_us() == 10

    marks = [
        OutboxMark(
            id=UUID(int=2),
            status="retrying",
            attempts=1,
            next_attempt_at_us=70,
            http_status=500,
            response="no é",
            last_retried_at_us=11,
        ),
        OutboxMark(id=UUID(int=3), status="succeeded", attempts=1, next_attempt_at_us=0),
        OutboxMark(id=UUID(int=1), status="failed", attempts=3, next_attempt_at_us=0),
        OutboxMark(id=UUID(int=77), status="failed", attempts=3, next_attempt_at_us=0),
    ]
    assert outbox.mark(marks) == 3
    assert outbox.mark([]) == 0
    assert outbox.due(69, 10) == []
    (row,) = outbox.due(70, 10)
    assert (row.status, row.attempts, row.http_status, row.response, row.last_retried_at_us) == (
        "retrying",
        1,
        500,
        "no é",
        11,
    )
    assert outbox.next_due_at_us() == 70
    outbox.mark([OutboxMark(id=UUID(int=n), status="failed", attempts=3, next_attempt_at_us=0)
                 for n in (2, 4)])  # fmt: skip
    assert outbox.next_due_at_us() is None


def test_an_organization_lists_its_own_in_sequence(store: Store, batch) -> None:
    store.commit(batch.of(1, outbox=[entry(3), entry(1), entry(2, organization_id=B), entry(4)]))
    assert ids(store.outbox.list(A, 0, 10)) == [1, 3, 4]
    assert ids(store.outbox.list(A, 1, 1)) == [3]
    assert ids(store.outbox.list(B, 0, 10)) == [2]


def test_old_deliveries_and_those_of_an_endpoint_can_be_forgotten(store: Store, batch) -> None:
    endpoint = UUID(int=901)
    entries = [entry(n, created_at_us=n, endpoint_id=endpoint if n > 2 else A) for n in range(1, 6)]
    store.commit(batch.of(1, outbox=entries))
    assert store.outbox.purge(2) == 1
    assert store.outbox.delete_endpoint(endpoint) == 3
    assert store.outbox.delete_endpoint(endpoint) == 0
    assert ids(store.outbox.list(A, 0, 10)) == [2]


def test_a_delivery_is_added_once(store: Store, batch) -> None:
    store.commit(batch.of(1, outbox=[entry(1)]))
    with pytest.raises(ConflictError):
        store.commit(batch.of(2, outbox=[entry(2), entry(1)]))
    assert ids(store.outbox.list(A, 0, 10)) == [1]
    assert store.last_position() == store.commits()[0].last_position
