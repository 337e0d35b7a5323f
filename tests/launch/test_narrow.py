"""Recipes below 16 bit as Megatron-LM and torchtitan are asked for them."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from planner.catalog.recipes import packaged_recipe
from planner.launch import megatron, megatron_bridge, megatron_core, torchtitan
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import Plan
from planner.read.question import GIVEN, NAMES, understood
from planner.read.reading import Reading
from planner.read.torchtitan import read_torchtitan
from planner.schema.workload import Workload
from tests.jobs import job, library
from tests.launch.test_megatron_checks import flags, read
from tests.launch.test_round_trip import read as round_trip
from tests.launch.test_round_trip import written

NARROW = [name for name in library().names("recipe") if not packaged_recipe(name).wide]
OPTIONS: list[dict[str, Any]] = [{}, {"fp8_param_gather": True}, {"bf16_first": 2, "bf16_last": 1}]
SAID: tuple[dict[str, Any], dict[str, Any]] = dict.fromkeys(NAMES), dict.fromkeys(GIVEN)
PLAN = Plan(tp=2, pp=2, dp=2, m=4, sp=1, zero=1)


def setup(name: str, framework: str = "megatron-core", plan: Plan = PLAN, **workload: Any) -> Setup:
    """Llama 3 8B on a node that has every format."""
    return Setup(job("llama3-8b", "8xB200", framework, seq=8192, batch=8, precision=name, **workload), plan)


@pytest.mark.parametrize(("name", "options"), list(product(NARROW, OPTIONS)))
def test_megatron_round_trip(name: str, options: dict[str, Any]) -> None:
    """What is written reads back as the same workload, and Megatron's own checks pass."""
    wanted = setup(name, **options)
    if packaged_recipe(name).spelled.megatron is None:
        assert refusal(TARGETS["megatron"], wanted) is not None
        return
    if name == "fp8" and "bf16_first" in options:
        assert [r.name for r in megatron.TARGET.rules if not r.holds(wanted.job, wanted.plan)] == [
            "megatron_wide_layers"
        ]
        return
    found = read(megatron.TARGET.bare(megatron.program(wanted)), world=8)
    assert not found.problems
    assert Workload(**found.workload) == wanted.job.workload


def test_megatrons_defaults() -> None:
    """--fp8-format alone is delayed scaling; of --first-last-layers-bf16 one layer stays at each end."""
    assert read(flags(fp8_format="e4m3")).workload["precision"] == "fp8"
    said = read(flags(fp8_format="e4m3", fp8_recipe="blockwise", first_last_layers_bf16="")).workload
    assert {k: said[k] for k in ("precision", "bf16_first", "bf16_last")} == {
        "precision": "fp8-blockwise",
        "bf16_first": 1,
        "bf16_last": 1,
    }
    custom = read(flags(fp8_format="e4m3", fp8_recipe="custom"))
    assert custom.workload["precision"] == "bf16"
    assert [one.said for one in custom.not_modelled if "16 bit" in one.why] == ["--fp8-recipe custom"]


def test_weights_need_the_distributed_optimizer() -> None:
    """Megatron-LM training/arguments.py."""
    wanted = setup("mxfp8", plan=Plan(tp=2, pp=2, dp=2, m=4, sp=1), fp8_param_gather=True)
    assert [r.name for r in megatron.TARGET.rules if not r.holds(wanted.job, wanted.plan)] == ["megatron_param_gather"]


def test_fields_of_megatron_core() -> None:
    """Names of TransformerConfig."""
    fields = megatron_core.transformer(setup("nvfp4", fp8_param_gather=True, bf16_last=4))
    assert {k: fields[k] for k in ("bf16", "fp4", "fp4_recipe", "fp4_param", "num_layers_at_end_in_bf16")} == {
        "bf16": True,
        "fp4": "e2m1",
        "fp4_recipe": "nvfp4",
        "fp4_param": True,
        "num_layers_at_end_in_bf16": 4,
    }


@pytest.mark.parametrize("name", NARROW)
def test_torchtitan_round_trip(name: str) -> None:
    """Written where torchtitan has a converter for it, refused by name elsewhere."""
    wanted = setup(name, "torchtitan", Plan(dp=8, zero=3))
    if packaged_recipe(name).spelled.torchtitan is None:
        refused = refusal(TARGETS["torchtitan"], wanted)
        assert refused is not None
        assert name in refused.message(wanted.job, wanted.plan)
        return
    (file,) = torchtitan.program(wanted).files
    assert read_torchtitan(file.text, 8).workload["precision"] == name


@pytest.mark.parametrize("target", ["deepspeed", "accelerate", "colossalai", "megatron-deepspeed", "pytorch"])
def test_others_have_no_name_for_them(target: str) -> None:
    """Nothing is written in 16 bit instead."""
    refused = refusal(TARGETS[target], setup("fp8", "any", Plan(dp=8, zero=1)))
    assert refused is not None
    assert refused.name == "recipe"


@pytest.mark.parametrize(("name", "options"), list(product(NARROW, OPTIONS)))
def test_bridge_round_trip(name: str, options: dict[str, Any]) -> None:
    """By the name of Bridge's own recipe where it has the same settings, as an object of all of them elsewhere."""
    wanted = setup(name, **options)
    refused = refusal(TARGETS["megatron-bridge"], wanted)
    if packaged_recipe(name).spelled.megatron is None or (name == "fp8" and "bf16_first" in options):
        assert refused is not None
        return
    assert refused is None
    for files in written("megatron-bridge", wanted, megatron_bridge.program(wanted)):
        back, reading = round_trip(files)
        assert not reading.problems and not reading.not_modelled
        assert back.job.workload == wanted.job.workload


BRIDGES: list[tuple[str, dict[str, Any]]] = [
    ("mixed_precision=bf16_mixed", {"precision": "bf16"}),
    ("mixed_precision=fp16_mixed", {"precision": "fp16"}),
    ("mixed_precision=bf16-with-mxfp8-mixed", {"precision": "mxfp8", "fp8_param_gather": True}),
    (
        "mixed_precision=bf16_with_fp8_current_scaling_mixed",
        {"precision": "fp8-current", "fp8_param_gather": True, "bf16_first": 1, "bf16_last": 1},
    ),
    (
        "mixed_precision=bf16_with_fp8_current_scaling_mixed mixed_precision.first_last_layers_bf16=false",
        {"precision": "fp8-current", "fp8_param_gather": True, "bf16_first": None},
    ),
    (
        "mixed_precision=nemotron_3_super_bf16_with_nvfp4_mixed",
        {"precision": "nvfp4", "bf16_first": 0, "bf16_last": 14},
    ),
    ("mixed_precision=null model.fp8=hybrid model.fp8_recipe=tensorwise", {"precision": "fp8-current"}),
    ("model.fp8=hybrid model.fp8_recipe=tensorwise", {"precision": "bf16"}),
]


@pytest.mark.parametrize(("words", "wanted"), BRIDGES)
def test_bridges_names_are_read(words: str, wanted: dict[str, Any]) -> None:
    """training/mixed_precision.py of Megatron-Bridge: its recipe sets the model's fields anew when the run starts."""
    reading = bridge(words)
    assert {name: reading.workload.get(name) for name in wanted} == wanted
    assert any("model.fp8 has no effect" in note for note in reading.notes) == words.startswith("model.fp8")


def bridge(words: str) -> Reading:
    """Llama 3 8B by its recipe, with more words."""
    text = f"torchrun scripts/training/run_recipe.py --recipe llama3_8b_pretrain_config {words}"
    return understood(text, library(), {}.get, SAID[0] | {"gpus": "8xB200"}, SAID[1], {})[1]


def test_bridges_gradients_are_the_precisions() -> None:
    """`ddp`'s own format is set anew; of the precision's object it counts."""
    halved = bridge("mixed_precision.grad_reduce_in_fp32=false").preset
    assert halved["gradient_bytes"] == 2.0
    assert "gradient_bytes" not in bridge("ddp.grad_reduce_in_fp32=false").preset


def test_a_strange_precision_of_bridge_is_named() -> None:
    """A recipe of somebody's own."""
    assert [one.option for one in bridge("mixed_precision=my_own_mixed").not_modelled] == ["mixed_precision"]


def test_performance_recipes_say_their_precision() -> None:
    """The last word of a name of perf_recipes, whatever else is not known of it."""
    text = "torchrun run_recipe.py --recipe llama3_8b_pretrain_9gpu_b200_fp8mx_config model.seq_length=4096"
    reading = understood(text, library(), {}.get, SAID[0] | {"gpus": "8xB200"}, SAID[1], {})[1]
    assert reading.workload["precision"] == "mxfp8"


AUTOMODEL = """recipe: TrainFinetuneRecipeForNextTokenPrediction
step_scheduler: {global_batch_size: 32, local_batch_size: 1}
model: {pretrained_model_name_or_path: meta-llama/Llama-3.1-8B}
distributed: {strategy: fsdp2}
dataset: {seq_length: 4096}
fp8: {%s}
"""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("enabled: true", {"precision": "fp8-current"}),
        ("enabled: true, recipe_name: rowwise", {"precision": "fp8-rowwise"}),
        ("enabled: true, enable_fsdp_float8_all_gather: true", {"precision": "fp8-current", "fp8_param_gather": True}),
        ("enabled: false, recipe_name: rowwise", {"precision": "bf16"}),
    ],
)
def test_automodel_is_read(said: str, wanted: dict[str, Any]) -> None:
    """FP8Config of nemo_automodel/components/quantization/fp8.py."""
    reading = understood(AUTOMODEL % said, library(), {}.get, SAID[0] | {"gpus": "8xH100"}, SAID[1], {})[1]
    assert {name: reading.workload.get(name) for name in wanted} == wanted
    assert not reading.not_modelled


@pytest.mark.parametrize(
    ("base", "module", "wanted"),
    [("llama3_405b", "llama3", "fp8-rowwise"), ("llama3_8b_mxfp8", "llama3", "mxfp8"), ("llama3_8b", "llama3", "bf16")],
)
def test_bases_of_torchtitans_registry(base: str, module: str, wanted: str) -> None:
    """Converters of models/*/config_registry.py; float8 is scaled by rows (components/quantization/float8.py)."""
    text = f"torchrun --nproc_per_node=8 -m torchtitan.train --module {module} --config {base}"
    reading = understood(text, library(), {}.get, SAID[0] | {"gpus": "16x8xB200"}, SAID[1], {})[1]
    assert reading.workload.get("precision", "bf16") == wanted


@pytest.mark.parametrize(
    ("recipe", "wanted"), [("", "fp8"), ("blockwise", "fp8-blockwise"), ("tensorwise", "fp8-current")]
)
def test_verls_megatron_is_read(recipe: str, wanted: str) -> None:
    """Fields of Megatron-Core's TransformerConfig, whose scaling is delayed unless told."""
    field = "actor_rollout_ref.actor.megatron.override_transformer_config"
    more = f" +{field}.fp8_recipe={recipe}" if recipe else ""
    text = (
        "python3 -m verl.trainer.main_ppo actor_rollout_ref.model.path=Qwen/Qwen3-8B data.train_batch_size=64 "
        "data.max_prompt_length=1024 data.max_response_length=3072 actor_rollout_ref.actor.ppo_mini_batch_size=64 "
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1 actor_rollout_ref.actor.strategy=megatron "
        f"actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2 +{field}.fp8=hybrid{more}"
    )
    reading = understood(text, library(), {}.get, SAID[0] | {"gpus": "8xH100"}, SAID[1], {})[1]
    assert reading.workload["precision"] == wanted
