"""Does the log say what was written? Every hash chain and checkpoint, recomputed from the first byte."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lago_engine.errors import CorruptionError
from lago_engine.metering import LogVerifier
from lago_engine.store.codec import unpack_state
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, LogRow, Store

Progress = Callable[[int], None]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A log that holds: how much of it there is, and the checkpoint to compare with one kept elsewhere."""

    commits: int
    facts: int
    usage_events: int
    last_commit_hash: str


def verify(store: Store, progress: Progress | None = None) -> Verified:
    """Recompute every hash; raises CorruptionError naming the first commit, stream or version that differs.

    Finds altered, missing, reordered and added bytes inside the log. A log cut at its end is whole in itself:
    compare `last_commit_hash` with a copy kept elsewhere.
    """
    verifier = LogVerifier()
    facts = commits = 0
    position = 0
    for commit, rows in store.iter_commits():
        if commit.seq != commits + 1:
            raise CorruptionError(f"commit {commits + 1} is missing")
        for row in rows:
            facts += _feed(verifier, row)
        verifier.feed_commit(commit.recorded_at_us, commit.hash)
        commits, position = commit.seq, commit.last_position
        if progress is not None:
            progress(position)
    if store.last_position() > position:
        raise CorruptionError(f"log rows after position {position} belong to no commit")
    return Verified(
        commits=commits,
        facts=facts,
        usage_events=verifier.usage_events,
        last_commit_hash=verifier.commit_head[1].hex(),
    )


def _feed(verifier: LogVerifier, row: LogRow) -> bool:
    """Feed one row; whether it was a fact."""
    if row.topic == USAGE_SEGMENT_TOPIC:
        verifier.feed_segment(row.state)
        return False
    stored_hash, body = unpack_state(row.state)
    verifier.feed_fact(row.stream_id, row.version, row.topic, body, stored_hash)
    return True
