"""Usage segments from the store, some at a time, so that a long log does not fill the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lago_engine.store.port import Store

SEGMENTS_PER_READ: Final = 64


def stored_segments(store: Store, numbers: Sequence[int]) -> Iterator[bytes]:
    """The segments with these numbers, in this order; blocks on reading."""
    for start in range(0, len(numbers), SEGMENTS_PER_READ):
        yield from store.read_segments(numbers[start : start + SEGMENTS_PER_READ])
