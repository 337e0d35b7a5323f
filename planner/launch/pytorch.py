"""PyTorch alone: a train.py that runs the plan's schedule with torch.distributed.pipelining.

The file is a skeleton: mesh, stages, schedule, sharding and recomputation are the plan's; the layers are stand-ins to
be replaced. Without a GPU it runs small over gloo, so that the layout can be tried anywhere. Classes and their checks:
pytorch/pytorch torch/distributed/pipelining/schedules.py, distributed/fsdp/_fully_shard. The mesh is pp, dp, tp, the
last fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from planner.launch.described import target
from planner.launch.program import File, Program, Setup, adapters_said, kernels_said
from planner.stages import layers_per_chunk
from planner.training.frameworks.pytorch import SCHEDULES, is_vee

SCRIPT = "train.py"


def program(setup: Setup) -> Program:
    """train.py, which carries the plan in it."""
    return Program(SCRIPT, (), files=(File(SCRIPT, script(setup)),), notes=notes(setup))


def script(setup: Setup) -> str:
    """The skeleton (assets/train.py.txt) behind the plan's numbers."""
    skeleton = (files("planner.launch") / "assets" / "train.py.txt").read_text(encoding="utf-8")
    lines = "".join(f"{name} = {value!r}\n" for name, value in constants(setup).items())
    return skeleton.replace("PLAN = ...\n", lines)


def constants(setup: Setup) -> dict[str, Any]:
    """The plan's numbers, by the names that the skeleton reads."""
    model, plan, workload = setup.job.model, setup.plan, setup.job.workload
    return {
        "PP": plan.pp,
        "DP": plan.dp,
        "TP": plan.tp,
        "SCHEDULE": SCHEDULES[plan.schedule],
        "VEE": is_vee(plan),
        "LAYERS": stages(setup),
        "MICRO_BATCH": plan.b,
        "MICRO_BATCHES": plan.m,
        "RECOMPUTED": plan.recompute_layers,
        "SEQUENCE_PARALLEL": bool(plan.sp),
        "ZERO": plan.zero,
        "PURE_BF16": workload.optimizer == "adam-bf16",
        "HIDDEN": model.hidden,
        "FFN": model.ffn,
        "VOCAB": model.vocab,
        "SEQUENCE": workload.seq,
    }


def stages(setup: Setup) -> tuple[int, ...]:
    """Layers of every stage, in the order that a micro-batch meets them."""
    plan = setup.plan
    chunks = layers_per_chunk(setup.job.model.layers, plan)
    return tuple(rank[chunk] for chunk in range(plan.v) for rank in chunks)


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    said = ["replace Layer, Stage.embed, Stage.head, batch() and the learning rate in train.py by your own"]
    if setup.job.lora:
        said.append(f"freeze the base weights and add in Layer {adapters_said(setup.job)}")
    if setup.job.model.moe:
        said.append("Layer stands for a dense layer: put your experts in it")
    return (*said, *kernels_said(setup.job))


TARGET = target("pytorch", program)
