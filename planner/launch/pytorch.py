"""PyTorch alone: a train.py that runs the plan's schedule with torch.distributed.pipelining.

The file is a skeleton: mesh, stages, schedule, sharding and recomputation are the plan's; the layers are stand-ins to
be replaced. Without a GPU it runs small over gloo, so that the layout can be tried anywhere. Classes and their checks:
pytorch/pytorch torch/distributed/pipelining/schedules.py, distributed/fsdp/_fully_shard. The mesh is pp, dp, tp, the
last fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from planner.launch.program import OWN_KERNELS, File, Program, Setup, Target, adapters_said, kernels_said, only_file
from planner.masks import divides
from planner.plan import Plan, Truth
from planner.schedules import SCHEDULES as CATALOGUE
from planner.schedules import demanded, spelled
from planner.schedules.ops import VEE
from planner.stages import layers_per_chunk
from planner.training.job import Job
from planner.training.rule import Rule

SCRIPT = "train.py"
SCHEDULES = spelled("PyTorch")
"""Names of get_schedule_class; naive pipelining is GPipe of one micro-batch."""

PIPELINING = "PyTorch torch/distributed/pipelining/schedules.py"
FSDP = "PyTorch torch/distributed/fsdp/_fully_shard/_fully_shard.py"


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
        "VEE": _is_vee(plan),
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


def _is_vee(plan: Plan) -> bool:
    """Two chunks per rank, down the ranks and up again."""
    return CATALOGUE[plan.schedule].placement is VEE


def _vee(job: Job, plan: Plan) -> Truth:
    even = divides(2 * plan.pp, job.model.layers)
    return even & (plan.head == 0) if _is_vee(plan) else True


RULES: tuple[Rule, ...] = (
    Rule(
        "pytorch_schedule",
        lambda j, p: p.schedule in SCHEDULES,
        f"the skeleton runs {', '.join(SCHEDULES)}, not {{schedule}}",
        PIPELINING,
    ),
    Rule(
        "pytorch_batches",
        lambda j, p: demanded("PyTorch", p),
        "{schedule} over pp={pp} does not take m={m} micro-batches of v={v} chunks: {required}",
        PIPELINING,
    ),
    Rule(
        "pytorch_vee",
        _vee,
        "{schedule} has two equal chunks per rank: 2*pp = 2*{pp} has to divide the {layers} layers, head={head} be 0",
        PIPELINING,
    ),
    Rule(
        "pytorch_zero",
        lambda j, p: p.zero != 1,
        "fully_shard shards gradients with the optimizer: zero is 0, 2 or 3, not {zero}",
        FSDP,
    ),
    Rule(
        "pytorch_context",
        lambda j, p: p.cp == 1,
        "the skeleton has no context parallelism: cp={cp} has to be 1",
        "PyTorch torch/distributed/tensor/experimental",
    ),
    Rule(
        "pytorch_experts",
        lambda j, p: p.ep == 1,
        "the skeleton has no expert parallelism: ep={ep} has to be 1",
        "PyTorch torch/distributed/tensor/parallel",
    ),
    Rule(
        "pytorch_recompute",
        lambda j, p: not p.modules,
        "the skeleton recomputes whole layers, not the attention core",
        "PyTorch torch/utils/checkpoint.py",
    ),
    Rule(
        "pytorch_precision",
        lambda j, p: j.workload.precision == "bf16",
        "the skeleton has no loss scaling: --precision bf16",
        "PyTorch torch/amp",
    ),
    Rule(
        "pytorch_optimizer",
        lambda j, p: j.workload.optimizer in ("adam", "adam-bf16"),
        "the skeleton has adam or adam-bf16, not {optimizer}",
        "PyTorch torch/optim",
    ),
)


TARGET = Target(
    "pytorch",
    "PyTorch pipelining",
    "torch 2.13.0",
    RULES,
    program,
    only_file,
    "a runnable skeleton on torch.distributed.pipelining",
    OWN_KERNELS,
    preset="litgpt",
)
