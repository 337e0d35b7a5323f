"""Logs that no run writes: refused, and soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from planner.accuracy.logs import read_log
from planner.errors import PlannerError

HOSTILE = {
    "steps": "step: 1 " * 100_000,
    "times": "time (ms)" * 100_000,
    "dots": "a ... x" + " " * 500_000,
    "1e400": "elapsed time per iteration (ms): 1e400\n" * 9,
    "zero": "samples/sec: 0.0\n" * 9,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused(tmp_path: Path, name: str) -> None:
    """The bound tells a blow-up from a slow machine."""
    path = tmp_path / "run.log"
    path.write_text(HOSTILE[name], encoding="utf-8")
    start = time.process_time()
    with pytest.raises(PlannerError):
        read_log(path)
    assert time.process_time() - start < 20
