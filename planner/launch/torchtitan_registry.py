"""torchtitan 0.3: a base of its registry of configurations, with every option of a plan set over it.

Bases and options: pytorch/torchtitan 0.3.0, models/*/config_registry.py, config/configs.py, config/manager.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import torchtitan
from planner.launch.described import table, target
from planner.launch.program import Flag, Program, Setup
from planner.masks import divides
from planner.read.titan_registry import REGISTRY, SUBCOMMAND, Base
from planner.schema.model import Model
from planner.stages import chunk_layers

GONE = ("expert_tensor_parallel_degree", "context_parallel_rotate_method")
"""Options of [parallelism] in 0.2 that there are no more."""

TABLE = table("torchtitan-registry")

REPLACED = ("torchtitan_pipeline", "torchtitan_recompute")
"""Rules of 0.2 that hold no more, or otherwise."""


def program(setup: Setup) -> Program:
    """torchtitan's trainer with one option per line; recomputation is a subcommand, and stands last."""
    name, base = based(setup.job.model) or ("", Base("", "", 0, 0))
    options = [(f"--{part}.{key}", *_words(value)) for part, keys in sections(setup).items() for key, value in keys]
    flags: tuple[Flag, ...] = (("--module", base.name), ("--config", name), *map(_switch, options))
    own = torchtitan.program(setup)
    policy = "full" if setup.plan.recompute_layers else "none"
    return replace(own, flags=(*flags, (f"{SUBCOMMAND}{policy}",)), files=(), notes=tuple(TABLE["notes"]))


def based(model: Model) -> tuple[str, Base] | None:
    """The plain base of a model's shape, and its function's name."""
    shape = torchtitan.registered(model)
    return next(((name, one) for name, one in REGISTRY.items() if (one.name, one.flavor) == shape and one.plain), None)


def sections(setup: Setup) -> dict[str, Any]:
    """Pairs of option and value by section."""
    own = torchtitan.config(setup)
    degrees = {name: value for name, value in own["parallelism"].items() if name not in GONE}
    loss = {} if setup.job.workload.loss == "chunked" else {"num_chunks": 1}
    parts = {name: own[name] for name in ("metrics", "training", "compile")} | {"parallelism": degrees, "loss": loss}
    return {name: keys.items() for name, keys in parts.items()}


def _words(value: Any) -> list[str]:
    """A value as the parser takes it; a list is several words."""
    return [f"{one}" for one in value] if isinstance(value, list) else [f"{value}"]


def _switch(flag: Flag) -> Flag:
    """ "--compile.no-enable" for false, the option alone for true."""
    option, *values = flag
    section, _, key = option.rpartition(".")
    if values in (["True"], ["False"]):
        return (option if values == ["True"] else f"{section}.no-{key}",)
    return flag


OWN = tuple(rule for rule in torchtitan.TARGET.rules if rule.name not in REPLACED)

TARGET = target("torchtitan-registry", program, OWN, based=based, chunk_layers=chunk_layers, divides=divides)
