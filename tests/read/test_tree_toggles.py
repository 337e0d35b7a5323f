"""Every key of a DeepSpeed JSON and of a torchtitan TOML, toggled: it moves the estimate or is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.launch.check import setup_of
from planner.launch.shell import Word
from planner.questions.train import rank
from planner.read.deepspeed import read_deepspeed
from planner.read.options import read_options
from planner.read.reading import Reading
from planner.read.table import Group, table
from planner.read.torchtitan import read_torchtitan
from planner.search import Candidate
from tests.jobs import cluster, framework, model

Tree = dict[str, Any]

DEEPSPEED: Tree = {"train_micro_batch_size_per_gpu": 1, "bf16.enabled": True, "zero_optimization.stage": 2}
TITAN: Tree = {
    "model.name": "llama3",
    "model.flavor": "8B",
    "training.local_batch_size": 4,
    "training.seq_len": 4096,
    "parallelism.tensor_parallel_degree": 2,
}
PIPED: Tree = {"parallelism.pipeline_parallel_degree": 2, "parallelism.fsdp_reshard_after_forward": "always"}
FLOAT8: Tree = {"model.converters": ["quantize.linear.float8"]}

DEEPSPEED_TOGGLES: dict[str, tuple[Tree, Any]] = {
    "train_batch_size": ({"gradient_accumulation_steps": 2}, 64),
    "train_micro_batch_size_per_gpu": ({}, 2),
    "gradient_accumulation_steps": ({}, 4),
    "zero_optimization.stage": ({}, 3),
    "zero_optimization.offload_optimizer.device": ({}, "cpu"),
    "zero_optimization.cpu_offload": ({}, True),
    "bf16.enabled": ({"fp16.enabled": True}, False),
    "bfloat16.enabled": ({"bf16.enabled": None, "fp16.enabled": True}, True),
    "fp16.enabled": ({"bf16.enabled": None}, True),
    "bf16.bf16_optimizer_states": ({}, True),
    "optimizer.type": ({}, "Muon"),
    "zero_optimization.offload_param.device": (
        {"zero_optimization.stage": 3, "zero_optimization.offload_optimizer.device": "cpu"},
        "cpu",
    ),
    "data_types.grad_accum_dtype": ({}, "fp32"),
    "tensor_parallel.autotp_size": ({}, 2),
    "pipeline.stages": ({"zero_optimization.stage": 1}, 2),
    "pipeline.activation_checkpoint_interval": ({"zero_optimization.stage": 1, "pipeline.stages": 2}, 1),
    "activation_checkpointing.number_checkpoints": ({}, 32),
}
TITAN_TOGGLES: dict[str, tuple[Tree, Any]] = {
    "model.name": ({"model.flavor": "4B"}, "qwen3"),
    "model.flavor": ({}, "70B"),
    "parallelism.tensor_parallel_degree": ({}, 4),
    "parallelism.context_parallel_degree": ({}, 2),
    "parallelism.pipeline_parallel_degree": ({}, 2),
    "parallelism.data_parallel_shard_degree": ({"parallelism.data_parallel_replicate_degree": 2}, 1),
    "parallelism.data_parallel_replicate_degree": ({}, 2),
    "parallelism.expert_parallel_degree": ({"model.name": "qwen3", "model.flavor": "30B-A3B"}, 4),
    "parallelism.expert_tensor_parallel_degree": (
        {"model.name": "qwen3", "model.flavor": "30B-A3B", "parallelism.expert_parallel_degree": 2},
        2,
    ),
    "parallelism.fsdp_reshard_after_forward": ({}, "never"),
    "parallelism.pipeline_parallel_schedule": (PIPED, "GPipe"),
    "parallelism.pipeline_parallel_microbatch_size": (PIPED, 2),
    "parallelism.pipeline_parallel_layers_per_stage": (
        PIPED | {"parallelism.pipeline_parallel_schedule": "Interleaved1F1B"},
        5,
    ),
    "parallelism.pipeline_parallel_first_stage_less_layers": (PIPED, 3),
    "parallelism.pipeline_parallel_last_stage_less_layers": (PIPED, 3),
    "parallelism.module_fqns_per_model_part": (
        PIPED,
        [["tok_embeddings", *(f"layers.{i}" for i in range(10))], [f"layers.{i}" for i in range(10, 32)]],
    ),
    "training.local_batch_size": ({}, 8),
    "training.global_batch_size": ({}, 64),
    "training.seq_len": ({}, 8192),
    "training.dtype": ({}, "bfloat16"),
    "training.enable_cpu_offload": ({}, True),
    "parallelism.expert_parallel_comm_backend": (
        {"model.name": "qwen3", "model.flavor": "30B-A3B", "parallelism.expert_parallel_degree": 4},
        "deepep",
    ),
    "parallelism.disable_loss_parallel": ({}, True),
    "activation_checkpoint.mode": ({}, "full"),
    "activation_checkpoint.selective_ac_option": ({}, "4"),
    "model.converters": ({}, ["quantize.linear.float8"]),
    "quantize.linear.float8.recipe_name": (FLOAT8, "rowwise"),
    "quantize.linear.mx.recipe_name": ({"model.converters": ["quantize.linear.mx"]}, "mxfp8_cublas"),
    "quantize.linear.float8.enable_fsdp_float8_all_gather": (FLOAT8, True),
    "parallelism.context_parallel_rotate_method": ({"parallelism.context_parallel_degree": 2}, "alltoall"),
    "compile.enable": ({}, True),
    "training.batch_size": ({"training.local_batch_size": None}, 2),
    "training.compile": ({}, True),
}
SAME = {"quantize.linear.mx.recipe_name"}
"""Its one modelled value is the default."""


def written(flat: Tree) -> Tree:
    """Dotted names as sections; None leaves a key out."""
    tree: Tree = {}
    for path, value in flat.items():
        *sections, last = path.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        if value is not None:
            place[last] = value
    return tree


def toml(flat: Tree) -> str:
    """As a file."""
    lines = []
    for path, value in flat.items():
        section, _, last = path.rpartition(".")
        if value is not None:
            lines.append((section, f"{last} = {json.dumps(value)}\n"))
    names = dict.fromkeys(section for section, _ in lines)
    return "".join(f"[{name}]\n" + "".join(line for where, line in lines if where == name) for name in names)


def deepspeed(flat: Tree) -> Reading:
    return read_deepspeed(json.dumps(written(flat)), 16)


def titan(flat: Tree) -> Reading:
    return read_torchtitan(toml(flat), 16)


def numbers(reading: Reading) -> tuple[Any, ...]:
    """Preset, seconds, bytes, the checks that fail, and the precision: fp16 costs what bf16 costs."""
    name = reading.model_name or "llama3-8b"
    preset = reading.timed_as or "deepspeed-zero3"
    known = {"llama3-70b": "llama3-70b", "qwen3-30b-a3b": "qwen3-30b-a3b", "qwen3-4b": "qwen3-4b"}
    broken = tuple(sorted(p.rule for p in reading.problems))
    found, _ = setup_of(reading, cluster("2x8xH100"), framework(preset), model(known.get(name, "llama3-8b")), seq=4096)
    if found.plan.gpus != 16:
        return preset, broken, found.plan
    estimate = rank(found.job, Candidate(found.plan, 0.0, 0.0))
    return preset, estimate.step_time, estimate.need, broken, found.job.workload.precision


@pytest.mark.parametrize("option", DEEPSPEED_TOGGLES)
def test_deepspeed_moves(option: str) -> None:
    """The estimate, or a check."""
    beside, value = DEEPSPEED_TOGGLES[option]
    before = DEEPSPEED | beside
    assert numbers(deepspeed(before)) != numbers(deepspeed(before | {option: value}))


@pytest.mark.parametrize("option", [name for name in TITAN_TOGGLES if name not in SAME])
def test_torchtitan_moves(option: str) -> None:
    """By the file; and an option of the command says the same."""
    beside, value = TITAN_TOGGLES[option]
    before = TITAN | beside
    after = numbers(titan(before | {option: value}))
    assert numbers(titan(before)) != after
    if isinstance(value, bool | int | str):
        words = [Word(f"--{option}", 1), Word(str(value), 1)]
        said = read_torchtitan(toml(before), 16, read_options(words, {}))
        assert numbers(said) == after


def modelled(name: str) -> list[str]:
    groups = [one for one in table(name).groups if one.kind == "modelled" and one.to != "keys of 2024"]
    return [option for group in groups for option in group.options]


def test_every_modelled_key_is_toggled() -> None:
    """Say in the dictionaries above what toggles a new one."""
    assert set(modelled("deepspeed")) <= set(DEEPSPEED_TOGGLES)
    assert set(modelled("torchtitan")) <= set(TITAN_TOGGLES)


def left_out(name: str) -> list[tuple[str, Group]]:
    groups = [one for one in table(name).groups if one.kind == "not_modelled"]
    return [(option, group) for group in groups for option in group.options]


@pytest.mark.parametrize(("option", "group"), left_out("deepspeed"), ids=str)
def test_deepspeed_names(option: str, group: Group) -> None:
    """What it does not model."""
    key = option.replace(".*", ".anything")
    (one,) = deepspeed(DEEPSPEED | {key: 7}).not_modelled
    assert (one.option, one.value, one.touches, one.why) == (key, "7", group.touches, group.why)


@pytest.mark.parametrize(("option", "group"), left_out("torchtitan"), ids=str)
def test_torchtitan_names(option: str, group: Group) -> None:
    """What it does not model, in the file and behind the command."""
    key = option.replace(".*", ".anything")
    (one,) = titan(TITAN | {key: "x"}).not_modelled
    assert (one.option, one.value, one.touches, one.why) == (key, "x", group.touches, group.why)
    words = [Word(f"--{key.replace('_', '-')}", 9), Word("x", 9)]
    (other,) = read_torchtitan(toml(TITAN), 16, read_options(words, {})).not_modelled
    assert (other.option, other.line) == (key, 9)


@pytest.mark.parametrize(
    ("stage", "value", "named"), [(3, True, False), (3, False, True), (1, False, False), (1, True, True)]
)
def test_overlap_is_the_stages(stage: int, value: bool, named: bool) -> None:
    """What DeepSpeed does by itself is not named."""
    found = deepspeed(DEEPSPEED | {"zero_optimization.stage": stage, "zero_optimization.overlap_comm": value})
    assert bool(found.not_modelled) == named
