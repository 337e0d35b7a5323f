"""Megatron-Bridge: the recipe that starts from Megatron-LM's defaults, with overrides of every field that a plan sets.

Fields: NVIDIA-NeMo/Megatron-Bridge src/megatron/bridge/training/config.py, models/gpt_provider.py,
recipes/gpt/h100/vanilla_gpt.py; what is started: scripts/training/run_recipe.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import megatron
from planner.launch.program import Program, Setup, Target, flag_lines
from planner.launch.trees import megatron_keys, overrides, renamed
from planner.read.format import find_format
from planner.read.megatron_facts import moe_layers
from planner.training.rule import Rule

RECIPE = "vanilla_gpt_pretrain_config"

NAMES = (
    *("num_moe_experts", "virtual_pipeline_model_parallel_size"),
    *("num_layers_in_first_pipeline_stage", "num_layers_in_last_pipeline_stage"),
)
"""Fields that are called otherwise than Megatron-LM's options."""

SECTIONS = {
    "train": ("micro_batch_size", "global_batch_size", "train_iters"),
    "validation": ("eval_iters",),
    "logger": ("log_interval",),
    "dataset": ("seq_length",),
    "tokenizer": ("vocab_size",),
    "checkpoint": ("ckpt_format",),
    "optimizer": ("lr", "optimizer_cpu_offload", "use_precision_aware_optimizer"),
    "ddp": (
        *("use_distributed_optimizer", "overlap_grad_reduce", "overlap_param_gather", "use_megatron_fsdp"),
        *("data_parallel_sharding_strategy", "num_distributed_optimizer_instances"),
    ),
}
"""Where fields stand that are not the model's."""

IMPLIED = (
    *("mock_data", "tokenizer_type", "group_query_attention", "max_position_embeddings", "bf16", "fp16", "swiglu"),
    *("squared_relu", "untie_embeddings_and_output_weights", "attention_backend", "multi_latent_attention"),
    *("create_attention_mask_in_dataloader", "no_create_attention_mask_in_dataloader"),
)
"""Options that are none of its fields: the recipe has them so, or they come under other names."""


def program(setup: Setup) -> Program:
    """run_recipe.py with one override per field."""
    own = megatron.program(setup)
    flags = (("--recipe", RECIPE), *overrides(keys_of(setup, own)), (f"mixed_precision={precision(setup)}",))
    return replace(own, script="scripts/training/run_recipe.py", flags=flags)


def precision(setup: Setup) -> str:
    """The name of a mixed-precision recipe."""
    return f"{setup.job.recipe.activations}_mixed"


def keys_of(setup: Setup, own: Program) -> dict[str, Any]:
    """Every field behind its section."""
    keys = megatron_keys(own.flags, find_format("bridge"))
    model = setup.job.model
    keys = dict.fromkeys(("hidden_dropout", "attention_dropout"), 0.1) | keys
    keys |= {"seq_length": setup.job.workload.seq, "share_embeddings_and_output_weights": model.tied_embeddings}
    if model.mlp != "gelu":
        keys |= {"gated_linear_unit": model.mlp == "glu", "activation_func": ACTIVATIONS[model.mlp]}
    if "moe_layer_freq" in keys:
        keys["moe_layer_freq"] = moe_layers(str(keys["moe_layer_freq"]), model.layers)
    keys |= {"cpu_offloading": True} if "cpu_offloading_num_layers" in keys else {}
    keys |= {"attention_backend": megatron.backend(setup.job)} if not setup.job.flash else {}
    kept = renamed({name: value for name, value in keys.items() if name not in IMPLIED}, NAMES)
    section = {name: part for part, names in SECTIONS.items() for name in names}
    return {f"{section.get(name, 'model')}.{name}": value for name, value in kept.items()}


ACTIVATIONS = {"glu": "silu", "relu": "relu", "relu2": "squared_relu"}
"""Names of utils/activation_map.py."""

JOB_RULES = (
    Rule(
        "bridge_attention",
        lambda job, plan: job.flash,
        "an override cannot name the kernel of attention, which is an enumeration: --attention flash",
        "Megatron-Bridge training/utils/omegaconf_utils.py",
    ),
    Rule(
        "bridge_latent",
        lambda job, plan: job.model.mla is None,
        "{model} has latent attention, whose fields the provider of the plain recipe does not have",
        "Megatron-Bridge models/gpt_provider.py",
    ),
)

TARGET = Target(
    "megatron-bridge",
    "Megatron-Bridge",
    "Megatron-Bridge 067f987d (2026-08-22)",
    (*megatron.TARGET.rules, *JOB_RULES),
    program,
    flag_lines,
    f"overrides of the recipe {RECIPE}",
    {name: values for name, values in megatron.EXPRESSES.items() if name != "recipe"},
)
