"""Megatron-Bridge: the recipe that starts from Megatron-LM's defaults, with overrides of every field that a plan sets.

Fields: NVIDIA-NeMo/Megatron-Bridge src/megatron/bridge/training/config.py, models/gpt_provider.py,
recipes/gpt/h100/vanilla_gpt.py; what is started: scripts/training/run_recipe.py. A model that sees begins with its own
recipe (recipes/qwen_vl/h100/*.py, common.py), whose parallel plan is set anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import megatron, seeing
from planner.launch.described import table, target
from planner.launch.program import Program, Setup
from planner.launch.trees import megatron_keys, overrides, renamed
from planner.read.bridge import FIELDS
from planner.read.format import find_format
from planner.read.megatron_facts import moe_layers
from planner.read.recipes import precision_named

RECIPE, SCRIPT = "vanilla_gpt_pretrain_config", "scripts/training/run_recipe.py"

TABLE = table("megatron-bridge")


def program(setup: Setup) -> Program:
    """run_recipe.py with one override per field."""
    if setup.job.model.tower is not None and setup.job.model.name in TABLE["seeing"]:
        return seen(setup)
    own = megatron.program(setup)
    flags = (("--recipe", RECIPE), *overrides(keys_of(setup, own)))
    return replace(own, script=SCRIPT, flags=flags, notes=(*own.notes, *seeing.decoder_alone(setup)))


def seen(setup: Setup) -> Program:
    """The recipe of a model with a tower under the plan: shape, data and weights are the recipe's."""
    parts = (*megatron.PARALLEL, "recompute", *megatron.PRECISION, "batch", "run")
    own = replace(megatron.program(setup), flags=megatron.flags(setup, *parts))
    frozen = seeing.parts(setup)
    keys = TABLE["as_it_was"] | sectioned(megatron_keys(own.flags, find_format("bridge")))
    keys |= {"model.freeze_vision_model": frozen["tower"], "model.freeze_vision_projection": frozen["projector"]}
    keys |= {"dataset.seq_length": setup.job.workload.seq}
    words = (("--recipe", TABLE["seeing"][setup.job.model.name]), *overrides(keys))
    said = "receipts of CORD-v2 and 20 iterations: dataset, learning rate and length go behind the script's name"
    return replace(own, script=SCRIPT, flags=words, notes=(said, *seeing.notes(setup)))


def precision(half: str, fields: dict[str, Any]) -> Any:
    """The name of a mixed-precision recipe, or one made of fields where none has just these.

    An object takes the place of the recipe's name by its `_target_` (training/utils/omegaconf_utils.py).
    """
    if name := precision_named(half, fields):
        return name
    kind = {"_target_": f"torch.{TABLE['dtypes'][half]}", "_call_": False}
    made = {"_target_": MIXED, half: True, "params_dtype": kind, "pipeline_dtype": kind}
    return made | ({"grad_reduce_in_fp32": False} if half == "fp16" else {}) | fields


MIXED = "megatron.bridge.training.mixed_precision.MixedPrecisionConfig"


def keys_of(setup: Setup, own: Program) -> dict[str, Any]:
    """Every field behind its section."""
    keys = megatron_keys(own.flags, find_format("bridge"))
    model = setup.job.model
    keys = dict.fromkeys(("hidden_dropout", "attention_dropout"), 0.1) | keys
    keys |= {"seq_length": setup.job.workload.seq, "share_embeddings_and_output_weights": model.tied_embeddings}
    if model.mlp != "gelu":
        keys |= {"gated_linear_unit": model.mlp == "glu", "activation_func": TABLE["activations"][model.mlp]}
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
    out = {*TABLE["implied"].split(), *narrow}
    kept = renamed(
        {name: v for name, v in keys.items() if name not in out},
        TABLE["names"].split(),
    )
    section = {name: part for part, names in TABLE["sections"].items() for name in names.split()}
    found = {f"{section.get(name, 'model')}.{name}": value for name, value in kept.items()}
    return found | {"mixed_precision": precision("fp16" if "fp16" in keys else "bf16", narrow)}


REUSE = "reuse_grad_buf_for_mxfp8_param_ag"


TARGET = target("megatron-bridge", program, megatron.TARGET.rules, SEEING=TABLE["seeing"])
