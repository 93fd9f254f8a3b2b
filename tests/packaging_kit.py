"""The installed program as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 30


def program(python: Path = Path(sys.executable)) -> Path:
    """`lago-engine` beside a Python."""
    return python.parent / "lago-engine"


@contextmanager
def server(data: Path, *options: str, executable: Path | None = None) -> Iterator[str]:
    """A server on a free port; gives its URL, and checks at the end that it stopped as asked."""
    command = [executable or program(), "serve", "--data", data, "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _url(process)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=START_S)
        assert process.returncode == 0, errors


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"listens on (http://\S+)", line):
            return found[1]
    assert process.stderr is not None
    raise AssertionError(f"the server did not start: {process.stderr.read()}")
