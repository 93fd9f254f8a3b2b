"""A webhook to be."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lago_engine.projecting.wire import Members


class Notice(msgspec.Struct, frozen=True):
    """A webhook that an event sets off; `payload` is made only when an endpoint wants it."""

    webhook_type: str
    object_type: str
    payload: Callable[[], Members]
