"""A shell for every command-line test."""

from __future__ import annotations

import pytest

from tests.cli.run import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs commands with no profiles but the packaged ones."""
    monkeypatch.delenv("PLANNER_PROFILES", raising=False)
    monkeypatch.delenv("PLANNER_DEBUG", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist's workers have 80
    return Shell(capsys)
