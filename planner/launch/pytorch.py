"""PyTorch alone: a train.py that runs the plan's schedule with torch.distributed.pipelining.

The file is a skeleton: mesh, stages, schedule, sharding and recomputation are the plan's; the layers are stand-ins to
be replaced. Without a GPU it runs small over gloo, so that the layout can be tried anywhere. Classes and their checks:
pytorch/pytorch torch/distributed/pipelining/schedules.py, distributed/fsdp/_fully_shard. The mesh is pp, dp, tp, the
last fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from planner.launch.described import notes, part, target
from planner.launch.program import File, Program, Setup, kernels_said
from planner.stages import layers_per_stage
from planner.training.frameworks.pytorch import SCHEDULES, is_vee

SCRIPT = "train.py"


def program(setup: Setup) -> Program:
    """train.py, which carries the plan in it."""
    return Program(
        SCRIPT, (), files=(File(SCRIPT, script(setup)),), notes=(*notes("pytorch", setup), *kernels_said(setup.job))
    )


def script(setup: Setup) -> str:
    """The skeleton (assets/train.py.txt) behind the plan's numbers."""
    skeleton = (files("planner.launch") / "assets" / "train.py.txt").read_text(encoding="utf-8")
    lines = "".join(f"{name} = {value!r}\n" for name, value in constants(setup).items())
    return skeleton.replace("PLAN = ...\n", lines)


def constants(setup: Setup) -> dict[str, Any]:
    """The plan's numbers, by the names that the skeleton reads."""
    return part("pytorch", "constants", setup, SCHEDULES=SCHEDULES, vee=is_vee(setup.plan), stages=stages(setup))


def stages(setup: Setup) -> tuple[int, ...]:
    """Layers of every stage, in the order that a micro-batch meets them."""
    return tuple(layers_per_stage(setup.job.model.layers, setup.plan))


TARGET = target("pytorch", program)
