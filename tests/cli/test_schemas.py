"""What the commands print as JSON is what docs/schemas promises."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.run import Shell
from tests.cli.test_calibrate import table as table  # the fixture

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def holds(shell: Shell, name: str, *words: str) -> None:
    """The command's answer validates against the schema of that name."""
    jsonschema.validate(shell(*words).json, json.loads((SCHEMAS / f"{name}-1.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "words",
    [
        "timeline 1f1b --pp 4 -m 8 --json -q",
        "timeline --compare 1f1b,zb-h1 --forward 10ms --json -q",
        "timeline --model llama3-8b --gpus 2x8xA100 --json -q",
        "timeline --model llama3-8b --gpus 2x8xA100 --memory --json -q",
    ],
)
def test_timeline(shell: Shell, words: str) -> None:
    """In slots, in seconds, of a plan."""
    holds(shell, "timeline", *words.split())


def test_validation(shell: Shell) -> None:
    """The committed runs."""
    holds(shell, "validation", "validate", "--json", "-q")


def test_calibration(shell: Shell, table: Path, tmp_path: Path) -> None:
    """Times and a peak."""
    holds(shell, "calibration", "calibrate", str(table), "--out", str(tmp_path / "mine"), "--json")
