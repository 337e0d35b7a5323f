"""What Megatron-LM cannot express of a plan, beyond the rules of the search."""

from __future__ import annotations

from typing import Any

from planner.plan import Plan
from planner.schedules import MEGATRON, runs
from planner.training.job import Job
from planner.training.rule import Rule

ARGUMENTS = "Megatron-LM training/arguments.py"


def _offload(job: Job, plan: Plan) -> Any:
    """--optimizer-cpu-offload needs the precision-aware optimizer, and that the distributed one, be it of one rank."""
    return (plan.zero == 1) | (plan.dp * plan.cp == 1) | (job.workload.offload == "none")


def _expert_bias(job: Job, plan: Plan) -> Any:
    return (plan.etp == 1) | (job.model.moe is None) | (job.model.bias != "all")


RULES: tuple[Rule, ...] = (
    Rule(
        "megatron_schedule",
        lambda j, p: runs(MEGATRON, p.schedule),
        "Megatron-LM runs 1f1b and, with v > 1, interleaved, not {schedule}",
        "Megatron-LM core/pipeline_parallel/schedules.py",
    ),
    Rule(
        "megatron_recompute",
        lambda j, p: (not p.selective) | (p.recompute_layers == 0),
        "--recompute-granularity is full or selective, not both: k={recompute_layers}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_offload",
        _offload,
        "offloading the optimizer needs the distributed optimizer: zero=1, not zero={zero}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_fsdp_pipeline",
        lambda j, p: (p.pp == 1) | (p.zero <= 1),
        "zero={zero} is Megatron-FSDP, written for pp=1 only, not pp={pp}; with a pipeline zero is 0 or 1",
        ARGUMENTS,
    ),
    Rule(
        "megatron_replicas",
        lambda j, p: (p.dp_replicate == 1) | (p.zero == 1),
        "copies of the distributed optimizer are those of zero=1, not zero={zero}",
        ARGUMENTS,
    ),
    Rule(
        "megatron_expert_bias",
        _expert_bias,
        "experts with biases need an expert tensor parallel degree of 1, not etp={etp}",
        "Megatron-LM core/transformer/transformer_config.py",
    ),
)
