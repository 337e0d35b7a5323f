"""ds_config.json: what is in it, what DeepSpeed cannot run, and that a plan comes back from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.launch.deepspeed import BUCKET, TARGET, config
from planner.launch.program import Setup
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup

TOP = {
    *("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "steps_per_print"),
    *("gradient_clipping", "bf16", "fp16", "optimizer", "zero_optimization", "activation_checkpointing"),
    *("pipeline", "tensor_parallel", "expert_parallel"),
}


def written(wanted: Setup) -> dict[str, Any]:
    """The JSON, read back."""
    return dict(json.loads(TARGET.bare(TARGET.program(wanted))))


def reread(found: dict[str, Any], gpus: int) -> dict[str, int]:
    """The part of a plan that a ds_config states."""
    pp = found.get("pipeline", {}).get("stages", 1)
    tp = found.get("tensor_parallel", {}).get("autotp_size", 1)
    full = found["pipeline"]["activation_checkpoint_interval"] if pp > 1 else "activation_checkpointing" in found
    return {
        "zero": found["zero_optimization"]["stage"],
        "b": found["train_micro_batch_size_per_gpu"],
        "m": found["gradient_accumulation_steps"],
        "pp": pp,
        "tp": tp,
        "dp": gpus // (pp * tp),
        "full": bool(full),
    }


def test_a_whole_file() -> None:
    """ZeRO-1 beside a pipeline: no overlap, one layer per checkpoint."""
    found = written(setup(dense(), "8xA100", pp=4, zero=1, b=2, recompute_layers=3))
    assert list(found)[:3] == ["train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"]
    assert [found[name] for name in list(found)[:3]] == [64, 2, 16]
    assert found["zero_optimization"] == {
        "stage": 1,
        "contiguous_gradients": True,
        "overlap_comm": False,
        "reduce_scatter": True,
        "reduce_bucket_size": BUCKET,
        "allgather_bucket_size": BUCKET,
    }
    assert found["pipeline"] == {"stages": 4, "activation_checkpoint_interval": 1}
    assert found["bf16"] == {"enabled": True}


def test_stage_three_gathers_by_matrix() -> None:
    """Buckets follow the hidden size."""
    section = written(setup("llama3-8b", "8xA100", zero=3))["zero_optimization"]
    assert section["reduce_bucket_size"] == 4096 * 4096
    assert section["stage3_param_persistence_threshold"] == 40960
    assert "allgather_bucket_size" not in section


def test_states() -> None:
    """Offload, pure bf16, fp16."""
    offloaded = written(setup(dense(), "8xA100", zero=2, offload="optimizer"))
    assert offloaded["zero_optimization"]["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    pure = written(setup(dense(), "8xA100", zero=2, optimizer="adam-bf16"))
    assert pure["bf16"] == {"enabled": True, "bf16_master_weights_and_grads": True, "bf16_optimizer_states": True}
    assert written(setup(dense(), "8xA100", precision="fp16"))["fp16"]["enabled"]


def test_autotp_leaves_the_global_batch_out() -> None:
    """DeepSpeed holds it to b * m * all ranks, tp among them (runtime/config.py)."""
    wanted = setup(dense(), "8xA100", tp=4)
    assert "train_batch_size" not in written(wanted)
    assert any("train_batch_size (64)" in note for note in TARGET.program(wanted).notes)


def test_experts() -> None:
    """AutoEP with the family's preset."""
    mixtral = dense(family="mixtral", moe=EXPERTS)
    assert written(setup(mixtral, "8xA100", ep=4, zero=1))["expert_parallel"] == {
        "enabled": True,
        "autoep_size": 4,
        "preset_model": "mixtral",
    }
    assert "one of AutoEP's families" in said(TARGET, setup(dense(moe=EXPERTS), "8xA100", ep=4, zero=1))


@pytest.mark.parametrize("wanted", draw(TARGET, "megatron-deepspeed"), ids=lambda s: str(s.plan.degrees.values()))
def test_a_plan_comes_back(wanted: Setup) -> None:
    """Every degree, the batch and the recomputation."""
    plan = wanted.plan
    found = written(wanted)
    assert set(found) <= TOP
    back = reread(found, wanted.job.cluster.gpus)
    assert back.pop("full") == (plan.recompute_layers > 0)
    assert back == {name: getattr(plan, name) for name in back}
    assert found.get("train_batch_size", 64) == plan.b * plan.m * plan.dp == 64


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"pp": 2, "v": 2}, "deepspeed_schedule", "1f1b only, not interleaved"),
        ({"pp": 2, "zero": 2}, "deepspeed_zero_pipeline", "pp=2 with zero=2; ZeRO 2 needs pp=1"),
        ({"pp": 2, "head": 1}, "deepspeed_layers", "head=1"),
        ({"cp": 2}, "deepspeed_context", "cp=2 has to be 1"),
        ({"offload": "optimizer"}, "deepspeed_states", "not zero=0"),
        ({"tp": 2, "pp": 2}, "deepspeed_tensor_pipeline", "tp=2 needs pp=1, or pp=2 needs tp=1"),
        ({"tp": 2, "sp": 1}, "deepspeed_sequence_parallel", "sp=1 has to be 0"),
        ({"recompute_layers": 5}, "deepspeed_recompute", "k=5"),
        ({"optimizer": "adam-8bit", "zero": 1}, "deepspeed_optimizer", "adam or adam-bf16"),
        ({"optimizer": "adam-bf16", "zero": 1, "precision": "fp16"}, "deepspeed_precision", "bf16"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")


def test_byte_stable() -> None:
    """The same plan, the same bytes; keys in the order of the sections."""
    wanted = setup(dense(), "8xA100", zero=3)
    assert TARGET.program(wanted) == TARGET.program(wanted)
    assert list(config(wanted))[-2:] == ["optimizer", "zero_optimization"]
