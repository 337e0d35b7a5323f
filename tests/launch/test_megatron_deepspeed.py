"""Megatron-DeepSpeed's flags and the JSON beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.launch.megatron_deepspeed import TARGET
from planner.launch.program import Setup
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup


def flags(wanted: Setup) -> dict[str, str | None]:
    """Options by name."""
    return {flag[0]: flag[1] if len(flag) > 1 else None for flag in TARGET.program(wanted).flags}


def beside(wanted: Setup) -> dict[str, Any]:
    """ds_config.json."""
    (file,) = TARGET.program(wanted).files
    return dict(json.loads(file.text))


def test_a_script() -> None:
    """Llama 2's names of 2023."""
    found = flags(setup("llama2-70b", "16x8xA100", seq=4096, batch=512, tp=8, pp=8, sp=1, zero=1))
    assert found["--num-key-value-heads"] == "8"
    assert found["--normalization"] == "rmsnorm"
    assert found["--pipeline-model-parallel-size"] == "8"
    assert found["--deepspeed_config"] == "ds_config.json"
    assert found["--zero-stage"] == "1"
    assert found["--vocab-size"] == "31999"
    assert {"--swiglu", "--use-rotary-position-embeddings", "--sequence-parallel", "--use-flash-attn-v2"} <= set(found)
    assert "--no-pipeline-parallel" not in found


def test_gpt2_is_the_default() -> None:
    """Learned positions, biases, dropout, tied embeddings: nothing is said."""
    found = flags(setup("gpt3-175b", "128xA100", seq=2048, batch=1536, tp=8, pp=16))
    for name in ("--normalization", "--disable-bias-linear", "--untie-embeddings-and-output-weights", "--swiglu"):
        assert name not in found


def test_without_stages() -> None:
    """The plain engine, which ZeRO-2 and 3 need."""
    assert "--no-pipeline-parallel" in flags(setup(dense(), "8xA100", zero=3))


def test_recomputation() -> None:
    """All, some, the attention core."""
    every = flags(setup(dense(), "8xA100", pp=2, recompute_layers=6))
    assert (every["--recompute-method"], every["--recompute-num-layers"]) == ("uniform", "1")
    some = flags(setup(dense(), "8xA100", recompute_layers=5))
    assert (some["--recompute-method"], some["--recompute-num-layers"]) == ("block", "5")
    core = flags(setup(dense(), "8xA100", modules=("core_attn",), attention="unfused"))
    assert core["--recompute-granularity"] == "selective"
    assert "--use-flash-attn-v2" not in core


def test_experts() -> None:
    """Sharded by tp like everything else; no partitioned sends between stages."""
    wanted = setup(dense(moe=EXPERTS), "8xA100", tp=2, pp=2, sp=1, ep=2, etp=2)
    found = flags(wanted)
    assert (found["--num-experts"], found["--topk"], found["--moe-expert-parallel-size"]) == ("4", "2", "2")
    assert "--enable-expert-tensor-parallelism" in found
    assert beside(wanted)["pipeline"]["pipe_partitioned"] is False


def test_offload() -> None:
    """Flag and section go together."""
    wanted = setup(dense(), "8xA100", zero=1, offload="optimizer")
    assert "--cpu-optimizer" in flags(wanted)
    assert beside(wanted)["zero_optimization"]["offload_optimizer"]["device"] == "cpu"


@pytest.mark.parametrize("wanted", draw(TARGET, "megatron-deepspeed"), ids=lambda s: str(s.plan.degrees.values()))
def test_flags_and_json_agree(wanted: Setup) -> None:
    """Batch, stage, degrees; one CUDA connection where sequence parallelism wants it."""
    plan, found, section = wanted.plan, flags(wanted), beside(wanted)
    assert int(str(found["--micro-batch-size"])) == section["train_micro_batch_size_per_gpu"] == plan.b
    assert int(str(found["--global-batch-size"])) == section["train_batch_size"] == 64
    assert section["gradient_accumulation_steps"] == plan.m
    assert int(str(found["--zero-stage"])) == section["zero_optimization"]["stage"] == plan.zero
    assert (plan.tp, plan.pp) == tuple(int(str(found[f"--{n}-model-parallel-size"])) for n in ("tensor", "pipeline"))
    assert plan.tp * plan.pp * plan.dp == wanted.job.cluster.gpus
    assert ("--no-pipeline-parallel" in found) == (plan.pp == 1)
    assert bool(TARGET.program(wanted).environment) == bool(plan.sp)


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"pp": 2, "v": 2}, "deepspeed_schedule", "interleaved"),
        ({"pp": 2, "zero": 3}, "deepspeed_zero_pipeline", "ZeRO 3 needs pp=1"),
        ({"pp": 2, "recompute_layers": 2}, "megatron_deepspeed_recompute", "pp=2"),
        ({"optimizer": "adam-bf16", "zero": 1}, "megatron_deepspeed_optimizer", "adam only"),
        ({"method": "lora"}, "megatron_deepspeed_method", "LoRA"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_shapes_that_it_has_no_words_for() -> None:
    """Latent attention, shared experts."""
    assert "megatron_deepspeed_attention" in broken(TARGET, setup("deepseek-v2-lite", "8xA100"))
    shared = dense(moe=EXPERTS | {"shared_experts": 1})
    assert "without shared experts" in said(TARGET, setup(shared, "8xA100"))


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")
