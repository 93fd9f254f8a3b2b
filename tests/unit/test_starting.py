"""What a start tells while it reads the log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from lago_engine.cli import starting as module
from lago_engine.cli.starting import starting


@pytest.mark.parametrize("terminal", [True, False])
def test_a_quick_start_shows_nothing(terminal: bool) -> None:
    wrote = io.StringIO()
    with capture_logs() as logs, starting(Console(file=wrote, force_terminal=terminal)) as tell:
        tell("log", 1, 10)
    assert (wrote.getvalue(), logs) == ("", [])


def test_a_long_start_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0)
    wrote = io.StringIO()
    with starting(Console(file=wrote, force_terminal=True)) as tell:
        tell("index of usage events", 5, 10)
    assert "reading the index of usage events" in wrote.getvalue()


def test_a_long_start_writes_lines_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0)
    with capture_logs() as logs, starting(Console(file=io.StringIO())) as tell:
        for position in range(1, 4):
            tell("log", position, 10)
    line = {"event": "reading_the_log", "what": "log", "position": 1, "of": 10, "log_level": "info"}
    assert logs == [line]
