"""What Megatron-Bridge's recipes, and its names of precisions, set that a file or command names by them alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from planner.launch.megatron_layout import read_layout
from planner.read.job import Job
from planner.read.recipes import VERSION, first_tuned, is_tuned, precision, settings
from planner.read.tree import Leaf, Tree

RECIPE = re.compile(r"(\w+?)_(pretrain|sft|peft|finetune|lora|dora)(?:_\w+)?")
"""Recipes of NeMo and Megatron-Bridge: llama3_70b_pretrain_config, qwen3_30b_a3b_sft_8gpu_h100_bf16_config."""

PLAIN = "vanilla_gpt"
"""The recipe that begins with Megatron-LM's own defaults."""

LAYOUT = "pipeline_model_parallel_layout"
SECTIONS = ("model", "optimizer", "ddp")
FIELDS = re.compile(
    r"fp[48](_recipe|_param|_param_gather)?|(first_last_layers|num_layers_at_\w+_in)_bf16|grad_reduce.*"
)
"""Fields of these sections that a precision sets anew when the run starts (training/mixed_precision.py, setup)."""


def overwritten(tree: Tree) -> dict[str, Leaf]:
    """Keys that the run never sees: `mixed_precision`, which every recipe has, sets these fields of its sections."""
    none = "mixed_precision" in tree and tree.get("mixed_precision") is None
    named = _named(tree) is not None or any(key.startswith("mixed_precision") for key in tree.leaves)
    parts = {key: key.partition(".") for key in tree.leaves} if named and not none else {}
    return {key: tree.leaves[key] for key, (at, _, name) in parts.items() if at in SECTIONS and FIELDS.fullmatch(name)}


def unseen(leaf: Leaf) -> str:
    """What is said of such a key."""
    return f"{leaf.key} has no effect: mixed_precision sets it anew when the run starts"


def shipped(job: Job, tree: Tree) -> dict[str, Any]:
    """Keys that the recipe and the precision set; names the model and the method in the recipe's name."""
    leaf = _named(tree)
    found = _recipe(job, leaf) if leaf is not None else {}
    _place(job, tree, found)
    said = tree.leaves.get("mixed_precision")
    if said is None:
        return (precision(str(found.pop("mixed_precision", "bf16_mixed"))) or {}) | found
    keys = precision(str(said.value))
    if keys is None and said.value is not None:
        job.name(said, ("memory", "time", "legality"), "no precision of Megatron-Bridge by this name is known")
    return {key: value for key, value in found.items() if not FIELDS.fullmatch(key)} | (keys or {})


def _named(tree: Tree) -> Leaf | None:
    whole, leaf = tree.leaves.get("recipe"), tree.leaves.get("model_recipe_name")
    if whole is None and leaf is not None and isinstance(leaf.value, str):
        return replace(leaf, value=_benchmark(tree, leaf.value))
    return whole if whole is not None and isinstance(whole.value, str) else None


def _benchmark(tree: Tree, name: str) -> str:
    """The recipe that run_script.py finds by its options: for as many GPUs, else the first (utils/utils.py)."""
    task, gpus, gpu, dtype, variant = (
        str(tree.get(key) or "").lower() for key in ("task", "num_gpus", "gpu", "compute_dtype", "config_variant")
    )
    if not gpu:
        return name
    start = f"{name}_{task or 'pretrain'}"
    end = "_".join([gpu, dtype.replace("_", ""), *([variant] if variant not in ("", "v1", "v2") else [])])
    whole = f"{start}_{gpus}gpu_{end}"
    return whole if is_tuned(whole) else first_tuned(start, end) or whole


def _place(job: Job, tree: Tree, found: dict[str, Any]) -> None:
    """A recipe's layout under other degrees: DeepSeek-V3's is made anew (utils/overrides.py), others cannot be kept."""
    keys, key = ("pipeline_model_parallel_size", "virtual_pipeline_model_parallel_size"), LAYOUT
    if key in tree or not set(keys) <= tree.leaves.keys() or key not in found:
        return
    pp, stages = tree.get(keys[0], 1), tree.get(keys[0], 1) * tree.get(keys[1], 1)
    if tree.get("model_recipe_name") == "deepseek_v3" and {pp, stages} <= {4, 8, 16}:
        each, last = 64 // stages, "m" * found.get("mtp_num_layers", 0)
        found[key] = f"Et*{each}|(t*{each}|)*{stages - 2}{'t' * (each - 3)}{last}L"
    elif len(read_layout(found[key])) != stages:
        job.notes.append(f"the recipe's layout {found.pop(key)} is not for {stages} stages: layers are split evenly")


def timed_as(tree: Tree) -> str:
    """The preset of performance recipes, which overlap all that they can; "" for others."""
    leaf = _named(tree)
    return "megatron-core-tuned" if leaf is not None and is_tuned(leaf.value.rpartition(".")[2]) else ""


def _recipe(job: Job, leaf: Leaf) -> dict[str, Any]:
    """What a recipe sets; of those that are not known it is named that they are not."""
    if leaf.value.startswith(PLAIN):
        return {"moe_token_dispatcher_type": "allgather"}
    name = leaf.value.rpartition(".")[2]
    if found := RECIPE.fullmatch(name):
        model = re.sub(r"^(llama3|qwen2|glm4)([1-7])_", r"\1_\2_", found[1])
        job.values.setdefault("model", re.sub(r"_\d+b$", "", model) if model.startswith("glm4") else model)
        if found[2] in ("peft", "lora", "dora"):
            job.values["method"], job.said["method"] = "lora", leaf
    keys = settings(name)
    if not keys:
        why = "what the recipe sets and the file does not is taken at Megatron-LM's default"
        job.name(leaf, ("memory", "time", "legality"), why)
        return {"mixed_precision": next((word for word in name.split("_") if precision(word)), "bf16_mixed")}
    job.values["model"] = keys.get("model", job.get("model"))
    job.notes.append(f"{name:.80} is read as Megatron-Bridge has it in {VERSION}; the file's own keys win")
    return dict(keys)
