"""What DeepSpeed cannot run of a plan, beyond the rules that all frameworks share."""

from __future__ import annotations

from planner.plan import Plan, Truth
from planner.schedules import runs
from planner.stages import chunk_layers
from planner.training.job import Job
from planner.training.rule import Rule

EXPERT_PRESETS = {
    "mixtral": "mixtral",
    "qwen2_moe": "qwen3_moe",
    "qwen3_moe": "qwen3_moe",
    "deepseek_v2": "deepseek_v2",
    "deepseek_v3": "deepseek_v3",
}
"""AutoEP's presets by model family (module_inject/auto_ep_presets)."""

ENGINE = "DeepSpeed runtime/pipe/engine.py"


def whole_recompute(job: Job, plan: Plan) -> Truth:
    """Nothing or every layer."""
    every = plan.recompute_layers >= chunk_layers(job.model.layers, plan)
    return (not plan.modules) & ((plan.recompute_layers == 0) | every)


def _own_stages(job: Job, plan: Plan) -> Truth:
    """PipelineModule deals layers out by itself, one more or less to each stage, the head not counted."""
    return (plan.pp == 1) | (plan.head == 0)


def _states(job: Job, plan: Plan) -> Truth:
    plain = job.workload.offload == "none" and job.workload.optimizer == "adam"
    return True if plain else plan.zero >= 1


SHARED: tuple[Rule, ...] = (
    Rule(
        "deepspeed_schedule",
        lambda j, p: runs("DeepSpeed", p.schedule),
        "DeepSpeed's pipeline runs 1f1b only, not {schedule}",
        "DeepSpeed runtime/pipe/schedule.py",
    ),
    Rule(
        "deepspeed_virtual_stages",
        lambda j, p: p.v == 1,
        "DeepSpeed has no virtual stages: v={v} has to be 1",
        "DeepSpeed runtime/pipe/schedule.py",
    ),
    Rule(
        "deepspeed_zero_pipeline",
        lambda j, p: (p.pp == 1) | (p.zero <= 1),
        "DeepSpeed runs a pipeline with ZeRO 0 or 1, not pp={pp} with zero={zero}; ZeRO {zero} needs pp=1",
        ENGINE,
    ),
    Rule(
        "deepspeed_layers",
        _own_stages,
        "DeepSpeed deals the {layers} layers out itself, the head not counted: head={head} has to be 0",
        "DeepSpeed runtime/pipe/module.py",
    ),
    Rule(
        "deepspeed_context",
        lambda j, p: p.cp == 1,
        "DeepSpeed has no ring attention (Ulysses shards heads instead): cp={cp} has to be 1",
        "DeepSpeed runtime/sequence_parallel/ulysses_sp.py",
    ),
    Rule(
        "deepspeed_states",
        _states,
        "DeepSpeed offloads states, or keeps them in bf16, under ZeRO 1, 2 or 3 only, not zero={zero}",
        "DeepSpeed runtime/config.py, runtime/zero/config.py",
        update=True,
    ),
)
"""What DeepSpeed's engine itself cannot do, under any client."""

RULES: tuple[Rule, ...] = (
    *SHARED,
    Rule(
        "deepspeed_tensor_pipeline",
        lambda j, p: (p.tp == 1) | (p.pp == 1),
        "AutoTP does not go with a PipelineModule: tp={tp} needs pp=1, or pp={pp} needs tp=1 (megatron-deepspeed has"
        " both)",
        "DeepSpeed runtime/engine.py, __init__.py",
    ),
    Rule(
        "deepspeed_sequence_parallel",
        lambda j, p: p.sp == 0,
        "AutoTP has no sequence parallelism: sp={sp} has to be 0",
        "DeepSpeed runtime/tensor_parallel/config.py",
    ),
    Rule(
        "deepspeed_recompute",
        whole_recompute,
        "a ds_config recomputes no layer or all of them, not k={recompute_layers} of a chunk nor the attention core",
        "DeepSpeed runtime/pipe/module.py, runtime/activation_checkpointing/config.py",
    ),
    Rule(
        "deepspeed_experts",
        lambda j, p: (p.ep == 1) | ((p.tp == 1) & (p.pp == 1)),
        "AutoEP with ep={ep} is written for tp=1 and pp=1, not tp={tp} and pp={pp}",
        "DeepSpeed module_inject/auto_ep_folding.py",
    ),
    Rule(
        "deepspeed_expert_preset",
        lambda j, p: (p.ep == 1) | (j.model.family in EXPERT_PRESETS),
        f"ep={{ep}} needs one of AutoEP's families ({', '.join(EXPERT_PRESETS)}); else ep=1",
        "DeepSpeed module_inject/auto_ep_presets",
    ),
)
