"""A shell for every command-line test."""

from __future__ import annotations

import pytest

from tests.cli.run import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs commands with no profiles but the packaged ones, and as wide as a pipe whatever the terminal is."""
    for name in ("PLANNER_PROFILES", "PLANNER_DEBUG", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    return Shell(capsys)
