"""Megatron-DeepSpeed: pretrain_gpt.py's flags, with its older names, and the ds_config.json that they must agree with.

Names and checks: deepspeedai/Megatron-DeepSpeed megatron/arguments.py, pretrain_gpt.py, megatron/model/gpt_model.py.
Ranks are laid out pipe, data, model, the last fastest (DeepSpeed runtime/pipe/topology.py,
PipeModelDataParallelTopology): tensor parallelism stays inside a node.
"""

from __future__ import annotations

from typing import Any

from planner.launch import deepspeed, megatron
from planner.launch.deepspeed import CONFIG
from planner.launch.described import target
from planner.launch.program import File, Flag, Program, Setup, number
from planner.schema.model import Model

FLASH = {"flash1": "--use-flash-attn-v1", "triton": "--use-flash-attn-triton"}


def program(setup: Setup) -> Program:
    """pretrain_gpt.py with the flags of one plan; sequence parallelism is accepted with one CUDA connection only."""
    flags = (*shape_flags(setup), *parallel_flags(setup), *recompute_flags(setup), *run_flags(setup))
    return Program(
        "pretrain_gpt.py",
        (*flags, *deepspeed_flags(setup)),
        {"CUDA_DEVICE_MAX_CONNECTIONS": "1"} if setup.plan.sp else {},
        files=(File(CONFIG, deepspeed.json_text(config(setup))),),
        notes=notes(setup.job.model),
    )


def config(setup: Setup) -> dict[str, Any]:
    """What DeepSpeed reads; the optimizer and the model's degrees come from the flags."""
    section = {
        "train_batch_size": setup.job.workload.global_batch,
        "train_micro_batch_size_per_gpu": setup.plan.b,
        "gradient_accumulation_steps": setup.plan.m,
        "steps_per_print": 1,
        "gradient_clipping": deepspeed.CLIP,
        **deepspeed.precision(setup.job),
        "zero_optimization": deepspeed.zero_optimization(setup),
        **deepspeed.activation_checkpointing(setup),
    }
    return section | pipeline(setup)


def pipeline(setup: Setup) -> dict[str, Any]:
    """With experts two tensors need gradients between stages, which partitioned sends do not carry (gpt_model.py)."""
    if setup.plan.pp == 1:
        return {}
    section = deepspeed.pipeline(setup)["pipeline"]
    whole = {"pipe_partitioned": False, "grad_partitioned": False} if setup.job.model.moe else {}
    return {"pipeline": section | whole}


def shape_flags(setup: Setup) -> list[Flag]:
    """The model's shape; its defaults are GPT-2's."""
    model = setup.job.model
    sizes, lengths = megatron.size_flags(model), megatron.length_flags(setup)
    flags = [*sizes, number("kv-channels", model.head_dim), *lengths]
    flags += [number("num-key-value-heads", model.kv_heads)] if model.kv_heads != model.heads else []
    return flags + style_flags(model) + (expert_flags(setup) if model.moe else [])


def style_flags(model: Model) -> list[Flag]:
    """Positions, norms, activation, biases, embeddings, dropout."""
    positions: dict[str, list[Flag]] = {"rope": [("--use-rotary-position-embeddings",)], "learned": []}
    mlp: dict[str, list[Flag]] = {"glu": [("--swiglu",)], "relu2": [("--squared-relu",)]}
    flags = positions.get(model.position, [("--no-position-embedding",)]) + mlp.get(model.mlp, [])
    flags += [number("normalization", "rmsnorm")] if model.norm == "rmsnorm" else []
    flags += [("--disable-bias-linear",)] if model.bias != "all" else []
    return flags + megatron.end_flags(model)


def expert_flags(setup: Setup) -> list[Flag]:
    """DeepSpeed's mixture of experts; the experts' matrices are sharded by tp like the others."""
    moe = setup.job.model.moe
    assert moe is not None
    flags = [
        number("num-experts", moe.experts),
        number("topk", moe.top_k),
        number("expert-interval", moe.every),
        number("moe-expert-parallel-size", setup.plan.ep),
        ("--create-moe-param-group",),
    ]
    return flags + ([("--enable-expert-tensor-parallelism",)] if setup.plan.etp > 1 else [])


def parallel_flags(setup: Setup) -> list[Flag]:
    """Degrees; without stages the plain engine runs, which every ZeRO stage needs beyond the first."""
    plan = setup.plan
    flags = [number("tensor-model-parallel-size", plan.tp), number("pipeline-model-parallel-size", plan.pp)]
    flags += [("--no-pipeline-parallel",)] if plan.pp == 1 else []
    return flags + ([("--sequence-parallel",)] if plan.sp else [])


def recompute_flags(setup: Setup) -> list[Flag]:
    """Nothing, the attention core, every layer, or without a pipeline k layers."""
    flags = megatron.recompute_flags(setup)
    return [*flags, ("--deepspeed-activation-checkpointing",)] if setup.plan.recompute_layers else flags[:1]


def run_flags(setup: Setup) -> list[Flag]:
    """Precision, kernel, batch, length of the run."""
    workload = setup.job.workload
    flags: list[Flag] = [(f"--{workload.precision}",), ("--no-query-key-layer-scaling",)]
    flags += [(FLASH.get(workload.attention, "--use-flash-attn-v2"),)] if setup.job.flash else []
    return [
        *flags,
        *megatron.batch_flags(setup),
        *megatron.SHORT_RUN,
        number("clip-grad", deepspeed.CLIP),
        number("tokenizer-type", "NullTokenizer"),
        number("vocab-size", setup.job.model.vocab - 1),
    ]


def deepspeed_flags(setup: Setup) -> list[Flag]:
    """The engine's configuration, and the stage once more for the model's own code."""
    flags: list[Flag] = [("--deepspeed",), ("--deepspeed_config", CONFIG), number("zero-stage", setup.plan.zero)]
    return flags + ([("--cpu-optimizer",)] if setup.job.workload.offload == "optimizer" else [])


def notes(model: Model) -> tuple[str, ...]:
    """What stays with the user."""
    said = ["it has no mock data: add --data-path, and your tokenizer in place of NullTokenizer (which adds one token)"]
    if model.position == "rope":
        said.append("set --rotary-position-embeddings-theta as the model was trained: the profile does not hold it")
    if model.position == "alibi":
        said.append("Megatron-DeepSpeed has no ALiBi; positions are left out, which costs the same")
    if model.bias == "qkv":
        said.append("Megatron-DeepSpeed has biases everywhere or nowhere; the query, key and value biases are left out")
    return tuple(said)


TARGET = target("megatron-deepspeed", program)
