"""Every modelled key of five formats, toggled: the estimate moves, or what the framework refuses. The rest is named."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog.library import open_library
from planner.launch.check import setup_of
from planner.questions.train import rank
from planner.read.configured import read_format
from planner.read.context import Context
from planner.read.format import find_format
from planner.read.job import FLAGS
from planner.read.question import _known
from planner.read.script import read_any
from planner.read.table import Group
from planner.read.tree import Leaf, Tree
from planner.search import Candidate
from tests.jobs import cluster, framework

LIBRARY = open_library()
Keys = dict[str, Any]

BASES: dict[str, Keys] = {
    "axolotl": {
        "base_model": "meta-llama/Llama-3.1-8B",
        "sequence_len": 4096,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 2,
        "bf16": True,
    },
    "torchtune": {
        "model._component_": "torchtune.models.llama3_1.llama3_1_8b",
        "tokenizer.max_seq_len": 4096,
        "batch_size": 1,
        "gradient_accumulation_steps": 2,
        "dtype": "bf16",
    },
    "verl": {
        "model.partial_pretrain": "meta-llama/Llama-3.1-8B",
        "data.max_length": 4096,
        "data.train_batch_size": 64,
        "data.micro_batch_size_per_gpu": 1,
    },
    "nanotron": {
        "model.dtype": "bfloat16",
        "model.model_config.hidden_size": 2048,
        "model.model_config.num_attention_heads": 16,
        "model.model_config.num_hidden_layers": 16,
        "model.model_config.vocab_size": 49152,
        "parallelism.dp": 16,
        "parallelism.tp": 1,
        "parallelism.pp": 1,
        "tokens.micro_batch_size": 2,
        "tokens.batch_accumulation_per_replica": 2,
        "tokens.sequence_length": 2048,
        "optimizer.zero_stage": 1,
    },
    "neox": {
        "num_layers": 24,
        "hidden_size": 2048,
        "num_attention_heads": 16,
        "seq_length": 2048,
        "pos_emb": "rotary",
        "model_parallel_size": 2,
        "pipe_parallel_size": 1,
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": 2,
        "zero_optimization.stage": 1,
        "fp16.enabled": True,
    },
}
"""The smallest job of each."""

VALUES: dict[str, tuple[Any, Any]] = {
    "model": ("Qwen/Qwen2.5-7B", "meta-llama/Llama-3.1-8B"),
    "component": ("torchtune.models.llama3_1.llama3_1_8b", "torchtune.models.llama3_1.lora_llama3_1_8b"),
    "loss_component": ("torch.nn.CrossEntropyLoss", "torchtune.modules.loss.LinearCrossEntropyLoss"),
    "method": ("lora", "qlora"),
    "targets": ("q_proj,k_proj,v_proj,o_proj", "gate_proj,up_proj,down_proj"),
    "optimizer": ("adamw", "adafactor"),
    "precision": ("bf16", "fp16"),
    "narrow": ("hybrid", None),
    "attention": ("flash_attention_2", "eager"),
    "recompute": ("full", "none"),
    "stage": ("sft", "dpo"),
    "rank": (8, 256),
    "seq": (2048, 4096),
    "batch": (64, 128),
    "zero": (0, 1),
    "prompt": (512, 2048),
    "response": (512, 2048),
    "rollouts": (1, 4),
    "schedule": ("1f1b", "afab"),
    "dist": (True, False),
    "tp_mode": ("REDUCE_SCATTER", "ALL_REDUCE"),
    "nodes": (1, 4),
    "per_node": (8, 4),
}
SHAPES: dict[str, tuple[Any, Any]] = {
    "model.model_config.tie_word_embeddings": (True, False),
    "model.model_config.hidden_act": ("silu", "gelu"),
    "model.model_config.head_dim": (128, 64),
    "mlp_type": ("regular", "llama"),
    "activation": ("gelu", "swiglu"),
    "norm": ("layernorm", "rmsnorm"),
    "pos_emb": ("rotary", "learned"),
    "no_weight_tying": (True, False),
    "use_bias_in_attn_linear": (True, False),
    "vocab_size": (50304, 100352),
    "make_vocab_size_divisible_by": (128, 16384),
    "tokenizer_type": ("GPT2BPETokenizer", "TikToken"),
    "hidden_dropout": (0, 0.1),
}
"""Keys of a shape that are no counts; counts are doubled."""

LORA: Keys = {"adapter": "lora", "lora_r": 64}
BESIDE: dict[str, Keys] = {
    "axolotl.rank": {"adapter": "lora"},
    "axolotl.targets": LORA,
    "axolotl.quantize_experts": {
        "base_model": "Qwen/Qwen3-30B-A3B",
        "adapter": "qlora",
        "fsdp_version": 2,
        "fsdp_config.reshard_after_forward": True,
    },
    "axolotl.dp_replicate": {"fsdp_version": 2, "fsdp_config.reshard_after_forward": True},
    "axolotl.dp_shard": {"fsdp_version": 2, "fsdp_config.reshard_after_forward": True},
    "axolotl.tp": {"fsdp_version": 2},
    "axolotl.ep": {"base_model": "Qwen/Qwen3-30B-A3B"},
    "axolotl.per_rank": {"gradient_accumulation_steps": None},
    "axolotl.sharding": {"fsdp_config.offload_params": False},
    "axolotl.gates": {
        "liger_fused_linear_cross_entropy": True,
        "fsdp_version": 2,
        "fsdp_config.reshard_after_forward": True,
    },
    "axolotl.cp": {"fsdp_version": 2},
    "torchtune.model": {"model._component_": None},
    "torchtune.rank": {"model._component_": "torchtune.models.llama3_1.lora_llama3_1_8b"},
    "torchtune.set": {
        "model._component_": "torchtune.models.llama3_1.lora_llama3_1_8b",
        "model.lora_attn_modules": ["q_proj", "k_proj", "v_proj", "output_proj"],
        "model.apply_lora_to_mlp": True,
    },
    "torchtune.offload": {"enable_activation_checkpointing": True},
    "verl.prompt": {"data.max_length": None, "data.max_response_length": 512},
    "verl.response": {"data.max_length": None, "data.max_prompt_length": 512},
    "verl.rollouts": {"actor_rollout_ref.actor.ppo_mini_batch_size": 64},
    "verl.nodes": {"trainer.n_gpus_per_node": 8},
    "verl.per_node": {"trainer.nnodes": 2},
    "verl.narrow": {"actor_rollout_ref.actor.megatron.tensor_model_parallel_size": 2},
    "verl.v": {"actor_rollout_ref.actor.megatron.pipeline_model_parallel_size": 2},
    "verl.sp": {"actor_rollout_ref.actor.megatron.tensor_model_parallel_size": 2},
    "verl.ep": {"model.partial_pretrain": "Qwen/Qwen3-30B-A3B"},
    "verl.etp": {
        "model.partial_pretrain": "Qwen/Qwen3-30B-A3B",
        "actor_rollout_ref.actor.megatron.tensor_model_parallel_size": 2,
    },
    "nanotron.tp_mode": {"parallelism.tp": 2, "parallelism.dp": 8},
    "nanotron.schedule": {"parallelism.pp": 2, "parallelism.dp": 8},
}
"""What has to stand beside a key, by format and field; None takes a key away."""

BEHIND: dict[str, Keys] = {
    "lora_target_linear": {"lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    **{f"{kernel}_attention": {"eager_attention": True} for kernel in ("flash", "sdp", "xformers", "flex", "sage")},
}
"""Another key of the same field behind a key that goes before it."""

NO_NUMBER = {
    "model.model_config.max_position_embeddings": "longer contexts cost nothing by themselves",
    "max_position_embeddings": "longer contexts cost nothing by themselves",
    "use_bias_in_norms": "a vector each",
    "mlp_multiple_of": "rounds a width that is not given",
    "fsdp_version": "both share the same states",
    "plugins": "what they switch on has keys of its own",
    "image_size": "of images, which no file counts",
}
"""Modelled without a number of their own, and why."""


COUNTED = ("nodes", "per_node", "dp")
"""Fields that the cluster goes before: a note says where they differ from it."""


def outcome(name: str, keys: Keys, noted: bool) -> tuple[Any, ...]:
    """Seconds, bytes, precision, what breaks and what is named; the notes, too, where they are the answer."""
    form = find_format(name)
    tree = Tree({key: Leaf(value, 1, key) for key, value in keys.items() if value is not None})
    reading = read_format(tree, form, Context(16, lookup=lambda one: _known(LIBRARY, one), nodes=2))
    model = reading.model or _known(LIBRARY, reading.model_name or "llama3.1-8b")
    preset = framework("hf-fsdp" if reading.plan.get("zero", 0) > 1 else "any")
    setup, notes = setup_of(reading, cluster("2x8xH100"), preset, model)
    named = tuple((one.option, one.value) for one in reading.not_modelled)
    rest = (named, reading.problems, setup.job.workload.precision, *((reading.notes, notes) if noted else ()))
    plan = setup.plan
    if plan.gpus != 16 or plan.b * plan.m * plan.dp != setup.job.workload.global_batch:
        return (plan, *rest)
    estimate = rank(setup.job, Candidate(plan, 0.0, 0.0))
    return (estimate.step_time, estimate.need, *rest)


def pair(group: Group, option: str, keys: Keys) -> tuple[Any, Any]:
    """Two values of a key that ought to differ."""
    field, switch, _ = group.to.partition("=")
    if option in SHAPES:
        return SHAPES[option]
    if field == "shape":
        return (keys.get(option, 4), keys.get(option, 4) * 2)
    if option == "model.lora_attn_modules":
        return ["q_proj", "k_proj", "v_proj", "output_proj"], []
    if option == "model.apply_lora_to_mlp" or switch or field in FLAGS:
        return True, False
    return VALUES.get(field, (1, 2))


MODELLED = [
    (name, group, option)
    for name in BASES
    for group in find_format(name).table.groups
    if group.kind == "modelled"
    for option in group.options
    if option not in NO_NUMBER
]


@pytest.mark.parametrize(("name", "group", "option"), MODELLED, ids=[f"{n}-{o}" for n, _, o in MODELLED])
def test_moves(name: str, group: Group, option: str) -> None:
    """By a key alone, the other keys of its field away."""
    form, field = find_format(name), group.to.partition("=")[0]
    keys = BASES[name] | BESIDE.get(f"{name}.{field}", {})
    own = {key for key in keys if field != "shape" and (one := form.table.group(key)) and one.to.split("=")[0] == field}
    around = {key: value for key, value in keys.items() if key != option and (key not in own or field == "set")}
    around |= BEHIND.get(option, {})
    one, other = (outcome(name, {option: value} | around, field in COUNTED) for value in pair(group, option, keys))
    assert one != other


@pytest.mark.parametrize("name", BASES)
def test_the_rest_is_named(name: str) -> None:
    """With what it touches and why, beside a real job."""
    form = find_format(name)
    rows = {option: group for option, group in form.table.rows.values() if group.kind == "not_modelled"}
    for option, group in rows.items():
        key = option.replace(".*", ".anything")
        if key.endswith("*"):
            continue
        tree = Tree({one: Leaf(value, 1, one) for one, value in (BASES[name] | {key: "zzz"}).items()})
        found = read_format(tree, form, Context(16, nodes=2)).not_modelled
        assert any(one.option == key and one.why and one.touches == group.touches for one in found), option


@pytest.mark.parametrize(("batch", "named"), [(16, True), (1, False)])
def test_evaluation_at_a_larger_batch_is_named(batch: int, named: bool) -> None:
    """Its logits are held, too, and nothing weighs them."""
    text = (
        "model_name_or_path: Qwen/Qwen2.5-7B\nstage: sft\nfinetuning_type: full\ndataset: d\ntemplate: qwen\n"
        f"cutoff_len: 2048\nper_device_train_batch_size: 1\nper_device_eval_batch_size: {batch}\neval_strategy: steps\n"
    )
    found = {one.option for one in read_any(text, Context(8)).not_modelled}
    assert ("per_device_eval_batch_size" in found) == named
