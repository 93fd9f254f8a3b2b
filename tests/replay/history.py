"""Recorded histories: a whole log with the documents it led to, as lines of JSON.

`python tests/replay/record.py FILE` makes one. A recorded history is never edited and never recorded again:
it stands for the data of those who run an older version.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.bootstrap import FINGERPRINTS_META
from lago_engine.store import CommitBatch, Store, StoredEvent
from lago_engine.store.codec import pack_state, unpack_state
from lago_engine.store.documents import DocumentChange
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, LogRow

DOCUMENT_COLUMNS = "organization_id, kind, key, parent, sort_key, body"


class Fact(msgspec.Struct, frozen=True):
    """An event of the log; `body` is its text after the format byte."""

    stream_id: UUID
    version: int
    topic: str
    hash: str
    body: str


class Commit(msgspec.Struct, frozen=True, tag_field="type", tag="commit"):
    """`segment` is the usage of the commit, base64."""

    seq: int
    hash: str
    recorded_at_us: int
    facts: list[Fact]
    segment_no: int = 0
    segment: str | None = None

    def batch(self) -> CommitBatch:
        return CommitBatch(
            seq=self.seq,
            hash=bytes.fromhex(self.hash),
            recorded_at_us=self.recorded_at_us,
            events=[
                StoredEvent(fact.stream_id, fact.version, fact.topic, _state(fact))
                for fact in self.facts
            ],
            segment=None if self.segment is None else base64.b64decode(self.segment),
            segment_no=self.segment_no,
        )


class Document(msgspec.Struct, frozen=True, tag_field="type", tag="document"):
    organization_id: UUID
    kind: str
    key: str
    parent: str | None
    sort_key: str
    body: str


class Installation(msgspec.Struct, frozen=True, tag_field="type", tag="installation"):
    """secret: the key of the usage fingerprints, hex."""

    secret: str


Line = Installation | Commit | Document


def _state(fact: Fact) -> bytes:
    return pack_state(bytes.fromhex(fact.hash), b"\x01" + fact.body.encode())


def dump(store: Store) -> Iterator[Line]:
    """Everything of a store that a replay looks at."""
    secret = store.meta_get(FINGERPRINTS_META)
    assert secret is not None
    yield Installation(secret.hex())
    for commit, rows in store.iter_commits():
        segment = next((row for row in rows if row.topic == USAGE_SEGMENT_TOPIC), None)
        yield Commit(
            seq=commit.seq,
            hash=commit.hash.hex(),
            recorded_at_us=commit.recorded_at_us,
            facts=[_fact(row) for row in rows if row is not segment],
            segment_no=0 if segment is None else segment.version,
            segment=None if segment is None else base64.b64encode(segment.state).decode(),
        )
    query: Any = store
    for row in query.query(f"SELECT {DOCUMENT_COLUMNS} FROM documents ORDER BY position"):
        yield Document(UUID(row[0]), *row[1:])


def _fact(row: LogRow) -> Fact:
    chained, body = unpack_state(row.state)
    assert body[:1] == b"\x01"
    return Fact(row.stream_id, row.version, row.topic, chained.hex(), body[1:].decode())


def write(path: Path, lines: Iterator[Line]) -> None:
    with path.open("xb") as file:
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")


def read(path: Path) -> list[Line]:
    return msgspec.json.decode(
        b"[" + b",".join(path.read_bytes().splitlines()) + b"]", type=list[Line]
    )


def load(lines: Sequence[Line], store: Store) -> None:
    """Put a history into an empty store, as it was."""
    documents = []
    for line in lines:
        match line:
            case Installation():
                store.meta_put(FINGERPRINTS_META, bytes.fromhex(line.secret))
            case Commit():
                store.commit(line.batch())
            case Document():
                fields = msgspec.structs.asdict(line) | {"body": line.body.encode()}
                documents.append(DocumentChange(**fields))
    store.write_documents(documents)
