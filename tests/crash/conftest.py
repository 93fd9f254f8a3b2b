"""A test that fails leaves no server behind."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from crash.server import LAUNCHED


@pytest.fixture(autouse=True)
def no_server_is_left() -> Iterator[None]:
    yield
    for pid in LAUNCHED:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    LAUNCHED.clear()
