"""train.toml of torchtitan 0.2.2."""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from planner.launch import torchtitan_registry
from planner.launch.program import Setup
from planner.launch.torchtitan import FLAVORS, TARGET, layers
from planner.plan import Plan
from planner.questions.train import recommend
from planner.stages import layers_per_chunk
from planner.training.space import Bounds
from tests import jobs
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup


def written(wanted: Setup) -> dict[str, dict[str, Any]]:
    """The TOML, read back with the few kinds of values that it has (tomllib is younger than Python 3.10)."""
    sections: dict[str, dict[str, Any]] = {}
    text = TARGET.bare(TARGET.program(wanted)).replace("[\n", "[").replace(",\n    ", ", ").replace(",\n]", "]")
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            rows = sections.setdefault(line.strip("[]"), {})
        else:
            name, value = line.split(" = ", 1)
            rows[name] = {"true": True, "false": False}[value] if value in ("true", "false") else literal_eval(value)
    return sections


def theirs(stages: int, count: int, first: int, last: int) -> list[int]:
    """torchtitan's own split (distributed/pipeline_parallel.py): both ends weigh more, spare layers go to the front."""
    each, spare = divmod(count + first + last, stages)
    sizes = [each + (stage < spare) for stage in range(stages)]
    return [sizes[0] - first, *sizes[1:-1], sizes[-1] - last]


def split(rows: dict[str, Any], count: int) -> list[int]:
    """Layers of every stage that a [parallelism] section asks for."""
    if "module_fqns_per_model_part" in rows:
        parts = rows["module_fqns_per_model_part"]
        assert next(name for part in parts for name in part) == "tok_embeddings"
        return [sum(name.startswith("layers.") for name in part) for part in parts]
    first, last = (rows[f"pipeline_parallel_{end}_stage_less_layers"] for end in ("first", "last"))
    stages = -(-(count + first + last) // rows["pipeline_parallel_layers_per_stage"])
    return theirs(stages, count, first, last)


def test_llama_405b() -> None:
    """As it was trained: 16 stages, both ends one layer short."""
    wanted = setup("llama3.1-405b", "16x8xH100", seq=8192, batch=128, tp=8, pp=16, sp=1, zero=0)
    found = written(wanted)
    assert found["model"] == {"name": "llama3", "flavor": "405B"}
    rows = found["parallelism"]
    assert rows["pipeline_parallel_layers_per_stage"] == 8
    assert rows["pipeline_parallel_first_stage_less_layers"] == rows["pipeline_parallel_last_stage_less_layers"] == 1


def test_batch_with_and_without_stages() -> None:
    """The pipeline cuts b*m; else m is gradient accumulation."""
    piped = written(setup(dense(), "8xA100", pp=2, zero=3, b=2))
    assert (piped["training"]["local_batch_size"], piped["training"]["global_batch_size"]) == (16, 64)
    assert piped["parallelism"]["pipeline_parallel_microbatch_size"] == 2
    assert written(setup(dense(), "8xA100", zero=3, b=2))["training"]["local_batch_size"] == 2


def test_sharding_and_replicas() -> None:
    """ZeRO-3 is dp_shard with weights given back, none is dp_replicate."""
    shard = written(setup(dense(), "8xA100", zero=3))["parallelism"]
    assert (shard["data_parallel_shard_degree"], shard["data_parallel_replicate_degree"]) == (8, 1)
    assert shard["fsdp_reshard_after_forward"] == "always"
    plain = written(setup(dense(), "8xA100"))["parallelism"]
    assert (plain["data_parallel_shard_degree"], plain["data_parallel_replicate_degree"]) == (1, 8)


def test_one_accelerator_has_nothing_to_shard() -> None:
    """Stage 0 is no stage that torchtitan would have to have."""
    of = jobs.job("llama3.2-1b", "1xH100", "torchtitan", seq=4096, batch=16)
    found = recommend(of, Bounds(), exact=True).ranked[0]
    assert found.plan.zero == 0 and broken(TARGET, Setup(of, found.plan)) == []
    assert written(Setup(of, found.plan))["parallelism"]["data_parallel_shard_degree"] == 1


def test_recomputation() -> None:
    """None, one layer in n, all."""
    modes = {
        k: written(setup(dense(), "8xA100", zero=3, recompute_layers=k))["activation_checkpoint"] for k in (0, 4, 12)
    }
    assert modes == {0: {"mode": "none"}, 4: {"mode": "selective", "selective_ac_option": "3"}, 12: {"mode": "full"}}


def test_experts() -> None:
    """Experts' matrices are split over a degree of their own."""
    rows = written(setup(dense(moe=EXPERTS), "8xA100", tp=2, sp=1, zero=3, ep=4, etp=2))["parallelism"]
    assert (rows["expert_parallel_degree"], rows["expert_tensor_parallel_degree"]) == (4, 2)


def test_pure_bf16() -> None:
    """No fp32 copy."""
    assert written(setup(dense(), "8xA100", zero=3, optimizer="adam-bf16"))["training"]["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    "name", ["llama3-8b", "llama3.3-70b", "llama3.1-405b", "qwen3-32b", "qwen3-30b-a3b", "deepseek-v3"]
)
def test_registered_models(name: str) -> None:
    """By shape, whatever the profile is called."""
    found = written(setup(jobs.model(name), "64x8xH100", batch=4096, zero=3))["model"]
    assert (found["name"], found["flavor"]) in FLAVORS.values()


def test_other_shapes_have_to_be_registered() -> None:
    """The note says where."""
    wanted = setup("llama3.2-1b", "8xA100", zero=3)
    assert written(wanted)["model"]["flavor"] == "llama3.2-1b"
    assert any("torchtitan/models/llama3/__init__.py" in note for note in TARGET.program(wanted).notes)


@pytest.mark.parametrize("wanted", draw(TARGET, "torchtitan", count=120), ids=lambda s: str(s.plan.degrees.values()))
def test_drawn_plans(wanted: Setup) -> None:
    """Degrees make the world, the batch is the plan's, and torchtitan's split is too."""
    plan, found = wanted.plan, written(wanted)
    rows, train = found["parallelism"], found["training"]
    names = (
        "data_parallel_replicate",
        "data_parallel_shard",
        "tensor_parallel",
        "context_parallel",
        "pipeline_parallel",
    )
    product = 1
    for name in names:
        product *= rows[f"{name}_degree"]
    assert product == wanted.job.cluster.gpus
    micro = rows.get("pipeline_parallel_microbatch_size", train["local_batch_size"])
    assert micro == plan.b
    assert train["global_batch_size"] % (train["local_batch_size"] * plan.dp) == 0
    if plan.pp > 1:
        chunks = layers_per_chunk(12, plan)
        assert split(rows, 12) == [rank[chunk] for chunk in range(plan.v) for rank in chunks]


@pytest.mark.parametrize("order", [[3, 3], [2, 3, 3, 2], [5, 5, 5, 1], [4, 3, 4, 1], [1, 0], [6, 5, 6, 6, 4]])
def test_every_split_can_be_said(order: list[int]) -> None:
    """With three numbers or with names."""
    assert split(layers(order), sum(order)) == order


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"zero": 1}, "torchtitan_zero", "not zero=1"),
        ({"pp": 2}, "torchtitan_zero", "dp=4, tp=1, cp=1, pp=2"),
        ({"pp": 8}, "torchtitan_mixed_precision", "pp=8"),
        ({"tp": 2, "zero": 3}, "torchtitan_sequence_parallel", "tp=2"),
        ({"cp": 4, "zero": 3, "seq": 260}, "torchtitan_sequence_length", "2*4*1 does not divide the sequence of 260"),
        ({"recompute_layers": 5, "zero": 3}, "torchtitan_recompute", "k=5"),
        ({"pp": 2, "b": 16, "zero": 3}, "torchtitan_batches", "m=1 is below pp=2"),
        ({"precision": "fp16", "zero": 3}, "torchtitan_precision", "bf16"),
        ({"optimizer": "adam-8bit", "zero": 3}, "torchtitan_optimizer", "adam or adam-bf16"),
        ({"method": "lora", "zero": 3}, "torchtitan_method", "LoRA"),
        ({"pp": 2, "v": 2, "schedule": "v-half", "zero": 3}, "torchtitan_schedule", "not v-half"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_one_layer_in_two_of_an_odd_number(tmp_path: Path) -> None:
    """activation_checkpoint.py counts layers and recomputes those whose number 2 divides: 13 of 27."""
    script = tmp_path / "train.toml"
    model = "[model]\nname = 'deepseek_v3'\nflavor = '16B'\n"
    script.write_text(f"{model}[activation_checkpoint]\nmode = 'selective'\nselective_ac_option = '2'\n")
    found = planner.check(script, "8xH100").to_dict()
    assert (found["plan"]["recompute_layers"], found["legal"]) == (13, True)


def test_whole_key_value_heads() -> None:
    """tests/unit_tests/test_tp_kv_heads_validation.py: tp = 4 and two key/value heads are refused, four are not."""
    plan: dict[str, Any] = {"tp": 4, "sp": 1, "zero": 3}
    assert "tp=4 has to divide the 2" in said(TARGET, setup(dense(kv_heads=2), "8xA100", **plan))
    wanted = setup(dense(kv_heads=4), "8xA100", **plan)
    assert all(np.all(rule.holds(wanted.job, wanted.plan)) for rule in TARGET.rules)


def test_models_without_pipelining() -> None:
    """Qwen 3 in 0.2.2."""
    assert "pp=2 has to be 1" in said(TARGET, setup("qwen3-32b", "8xA100", pp=2, zero=3))


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")


def test_the_registry_of_0_3_counts_sequences() -> None:
    """The release has batches of sequences, cut into micro-batches in a pipeline; tokens are counted after it."""
    one = jobs.job("llama3.1-70b", "4x8xH100", "torchtitan", seq=8192, batch=64)
    plan = Plan(tp=4, pp=8, dp=1, b=1, m=64, v=2, sp=1, zero=0, schedule="interleaved", recompute_layers=5)
    program = torchtitan_registry.TARGET.program(Setup(one, plan))
    said = {flag[0]: flag[1:] for flag in program.flags}
    assert said["--training.local_batch_size"] == ("64",) and said["--training.global_batch_size"] == ("64",)
    assert said["--training.seq_len"] == ("8192",)
    assert said["--parallelism.pipeline_parallel_microbatch_size"] == ("1",)
    assert not any("num_tokens" in name for name in said) and any("4121" in note for note in program.notes)
