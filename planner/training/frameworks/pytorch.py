"""What the skeleton on torch.distributed.pipelining cannot run of a plan."""

from __future__ import annotations

from planner.masks import divides
from planner.plan import Plan, Truth
from planner.schedules import SCHEDULES as CATALOGUE
from planner.schedules import demanded, spelled
from planner.schedules.ops import VEE
from planner.training.job import Job
from planner.training.rule import Rule

SCHEDULES = spelled("PyTorch")
"""Names of get_schedule_class; naive pipelining is GPipe of one micro-batch."""

PIPELINING = "PyTorch torch/distributed/pipelining/schedules.py"
FSDP = "PyTorch torch/distributed/fsdp/_fully_shard/_fully_shard.py"


def is_vee(plan: Plan) -> bool:
    """Two chunks per rank, down the ranks and up again."""
    return CATALOGUE[plan.schedule].placement is VEE


def _vee(job: Job, plan: Plan) -> Truth:
    even = divides(2 * plan.pp, job.model.layers)
    return even & (plan.head == 0) if is_vee(plan) else True


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
