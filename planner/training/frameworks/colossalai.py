"""What ColossalAI's HybridParallelPlugin cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

import numpy as np

from planner.masks import divides
from planner.plan import Plan, Truth
from planner.schedules import runs
from planner.training.job import Job
from planner.training.rule import Rule

PLUGIN = "ColossalAI booster/plugin/hybrid_parallel_plugin.py"


def _recompute(job: Job, plan: Plan) -> Truth:
    some = (plan.recompute_layers > 0) & (plan.recompute_layers < job.model.layers)
    return (not plan.modules) & ((plan.pp > 1) | np.logical_not(some))


def _offload(job: Job, plan: Plan) -> Truth:
    return True if job.workload.offload == "none" else plan.zero >= 1


RULES: tuple[Rule, ...] = (
    Rule(
        "colossalai_schedule",
        lambda j, p: runs("ColossalAI", p.schedule),
        "HybridParallelPlugin runs 1f1b and, with v > 1, interleaved, not {schedule}",
        PLUGIN,
    ),
    Rule(
        "colossalai_zero",
        lambda j, p: p.zero <= 2,
        "HybridParallelPlugin has ZeRO 0, 1 and 2, not {zero} (GeminiPlugin shards weights, without a pipeline)",
        PLUGIN,
    ),
    Rule(
        "colossalai_zero_pipeline",
        lambda j, p: (p.pp == 1) | (p.zero <= 1),
        "HybridParallelPlugin runs a pipeline with ZeRO 0 or 1, not pp={pp} with zero={zero}",
        PLUGIN,
    ),
    Rule(
        "colossalai_batches",
        lambda j, p: (p.pp == 1) | (p.m >= p.pp),
        "m={m} micro-batches are fewer than the pp={pp} stages",
        "ColossalAI pipeline/schedule/one_f_one_b.py",
    ),
    Rule(
        "colossalai_interleaved_batches",
        lambda j, p: (p.v == 1) | divides(p.pp, p.m),
        "interleaving needs m={m} to be a multiple of pp={pp}",
        "ColossalAI pipeline/schedule/interleaved_pp.py",
    ),
    Rule(
        "colossalai_chunks",
        lambda j, p: (p.v == 1) | divides(p.pp * p.v, j.model.layers),
        "interleaved chunks are even: pp*v = {pp}*{v} has to divide the {layers} layers",
        "ColossalAI pipeline/stage_manager.py",
    ),
    Rule(
        "colossalai_kv_heads",
        lambda j, p: divides(p.tp, j.model.kv_heads),
        "tp={tp} has to divide the {kv_heads} key/value heads",
        "ColossalAI shardformer/policies/llama.py",
    ),
    Rule(
        "colossalai_context",
        lambda j, p: (p.cp == 1) | ((p.sp == 0) & j.flash),
        "ring attention over cp={cp} needs flash attention and takes the place of sequence parallelism: sp={sp} has to"
        " be 0",
        PLUGIN,
    ),
    Rule(
        "colossalai_experts",
        lambda j, p: (j.model.moe is None) & (p.ep == 1),
        "HybridParallelPlugin trains dense models, not {experts} experts with ep={ep} (MoeHybridParallelPlugin does)",
        PLUGIN,
    ),
    Rule(
        "colossalai_recompute",
        _recompute,
        "without a pipeline every one of the {layers} layers is recomputed or none, not k={recompute_layers}; the"
        " attention core alone never is",
        "ColossalAI shardformer/shard/grad_ckpt_config.py",
    ),
    Rule("colossalai_offload", _offload, "cpu_offload needs ZeRO 1 or 2, not zero={zero}", PLUGIN, update=True),
)
