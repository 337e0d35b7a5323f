"""Hugging Face Accelerate: FSDP2 as a configuration file for `accelerate launch`.

Keys and checks: huggingface/accelerate commands/config/config_args.py, commands/launch.py, utils/launch.py,
parallelism_config.py, utils/dataclasses.py (FullyShardedDataParallelPlugin). The mesh is dp_replicate, dp_shard, cp,
tp, the last fastest (parallelism_config.py, _get_mesh): tensor parallelism stays inside a node.
"""

from __future__ import annotations

from typing import Any

import yaml

from planner.launch import seeing
from planner.launch.described import notes, part, target
from planner.launch.program import File, Program, Setup, kernels_said
from planner.plan import OnePlan

CONFIG = "accelerate.yaml"


def program(setup: Setup) -> Program:
    """`accelerate launch` in the place of torchrun; the number of micro-batches reaches Accelerator as a variable."""
    said = notes("accelerate", setup, sharded=sharded(setup.plan))
    return Program(
        "accelerate launch train.py",
        (("--config_file", CONFIG),),
        {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": f"{setup.plan.m}"},
        files=(File(CONFIG, yaml.safe_dump(config(setup), sort_keys=False)),),
        notes=(*said, *kernels_said(setup.job), *seeing.own(setup)),
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file, with keys of the template that `accelerate config` writes."""
    return part("accelerate", "config", setup, sharded=sharded(setup.plan))


def sharded(plan: OnePlan) -> bool:
    """FSDP, also for tensor parallelism alone: Accelerate has no other way to it (commands/launch.py)."""
    return bool(plan.zero >= 2 or plan.tp * plan.cp > 1)


TARGET = target("accelerate", program)
