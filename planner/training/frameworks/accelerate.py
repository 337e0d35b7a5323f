"""What Accelerate with FSDP2 cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.job import Job
from planner.training.rule import Rule

PARALLELISM = "Accelerate parallelism_config.py"


def _context(job: Job, plan: Plan) -> Truth:
    return (plan.cp == 1) | (plan.zero >= 2)


RULES: tuple[Rule, ...] = (
    Rule(
        "accelerate_pipeline",
        lambda j, p: (p.pp == 1) & (p.v == 1),
        "Accelerate trains without pipeline stages: pp={pp} and v={v} have to be 1",
        PARALLELISM,
    ),
    Rule(
        "accelerate_zero",
        lambda j, p: p.zero != 1,
        "FSDP2 shards gradients with the optimizer: zero is 0 (DDP), 2 or 3, not {zero}",
        "Accelerate utils/dataclasses.py",
    ),
    Rule(
        "accelerate_replicated",
        lambda j, p: (p.zero > 0) | (p.tp * p.cp == 1) | (p.dp == 1),
        "replicas do not go with tensor or context parallelism: tp={tp} and cp={cp} beside dp={dp} need zero=2 or 3",
        PARALLELISM,
    ),
    Rule("accelerate_context", _context, "cp={cp} needs FSDP: zero=2 or 3, not {zero}", PARALLELISM),
    Rule(
        "accelerate_sequence_parallel",
        lambda j, p: p.sp == 0,
        "Accelerate's tensor parallelism has no sequence parallelism: sp={sp} has to be 0",
        PARALLELISM,
    ),
    Rule(
        "accelerate_experts",
        lambda j, p: p.ep == 1,
        "Accelerate has no expert parallelism: ep={ep} has to be 1",
        PARALLELISM,
    ),
    Rule(
        "accelerate_recompute",
        whole_recompute,
        "fsdp_activation_checkpointing recomputes every layer or none, not k={recompute_layers} nor the attention core",
        "Accelerate utils/dataclasses.py",
    ),
)
