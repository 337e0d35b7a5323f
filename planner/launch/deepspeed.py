"""DeepSpeed's ds_config.json for one plan of the user's own training script.

Keys and their checks: deepspeedai/DeepSpeed runtime/config.py, runtime/zero/config.py, runtime/precision_config.py,
runtime/tensor_parallel/config.py. Ranks are laid out pipe, data, model, the last fastest (runtime/pipe/topology.py,
PipeModelDataParallelTopology; utils/groups.py for AutoTP): tensor parallelism stays inside a node.
"""

from __future__ import annotations

import json
from typing import Any

from planner.launch import seeing
from planner.launch.described import notes, part, target
from planner.launch.program import File, Program, Setup, kernels_said
from planner.training.frameworks.deepspeed import EXPERT_PRESETS

CONFIG = "ds_config.json"
CLIP = 1.0
"""Gradient clipping of every published recipe that names one (Llama 2 and 3, BLOOM, OPT)."""

BUCKET = 200_000_000
"""Elements of a reduce or gather bucket under ZeRO-1 and 2: 400 MB in 16 bits; DeepSpeed's default is 500 M."""


def program(setup: Setup) -> Program:
    """The user's train.py with the configuration that it hands to deepspeed.initialize."""
    said = (*notes("deepspeed", setup), *kernels_said(setup.job), *seeing.own(setup))
    flags = (("--deepspeed",), ("--deepspeed_config", CONFIG))
    return Program(
        "train.py",
        flags,
        files=(File(CONFIG, json_text(config(setup))),),
        notes=said,
    )


def json_text(value: dict[str, Any]) -> str:
    """JSON as it is written: two spaces, keys in the order given, a newline behind."""
    return json.dumps(value, indent=2) + "\n"


def config(setup: Setup) -> dict[str, Any]:
    """The whole configuration."""
    return part("deepspeed", "config", setup, CLIP=CLIP, BUCKET=BUCKET, EXPERT_PRESETS=EXPERT_PRESETS)


TARGET = target("deepspeed", program)
