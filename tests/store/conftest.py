"""A place to open a store in, on each database, and small batches to commit."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lago_engine.store import CommitBatch, Store, StoredEvent, open_store

STREAM = UUID(int=7)


class Home:
    """Opens stores over one database; closes what is still open at the end."""

    def __init__(self, data_dir: Path | None, url: str | None) -> None:
        self.data_dir = data_dir
        self.url = url
        self._opened: list[Store] = []

    def open(self, **options: Any) -> Store:
        store = open_store(self.data_dir, self.url, **options)
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    if request.param == "sqlite":
        place = Home(tmp_path / "data", None)
    else:
        place = Home(None, request.getfixturevalue("postgres_url"))
    yield place
    place.close()


@pytest.fixture
def store(home: Home) -> Store:
    return home.open()


@pytest.fixture
def batch() -> type[Batches]:
    return Batches


class Batches:
    """`batch.of(3, ...)` is commit 3 with one event of `STREAM`, unless told otherwise."""

    stream = STREAM

    @staticmethod
    def of(seq: int, **members: Any) -> CommitBatch:
        members.setdefault("events", [StoredEvent(STREAM, seq, "thing.v1", b"state %d" % seq)])
        digest = sha256(b"commit %d" % seq).digest()
        return CommitBatch(seq=seq, hash=digest, recorded_at_us=1_000_000 + seq, **members)
