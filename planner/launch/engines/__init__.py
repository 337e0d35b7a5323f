"""Serving engines that deployments are written for."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from planner.errors import PlannerError
from planner.launch.engines.target import ServingTarget
from planner.schema.engine import Engine, EngineTarget

ENGINES: dict[str, ServingTarget] = {
    name: import_module(f"planner.launch.engines.{name.replace('-', '_')}").TARGET for name in get_args(EngineTarget)
}
"""By name. A new one is a file with a TARGET and its name in the schema."""


def find_engine(preset: Engine) -> ServingTarget:
    """The engine that a preset is for.

    Raises:
        PlannerError: none speaks its language.
    """
    if preset.target is None:
        known = ", ".join(f"--engine {name}" for name in ENGINES)
        raise PlannerError(f"nothing is written for the preset {preset.name}", f"choose one of: {known}")
    return ENGINES[preset.target]
