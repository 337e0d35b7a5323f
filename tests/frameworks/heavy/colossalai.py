"""ColossalAI's own word on the arguments of its HybridParallelPlugin.

Opt-in: PLANNER_COLOSSALAI_PYTHON names the interpreter of an environment with colossalai and the CPU build of
torch==2.13.0: 0.3.8 installs beside it (1.6 GB); 0.5.0 only with --no-deps over that, transformers==4.51.3 and
peft<=0.13.2.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from tests.frameworks.verdict import Verdict
from tests.frameworks.worker import Worker, worker


def _worker() -> Worker:
    python = os.environ.get("PLANNER_COLOSSALAI_PYTHON")
    if not python:
        pytest.skip("PLANNER_COLOSSALAI_PYTHON is not set")
    return worker("heavy.colossalai_worker", python=python)


def colossalai_accepts(arguments: Mapping[str, Any], world: int, layers: int = 0) -> Verdict:
    """HybridParallelPlugin's arguments on so many ranks."""
    return _worker().judge(arguments=dict(arguments), world=world, layers=layers)


def colossalai_module_accepts(text: str, world: int, layers: int = 0) -> Verdict:
    """A module whose function `plugin()` returns the plugin."""
    return _worker().judge(text=text, world=world, layers=layers)
