"""All usage segments of a store, for a search that has no index at hand."""

from __future__ import annotations

from collections.abc import Iterator

from lago_engine.store.port import USAGE_SEGMENT_TOPIC, Store

SEGMENTS_PER_READ = 64


def iter_segments(store: Store) -> Iterator[bytes]:
    """Every usage segment in log order, some in memory at a time."""
    position = 0
    while rows := store.read_log(position, SEGMENTS_PER_READ, (USAGE_SEGMENT_TOPIC,)):
        for row in rows:
            yield row.state
        position = rows[-1].position
