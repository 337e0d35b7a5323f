"""Serving engines that deployments are written for."""

from __future__ import annotations

from planner.errors import PlannerError
from planner.launch.engines import sglang, tensorrt_llm, vllm
from planner.launch.engines.target import ServingTarget
from planner.schema.engine import Engine

ENGINES: dict[str, ServingTarget] = {m.TARGET.name: m.TARGET for m in (vllm, sglang, tensorrt_llm)}
"""By name. A new one is a file with a TARGET and its place here."""


def find_engine(preset: Engine) -> ServingTarget:
    """The engine that a preset is for.

    Raises:
        PlannerError: none speaks its language.
    """
    if preset.target is None:
        known = ", ".join(f"--engine {name}" for name in ENGINES)
        raise PlannerError(f"nothing is written for the preset {preset.name}", f"choose one of: {known}")
    return ENGINES[preset.target]
