"""PyTorch alone: a train.py that runs the plan's schedule with torch.distributed.pipelining.

The file is a skeleton: mesh, stages, schedule, sharding and recomputation are the plan's; the layers are stand-ins to
be replaced. Without a GPU it runs small over gloo, so that the layout can be tried anywhere. Classes and their checks:
pytorch/pytorch torch/distributed/pipelining/schedules.py, distributed/fsdp/_fully_shard. The mesh is pp, dp, tp, the
last fastest: tensor parallelism stays inside a node.
"""

from __future__ import annotations

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
    """The skeleton behind the plan's numbers."""
    lines = "".join(f"{name} = {value!r}\n" for name, value in constants(setup).items())
    return SKELETON.replace("PLAN = ...\n", lines)


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


SKELETON = '''"""One parallel plan as a training loop on torch.distributed.pipelining.

Start it with torchrun. Replace Layer, Stage and batch() by your own; without a GPU it runs small, over gloo.
"""

from __future__ import annotations

import os
from contextlib import nullcontext

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import PipelineScheduleMulti, get_schedule_class
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)
from torch.utils.checkpoint import checkpoint

PLAN = ...

GPU = torch.cuda.is_available()
if not GPU:
    HIDDEN, FFN, VOCAB, SEQUENCE = 16 * TP, 32 * TP, 64 * TP, 4 * TP
STEPS = int(os.environ.get("STEPS", "3"))
DEVICE = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if GPU else torch.device("cpu")


class Layer(nn.Module):
    """Stands for your transformer layer. Its number seeds its weights, so that every layout starts alike."""

    def __init__(self, number: int) -> None:
        super().__init__()
        torch.manual_seed(number)
        self.norm = nn.LayerNorm(HIDDEN)
        self.up = nn.Linear(HIDDEN, FFN, bias=False)
        self.down = nn.Linear(FFN, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.silu(self.up(self.norm(x))))


class Stage(nn.Module):
    """Consecutive layers; the first stage has the embedding, the last one the head."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, HIDDEN) if index == 0 else None
        before = sum(LAYERS[:index])
        self.layers = nn.ModuleList(Layer(before + number) for number in range(LAYERS[index]))
        self.head = nn.Linear(HIDDEN, VOCAB, bias=False) if index == len(LAYERS) - 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.embed is None else self.embed(x)
        for number, layer in enumerate(self.layers):
            recomputed = number < RECOMPUTED and torch.is_grad_enabled()
            x = checkpoint(layer, x, use_reentrant=False) if recomputed else layer(x)
        return x if self.head is None else self.head(x)


def batch(step: int, replica: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and targets of one replica and step, the same on all its ranks: stands for your data."""
    generator = torch.Generator().manual_seed(step * DP + replica)
    tokens = torch.randint(VOCAB, (MICRO_BATCH * MICRO_BATCHES, SEQUENCE + 1), generator=generator).to(DEVICE)
    return tokens[:, :-1], tokens[:, 1:]


def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def tensor_parallel(stage: Stage, mesh: DeviceMesh) -> None:
    """Column then row; with sequence parallelism activations between them are split along the sequence."""
    split = Shard(1) if SEQUENCE_PARALLEL else Replicate()
    plan = {"up": ColwiseParallel(input_layouts=split), "down": RowwiseParallel(output_layouts=split)}
    if SEQUENCE_PARALLEL:
        plan["norm"] = SequenceParallel(use_local_output=True)
    for layer in stage.layers:
        parallelize_module(layer, mesh, plan)
    ends = {"embed": RowwiseParallel(input_layouts=Replicate(), output_layouts=split)} if stage.embed else {}
    if stage.head is not None:
        ends["head"] = ColwiseParallel(input_layouts=split, output_layouts=Replicate())
    parallelize_module(stage, mesh, ends)


def shard(stage: Stage, mesh: DeviceMesh) -> None:
    """ZeRO-3 gives weights back behind the forward pass, ZeRO-2 keeps them."""
    policy = MixedPrecisionPolicy() if PURE_BF16 else MixedPrecisionPolicy(torch.bfloat16, torch.float32)
    for layer in stage.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=ZERO == 3)
    fully_shard(stage, mesh=mesh, mp_policy=policy, reshard_after_forward=ZERO == 3)


def build(index: int, mesh: DeviceMesh) -> Stage:
    torch.manual_seed(index)
    stage = Stage(index).to(DEVICE, torch.bfloat16 if PURE_BF16 else torch.float32)
    if TP > 1:
        tensor_parallel(stage, mesh["tp"])
    if ZERO:
        shard(stage, mesh["dp"])
    return stage


def stages_of(rank: int) -> list[int]:
    """Stages of a pipeline rank: round the ranks again and again, or down and up."""
    return [rank, len(LAYERS) - 1 - rank] if VEE else list(range(rank, len(LAYERS), PP))


def average_gradients(parts: list[Stage], mesh: DeviceMesh) -> None:
    """Plain data parallelism: once per step."""
    for parameter in (p for part in parts for p in part.parameters() if p.grad is not None):
        gradient = parameter.grad.to_local() if hasattr(parameter.grad, "to_local") else parameter.grad
        dist.all_reduce(gradient, group=mesh.get_group("dp"))
        gradient /= DP


def main() -> None:
    if GPU:
        torch.cuda.set_device(DEVICE)
    dist.init_process_group("nccl" if GPU else "gloo")
    mesh = init_device_mesh(DEVICE.type, (PP, DP, TP), mesh_dim_names=("pp", "dp", "tp"))
    rank, replica = mesh.get_local_rank("pp"), mesh.get_local_rank("dp")
    mine = stages_of(rank)
    parts = [build(index, mesh) for index in mine]
    optimizer = torch.optim.AdamW([p for part in parts for p in part.parameters()], lr=1e-4)
    schedule = pipeline(parts, mine, mesh) if PP > 1 else None
    mixed = nullcontext() if ZERO or PURE_BF16 else torch.autocast(DEVICE.type, torch.bfloat16)
    for step in range(STEPS):
        tokens, targets = batch(step, replica)
        with mixed:
            losses = run(schedule, mine, tokens, targets) if schedule else accumulate(parts[0], tokens, targets)
        if not ZERO and DP > 1:
            average_gradients(parts, mesh)
        optimizer.step()
        optimizer.zero_grad()
        if len(LAYERS) - 1 in mine and mesh.get_local_rank("tp") == replica == 0:
            print(f"step {step} loss {torch.stack(losses).mean().item():.4f}", flush=True)
    dist.destroy_process_group()


def pipeline(parts: list[Stage], mine: list[int], mesh: DeviceMesh):
    kind, group = get_schedule_class(SCHEDULE), mesh.get_group("pp")
    stages = [PipelineStage(part, i, len(LAYERS), DEVICE, group=group) for part, i in zip(parts, mine)]
    many = issubclass(kind, PipelineScheduleMulti)
    return kind(stages if many else stages[0], n_microbatches=MICRO_BATCHES, loss_fn=loss)


def run(schedule, mine: list[int], tokens: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    losses: list[torch.Tensor] = []
    inputs = (tokens,) if 0 in mine else ()
    last = len(LAYERS) - 1 in mine
    schedule.step(*inputs, target=targets if last else None, losses=losses if last else None)
    return losses


def accumulate(model: Stage, tokens: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    losses = []
    for x, y in zip(tokens.split(MICRO_BATCH), targets.split(MICRO_BATCH)):
        one = loss(model(x), y)
        (one / MICRO_BATCHES).backward()
        losses.append(one.detach())
    return losses


if __name__ == "__main__":
    main()
'''
