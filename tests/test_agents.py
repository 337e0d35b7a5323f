"""docs/agents.md: every command runs as it stands and gives what it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from planner.errors import EXIT_BAD_INPUT
from tests.cli.run import run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^# [^\n]+\n\$ planner ([^\n]+)\n# exit (\d+)(?:: ([\w ]+))?$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "code", "keys"), ROWS, ids=[row[0].split()[0] + str(n) for n, row in enumerate(ROWS)]
)
def test_row(monkeypatch: pytest.MonkeyPatch, command: str, code: str, keys: str) -> None:
    """Exit code and keys as the page has them; JSON alone on stdout, nothing on stderr but an error."""
    monkeypatch.chdir(ROOT)
    done = run(shlex.split(command))
    assert done.code == int(code)
    if done.code == EXIT_BAD_INPUT:
        assert not done.out and done.err.startswith("error: ")
        return
    assert not done.err
    assert set(keys.split()) <= json.loads(done.out).keys()


def test_every_row_is_read() -> None:
    """The pattern above misses none."""
    assert len(ROWS) == len(re.findall(r"^\$ planner ", PAGE, flags=re.MULTILINE)) >= 10
