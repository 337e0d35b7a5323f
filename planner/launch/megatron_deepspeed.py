"""Megatron-DeepSpeed: pretrain_gpt.py's flags, with its older names, and the ds_config.json that they must agree with.

Names and checks: deepspeedai/Megatron-DeepSpeed megatron/arguments.py, pretrain_gpt.py, megatron/model/gpt_model.py.
Ranks are laid out pipe, data, model, the last fastest (DeepSpeed runtime/pipe/topology.py,
PipeModelDataParallelTopology): tensor parallelism stays inside a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from planner.catalog.expressions import rows
from planner.launch import deepspeed, megatron
from planner.launch.deepspeed import CONFIG
from planner.launch.described import Words, notes, options, table, target
from planner.launch.program import File, Flag, Program, Setup


def program(setup: Setup) -> Program:
    """pretrain_gpt.py with the flags of one plan; sequence parallelism is accepted with one CUDA connection only."""
    return Program(
        "pretrain_gpt.py",
        tuple(flags(setup)),
        {"CUDA_DEVICE_MAX_CONNECTIONS": "1"} if setup.plan.sp else {},
        files=(File(CONFIG, deepspeed.json_text(config(setup))),),
        notes=notes("megatron-deepspeed", setup),
    )


def config(setup: Setup) -> dict[str, Any]:
    """What DeepSpeed reads; the optimizer and the model's degrees come from the flags.

    With experts two tensors need gradients between stages, which partitioned sends do not carry (gpt_model.py).
    """
    whole = {"train_batch_size": setup.job.workload.global_batch} | deepspeed.config(setup)
    if "pipeline" in whole and setup.job.model.moe:
        whole["pipeline"] |= {"pipe_partitioned": False, "grad_partitioned": False}
    return {name: value for name, value in whole.items() if name not in ("optimizer", *DEGREES)}


DEGREES = ("tensor_parallel", "expert_parallel")


def flags(setup: Setup) -> Iterator[Flag]:
    """Shape, degrees, recomputation, precision, kernel, batch, length of the run, the engine."""
    own = [("", part) if isinstance(part, dict) else (part[1:], {}) for part in table("megatron-deepspeed")["flags"]]
    for name, part in own:
        recompute = dict(rows(megatron.TABLE["flags"]["recompute"], megatron.words(setup)))
        words = Words(setup.job, setup.plan, {"recompute": recompute, "CONFIG": CONFIG, "CLIP": deepspeed.CLIP})
        yield from megatron.flags(setup, name) if name else options(rows(part, words))


TARGET = target("megatron-deepspeed", program)
