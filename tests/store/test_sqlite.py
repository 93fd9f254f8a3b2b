"""What only the embedded store does: owning a directory, surviving kill -9 and a full disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

import lago_engine
from lago_engine.errors import ConflictError, CorruptionError
from lago_engine.store import (
    CommitBatch,
    CommitUndecided,
    DocumentChange,
    Query,
    Store,
    StoredEvent,
    open_store,
)
from lago_engine.store import sqlite as sqlite_store

STREAM = UUID(int=7)
CHILD = """
import resource, sys
from pathlib import Path
from uuid import UUID
from lago_engine.errors import UnavailableError
from lago_engine.store import CommitBatch, DocumentChange, StoredEvent, open_store

def batch(seq, size):
    document = DocumentChange(
        organization_id=UUID(int=1), kind="count", key="count", body=b"%d" % seq
    )
    return CommitBatch(
        seq=seq, hash=b"%032d" % seq, recorded_at_us=seq, documents=[document], segment_no=seq,
        events=[StoredEvent(UUID(int=7), seq, "a.v1", b"x" * size)], segment=b"s" * size,
    )

store = open_store(Path(sys.argv[1]), None)
last = store.last_commit()
seq = last[0] + 1 if last else 1
"""
FOREVER = """
while True:
    store.commit(batch(seq, 100))
    print(seq, flush=True)
    seq += 1
"""
FULL_DISK = """
wal = Path(sys.argv[1]) / "lago_engine.sqlite3-wal"
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 300_000, resource.RLIM_INFINITY))
try:
    while True:
        store.commit(batch(seq, 10_000))
        seq += 1
except UnavailableError as error:
    print(type(error).__name__, seq)
assert seq > 5
assert store.last_commit()[0] == seq - 1
assert [row.version for row in store.read_stream(UUID(int=7))] == list(range(1, seq))
assert store.documents.get(UUID(int=1), "count", "count") == b"%d" % (seq - 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit(batch(seq, 10_000))
store.commit(batch(seq + 1, 10_000))
store.close()
"""


def child(program: str, data_dir: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(lago_engine.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + program, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def check_whole(store: Store, commits: int) -> None:
    """Every commit up to the last is there with all its parts, and nothing else."""
    assert store.last_commit() == (commits, b"%032d" % commits, commits * 2)
    assert [row.version for row in store.read_stream(STREAM)] == list(range(1, commits + 1))
    assert len(store.read_segments(range(1, commits + 1))) == commits
    assert store.documents.get(UUID(int=1), "count", "count") == b"%d" % commits
    assert [len(rows) for _, rows in store.iter_commits()] == [2] * commits


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    for _ in range(4):
        with child(FOREVER, tmp_path) as process:
            assert process.stdout is not None
            for _ in range(25):
                acknowledged = int(process.stdout.readline())
            process.kill()
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        store = open_store(tmp_path, None)
        last = store.last_commit()
        assert last is not None
        # The last commit may have been made without a chance to say so.
        assert acknowledged <= last[0] <= acknowledged + 1
        check_whole(store, last[0])
        store.close()


def test_a_full_disk_fails_the_commit_and_nothing_else(tmp_path: Path) -> None:
    with child(FULL_DISK, tmp_path) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    name, failed = output.split()
    assert name == "UnavailableError"
    store = open_store(tmp_path, None)
    check_whole(store, int(failed) + 1)
    store.close()


def test_one_process_owns_the_directory(tmp_path: Path) -> None:
    store = open_store(tmp_path, None)
    with pytest.raises(ConflictError, match="open in another process"):
        open_store(tmp_path, None)
    store.close()
    open_store(tmp_path, None).close()


def test_a_file_that_is_no_database_is_corruption_and_frees_the_directory(tmp_path: Path) -> None:
    path = tmp_path / sqlite_store.FILE_NAME
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(CorruptionError):
        open_store(tmp_path, None)
    path.unlink()
    open_store(tmp_path, None).close()


class LostSync:
    def before_commit(self, batch: CommitBatch) -> None:
        pass

    def after_commit(self, batch: CommitBatch) -> None:
        raise OSError(5, "Input/output error")


def test_after_a_sync_of_unknown_outcome_only_reopening_helps(tmp_path: Path, batch) -> None:
    store = open_store(tmp_path, None, faults=LostSync())
    with pytest.raises(CommitUndecided):
        store.commit(batch.of(1))
    assert not store.healthy()
    for write in (lambda: store.commit(batch.of(1)), lambda: store.meta_put("a", b"")):
        with pytest.raises(CommitUndecided, match="reopen"):
            write()
    store.close()
    again = open_store(tmp_path, None)
    assert again.last_commit() == (1, batch.of(1).hash, 1)
    again.commit(batch.of(2))
    again.close()


def test_durability_is_said_explicitly(tmp_path: Path) -> None:
    store = open_store(tmp_path, None)
    assert isinstance(store, sqlite_store.SQLiteStore)
    settings = {
        name: store._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "query_only")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "query_only": 0,
    }
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._connect_reader().execute("DELETE FROM meta")
    store.close()


def test_the_wal_is_moved_by_checkpoints_only(
    tmp_path: Path, batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "WAL_BYTES_MAX", 1_000_000)
    store = open_store(tmp_path, None)
    wal = tmp_path / f"{sqlite_store.FILE_NAME}-wal"
    seq = 0
    while wal.stat().st_size < 8_000_000:
        seq += 1
        event = StoredEvent(STREAM, seq, "a.v1", b"x" * 100_000)
        store.commit(batch.of(seq, events=[event]))
    store.checkpoint()
    assert wal.stat().st_size == 0
    store.commit(batch.of(seq + 1, events=()))
    store.checkpoint()
    assert 0 < wal.stat().st_size < 1_000_000
    assert len(list(store.iter_log())) == seq
    store.close()
    store.checkpoint()


def test_default_lists_read_only_their_page_of_an_index(tmp_path: Path) -> None:
    store = open_store(tmp_path, None)
    assert isinstance(store, sqlite_store.SQLiteStore)
    change = DocumentChange(organization_id=STREAM, kind="k", key="1", parent="p", body=b"{}")
    store.write_documents([change])
    for query, index in ((Query(), "documents_order"), (Query(parent="p"), "documents_parent")):
        scope, params = store.documents._scope(STREAM, "k", query)
        plan = store.query(
            f"EXPLAIN QUERY PLAN SELECT body FROM {scope} ORDER BY sort_key DESC, key", params
        )
        details = [row["detail"] for row in plan]
        assert len(details) == 1
        assert index in details[0]
    store.close()


@pytest.mark.parametrize("place", [(None, None), (Path("somewhere"), "postgresql://localhost")])
def test_a_store_lives_in_one_place(place: tuple[Path | None, str | None]) -> None:
    with pytest.raises(ValueError, match="a store"):
        open_store(*place)
