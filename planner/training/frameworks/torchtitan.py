"""What torchtitan cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

import numpy as np

from planner.masks import divides
from planner.plan import Plan, Truth
from planner.schedules import demanded, spelled
from planner.stages import chunk_layers
from planner.training.job import Job
from planner.training.rule import Rule

SCHEDULES = spelled("torchtitan")
"""Names of torch.distributed.pipelining; naive pipelining is GPipe of one micro-batch."""

UNPIPED = ("qwen3", "qwen3_moe", "gpt_oss")
"""Families whose models have no pipelining function (pipelining_fn = None)."""

PIPELINE = "torchtitan distributed/pipeline_parallel.py"
PARALLELIZE = "torchtitan models/llama3/infra/parallelize.py"


def _zero(job: Job, plan: Plan) -> Truth:
    alone = (plan.tp == 1) & (plan.cp == 1) & (plan.pp == 1)
    return (plan.zero == 3) | ((plan.zero == 0) & (alone | ((plan.dp == 1) & (plan.cp == 1))))


def _mixed(job: Job, plan: Plan) -> Truth:
    alone = (plan.tp == 1) & (plan.pp == 1)
    return (plan.zero == 3) | alone | (job.workload.optimizer == "adam-bf16")


def _recompute(job: Job, plan: Plan) -> Truth:
    """One layer in n is counted over all chunks of a rank: of one chunk chunk // n, of several where n divides them."""
    chunk = chunk_layers(job.model.layers, plan)
    some = np.maximum(plan.recompute_layers, 1)
    counted: Truth = divides(some, chunk) | ((plan.v == 1) & (chunk // np.maximum(chunk // some, 1) == some))
    ends: Truth = (plan.recompute_layers == 0) | (plan.recompute_layers >= chunk)
    even = (plan.head == 0) & divides(plan.pp * plan.v, job.model.layers)
    found: Truth = (not plan.modules) & (ends | (even & counted))
    return found


RULES: tuple[Rule, ...] = (
    Rule(
        "torchtitan_schedule",
        lambda j, p: p.schedule in SCHEDULES,
        f"torchtitan runs {', '.join(SCHEDULES)}, not {{schedule}}",
        PIPELINE,
    ),
    Rule(
        "torchtitan_batches",
        lambda j, p: demanded("PyTorch", p),
        "{schedule} needs as many micro-batches as stages: m={m} is below pp={pp}",
        "PyTorch torch/distributed/pipelining/schedules.py",
    ),
    Rule(
        "torchtitan_zero",
        _zero,
        "torchtitan shards weights too (zero=3) or replicates plainly (zero=0, with tp, cp and pp of 1 or with dp=1),"
        " not zero={zero} with dp={dp}, tp={tp}, cp={cp}, pp={pp}",
        PARALLELIZE,
    ),
    Rule(
        "torchtitan_mixed_precision",
        _mixed,
        "without sharding, tp={tp} and pp={pp} run in fp32: only FSDP casts to bf16 beside them; zero=3 with dp > 1",
        "torchtitan distributed/utils.py",
        update=True,
    ),
    Rule(
        "torchtitan_sequence_parallel",
        lambda j, p: (p.tp == 1) | (p.sp == 1),
        "sequence parallelism comes with tp={tp}: sp has to be 1, not {sp}",
        PARALLELIZE,
    ),
    Rule(
        "torchtitan_kv_heads",
        lambda j, p: (j.model.mla is not None) | divides(p.tp, j.model.kv_heads),
        "torchtitan gives every rank whole key/value heads: tp={tp} has to divide the {kv_heads}",
        "torchtitan models/common/decoder.py, update_from_config",
    ),
    Rule(
        "torchtitan_sequence_length",
        lambda j, p: divides(2 * p.cp * p.tp, j.workload.seq),
        "2*cp*tp = 2*{cp}*{tp} does not divide the sequence of {seq}",
        "torchtitan distributed/parallel_dims.py",
    ),
    Rule(
        "torchtitan_pipeline",
        lambda j, p: (p.pp == 1) | (j.model.family not in UNPIPED),
        "torchtitan 0.2.2 has no pipelining for qwen3 and gpt_oss: pp={pp} has to be 1",
        "torchtitan models/qwen3/__init__.py, models/gpt_oss/__init__.py",
    ),
    Rule(
        "torchtitan_experts",
        lambda j, p: (p.etp == 1) | (p.etp == p.tp) | (j.model.moe is None),
        "torchtitan splits an expert over all of tp={tp} or not at all, not over etp={etp}",
        "torchtitan distributed/parallel_dims.py",
    ),
    Rule(
        "torchtitan_recompute",
        _recompute,
        "torchtitan recomputes no layer, every layer or one in n of even chunks, not k={recompute_layers} of {layers}"
        " layers over pp*v = {pp}*{v}",
        "torchtitan distributed/activation_checkpoint.py",
    ),
)

OFFLOADS = ("parameters",)
"""Of what --offload takes (training.enable_cpu_offload: weights, gradients and states together)."""

OPTIONS = (
    Rule(
        "torchtitan_optimizer",
        lambda j, p: j.workload.optimizer in ("adam", "adam-bf16"),
        "torchtitan's configuration has adam or adam-bf16, not {optimizer}",
        "torchtitan components/optimizer.py",
    ),
    Rule(
        "torchtitan_method",
        lambda j, p: j.workload.method == "full",
        "torchtitan 0.2.2 trains no LoRA adapters",
        "torchtitan config/job_config.py",
    ),
    Rule(
        "torchtitan_offload",
        lambda j, p: j.workload.offload in ("none", *OFFLOADS),
        f"torchtitan offloads {', '.join(OFFLOADS)}, not {{offload}}",
        "torchtitan config/job_config.py",
    ),
)
"""What it has options for, whatever the plan."""
