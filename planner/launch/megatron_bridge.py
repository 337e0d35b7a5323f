"""Megatron-Bridge: the recipe that starts from Megatron-LM's defaults, with overrides of every field that a plan sets.

Fields: NVIDIA-NeMo/Megatron-Bridge src/megatron/bridge/training/config.py, models/gpt_provider.py,
recipes/gpt/h100/vanilla_gpt.py; what is started: scripts/training/run_recipe.py. A model that sees begins with its own
recipe (recipes/qwen_vl/h100/*.py, common.py), whose parallel plan is set anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import megatron, seeing
from planner.launch.program import Program, Setup, Target, flag_lines
from planner.launch.trees import megatron_keys, overrides, renamed
from planner.plan import Plan, Truth
from planner.read.bridge import FIELDS
from planner.read.format import find_format
from planner.read.megatron_facts import moe_layers
from planner.read.recipes import precision_named
from planner.training.job import Job
from planner.training.rule import Rule

RECIPE, SCRIPT = "vanilla_gpt_pretrain_config", "scripts/training/run_recipe.py"

SEEING = {
    "qwen2.5-vl-3b": "qwen25_vl_3b_sft_1gpu_h100_bf16_config",
    "qwen2.5-vl-7b": "qwen25_vl_7b_sft_2gpu_h100_bf16_config",
    "qwen2.5-vl-32b": "qwen25_vl_32b_sft_16gpu_h100_bf16_config",
    "qwen2.5-vl-72b": "qwen25_vl_72b_sft_32gpu_h100_bf16_config",
    "qwen3-vl-8b": "qwen3_vl_8b_sft_2gpu_h100_bf16_config",
    "qwen3-vl-30b-a3b": "qwen3_vl_30b_a3b_sft_8gpu_h100_bf16_config",
    "qwen3-vl-235b-a22b": "qwen3_vl_235b_a22b_sft_32gpu_h100_bf16_config",
}
"""Recipes of models with a tower, by the catalogue's names."""

AS_IT_WAS = {
    "model.sequence_parallel": False,
    "model.virtual_pipeline_model_parallel_size": None,
    "model.recompute_granularity": None,
    "model.recompute_method": None,
    "model.recompute_num_layers": None,
    "model.cross_entropy_loss_fusion": False,
    "ddp.overlap_grad_reduce": False,
    "ddp.overlap_param_gather": False,
    "dataset.enable_in_batch_packing": False,
    "dataset.pad_to_max_length": True,
}
"""Of those recipes, what is to be as in the plain one where the plan does not say, and sequences that are whole."""

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
    "rerun_state_machine": ("check_for_nan_in_loss",),
    "optimizer": ("lr", "optimizer_cpu_offload", "use_precision_aware_optimizer"),
    "ddp": (
        "check_for_nan_in_grad",
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
    if setup.job.model.tower is not None and setup.job.model.name in SEEING:
        return seen(setup)
    own = megatron.program(setup)
    flags = (("--recipe", RECIPE), *overrides(keys_of(setup, own)))
    return replace(own, script=SCRIPT, flags=flags, notes=(*own.notes, *seeing.decoder_alone(setup)))


def seen(setup: Setup) -> Program:
    """The recipe of a model with a tower under the plan: shape, data and weights are the recipe's."""
    parts = (megatron.parallel_flags, megatron.recompute_flags, megatron.precision_flags, megatron.batch_flags)
    flags = [flag for part in parts for flag in part(setup)]
    own = replace(megatron.program(setup), flags=(*flags, *megatron.SHORT_RUN))
    frozen = seeing.parts(setup)
    keys = AS_IT_WAS | sectioned(megatron_keys(own.flags, find_format("bridge")))
    keys |= {"model.freeze_vision_model": frozen["tower"], "model.freeze_vision_projection": frozen["projector"]}
    keys |= {"dataset.seq_length": setup.job.workload.seq}
    words = (("--recipe", SEEING[setup.job.model.name]), *overrides(keys))
    said = "receipts of CORD-v2 and 20 iterations: dataset, learning rate and length go behind the script's name"
    return replace(own, script=SCRIPT, flags=words, notes=(said, *seeing.notes(setup)))


def precision(half: str, fields: dict[str, Any]) -> Any:
    """The name of a mixed-precision recipe, or one made of fields where none has just these.

    An object takes the place of the recipe's name by its `_target_` (training/utils/omegaconf_utils.py).
    """
    if name := precision_named(half, fields):
        return name
    kind = {"_target_": f"torch.{DTYPES[half]}", "_call_": False}
    made = {"_target_": MIXED, half: True, "params_dtype": kind, "pipeline_dtype": kind}
    return made | ({"grad_reduce_in_fp32": False} if half == "fp16" else {}) | fields


MIXED = "megatron.bridge.training.mixed_precision.MixedPrecisionConfig"
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


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
    keys |= {"use_te_rng_tracker": True} if "cuda_graph_impl" in keys else {}
    return sectioned(keys)


def sectioned(keys: dict[str, Any]) -> dict[str, Any]:
    """Fields under their own names, behind the sections that they stand in."""
    if keys.pop("check_for_nan_in_loss_and_grad", True) is False:
        keys |= dict.fromkeys(("check_for_nan_in_loss", "check_for_nan_in_grad"), False)
    narrow = {name: value for name, value in keys.items() if FIELDS.fullmatch(name) or name == REUSE}
    kept = renamed({name: v for name, v in keys.items() if name not in IMPLIED and name not in narrow}, NAMES)
    section = {name: part for part, names in SECTIONS.items() for name in names}
    found = {f"{section.get(name, 'model')}.{name}": value for name, value in kept.items()}
    return found | {"mixed_precision": precision("fp16" if "fp16" in keys else "bf16", narrow)}


REUSE = "reuse_grad_buf_for_mxfp8_param_ag"


ACTIVATIONS = {"glu": "silu", "relu": "relu", "relu2": "squared_relu"}
"""Names of utils/activation_map.py."""


def _context(job: Job, plan: Plan) -> Truth:
    """Qwen2.5-VL's module shares no sequence over cp, that of Qwen3-VL does."""
    return (plan.cp == 1) | (not job.model.name.startswith("qwen2.5-vl"))


JOB_RULES = (
    Rule(
        "bridge_tower",
        lambda job, plan: job.model.tower is None or job.model.name in SEEING or not job.workload.images,
        "Megatron-Bridge has no recipe for {model} with its vision tower, which --images is for",
        "Megatron-Bridge recipes/qwen_vl/h100",
    ),
    Rule(
        "bridge_tower_context",
        lambda job, plan: True if job.model.tower is None else _context(job, plan),
        "{model} is not split over cp={cp}: it has to be 1",
        "Megatron-Bridge models/qwen_vl/modeling_qwen25_vl.py",
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
    {name: values for name, values in megatron.EXPRESSES.items() if name != "attention"},
    towers=(*seeing.ALL, "absent"),
)
