"""torchtitan 0.2's own word on a TOML file.

Opt-in: PLANNER_TORCHTITAN_PYTHON names the interpreter of an environment with torchtitan==0.2.2 and the CPU build of
torch==2.13.0 (1.4 GB).
"""

from __future__ import annotations

import os

import pytest

from tests.frameworks.verdict import Verdict
from tests.frameworks.worker import worker


def torchtitan_accepts(text: str, world: int) -> Verdict:
    """Reader, degrees, batch, model and pipeline; `config["layers"]` per pipeline rank and model part."""
    python = os.environ.get("PLANNER_TORCHTITAN_PYTHON")
    if not python:
        pytest.skip("PLANNER_TORCHTITAN_PYTHON is not set")
    return worker("heavy.torchtitan_worker", python=python).judge(text=text, world=world)
