"""The snapshot of a partition: what memory holds at one commit, so that a start needs only the tail of the log.

It is a cache beside the log, never the authority: one that is damaged, of another version, or ahead of the log is
not used. Fingerprints are not in it; their index stands for itself.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.directory import Entry
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.store.port import Store

log = structlog.get_logger(__name__)

SNAPSHOT_NAME: Final = "engine.snapshot"
_MAGIC: Final = b"lago_engine.snapshot.1\n"


class EngineSnapshot(msgspec.Struct, frozen=True):
    """Everything a partition holds in memory at one commit, customers and fingerprints apart."""

    schema: str
    seq: int
    hash: bytes
    position: int
    organizations: tuple[OrganizationState, ...]
    subscriptions: tuple[Entry, ...]
    due: tuple[tuple[UUID, UUID, datetime], ...]
    meter: bytes


SCHEMA: Final = sha256(
    msgspec.json.encode(
        [msgspec.json.schema(Entry), repr(msgspec.inspect.type_info(OrganizationState))],
        order="deterministic",
    )
).hexdigest()
"""Differs when what a snapshot holds has another shape."""


def write_snapshot(folder: Path, snapshot: EngineSnapshot) -> Path:
    """Write the snapshot beside the store; the file is whole or absent."""
    folder.mkdir(parents=True, exist_ok=True)
    body = msgspec.msgpack.encode(snapshot)
    path = folder / SNAPSHOT_NAME
    temporary = path.with_suffix(".part")
    temporary.write_bytes(_MAGIC + sha256(body).digest() + body)
    temporary.replace(path)
    return path


def load_snapshot(folder: Path, store: Store) -> EngineSnapshot | None:
    """The snapshot of this log; None if there is none that can be used."""
    path = folder / SNAPSHOT_NAME
    if not path.exists():
        return None
    raw = path.read_bytes()
    head = len(_MAGIC) + 32
    body = raw[head:]
    if not raw.startswith(_MAGIC) or sha256(body).digest() != raw[len(_MAGIC) : head]:
        log.warning("snapshot_unusable", reason="damaged", path=str(path))
        return None
    try:
        snapshot = msgspec.msgpack.decode(body, type=EngineSnapshot)
    except msgspec.MsgspecError:
        snapshot = None
    if snapshot is None or snapshot.schema != SCHEMA:
        log.warning("snapshot_unusable", reason="other version", path=str(path))
        return None
    commit = next(iter(store.commits(snapshot.seq - 1, 1)), None)
    stands_for = snapshot.seq, snapshot.hash, snapshot.position
    if commit is None or (commit.seq, commit.hash, commit.last_position) != stands_for:
        log.warning("snapshot_unusable", reason="not of this log", path=str(path))
        return None
    return snapshot
