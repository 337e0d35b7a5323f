"""What Megatron-DeepSpeed cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

from planner.masks import divides
from planner.plan import Plan, Truth
from planner.stages import chunk_layers
from planner.training.frameworks.deepspeed import SHARED
from planner.training.job import Job
from planner.training.rule import Rule


def _recompute(job: Job, plan: Plan) -> Truth:
    every = plan.recompute_layers >= chunk_layers(job.model.layers, plan)
    return (plan.recompute_layers == 0) | every | (plan.pp == 1)


def _experts(job: Job, plan: Plan) -> Truth:
    model, moe = job.model, job.model.moe
    if moe is None:
        return True
    plain = moe.shared_experts == 0 and moe.dense_layers == 0 and moe.ffn == model.ffn and model.layers % moe.every == 0
    return plain & (plan.zero <= 2)


RULES: tuple[Rule, ...] = (
    *SHARED,
    Rule(
        "megatron_deepspeed_granularity",
        lambda j, p: (not p.modules) | (p.recompute_layers == 0),
        "--recompute-granularity is full or selective, not both: k={recompute_layers}",
        "Megatron-DeepSpeed megatron/arguments.py",
    ),
    Rule(
        "megatron_deepspeed_recompute",
        _recompute,
        "with pp={pp} every layer is recomputed or none, not k={recompute_layers}; block recomputation needs pp=1",
        "Megatron-DeepSpeed megatron/model/gpt_model.py",
    ),
    Rule(
        "megatron_deepspeed_expert_ranks",
        lambda j, p: (j.model.moe is None) | (divides(p.ep, p.dp) & ((p.etp == 1) | (p.etp == p.tp))),
        "DeepSpeed takes ep={ep} out of dp={dp}, and splits experts over all of tp={tp} or not: etp={etp}",
        "DeepSpeed moe/layer.py",
    ),
    Rule(
        "megatron_deepspeed_experts",
        _experts,
        "Megatron-DeepSpeed's experts ({experts} of width {ffn}) are as wide as the dense layers, without shared"
        " experts or leading dense layers, and go with ZeRO 0, 1 or 2, not zero={zero}",
        "Megatron-DeepSpeed megatron/model/transformer.py, DeepSpeed runtime/engine.py",
    ),
)
