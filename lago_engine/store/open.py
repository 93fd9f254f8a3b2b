"""Which database a store lives in."""

from __future__ import annotations

from pathlib import Path

from lago_engine.store.port import Faults, Store
from lago_engine.store.postgres import PostgresStore
from lago_engine.store.sqlite import SQLiteStore


def open_store(
    data_dir: Path | None,
    database_url: str | None,
    *,
    faults: Faults | None = None,
    sync_delay_s: float = 0.0,
    read_only: bool = False,
) -> Store:
    """Open, or create, the store in a directory (SQLite) or at a URL (PostgreSQL).

    Exactly one of the two is given. Raises `ConflictError` when another process owns the directory
    and `UnavailableError` when the database does not answer. Opening a PostgreSQL store takes it
    over: a process that still has it open can no longer write. `read_only` opens what exists, beside
    the process that owns it.
    """
    if database_url is not None:
        if data_dir is not None:
            raise ValueError("a store lives in a directory or at a URL, not in both")
        return PostgresStore(
            database_url, faults=faults, sync_delay_s=sync_delay_s, read_only=read_only
        )
    if data_dir is None:
        raise ValueError("a store needs a directory or a URL")
    return SQLiteStore(data_dir, faults=faults, sync_delay_s=sync_delay_s, read_only=read_only)
