"""HybridParallelPlugin's arguments."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from planner.launch.colossalai import TARGET
from planner.launch.program import Setup
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup


def arguments(wanted: Setup) -> dict[str, Any]:
    """ARGUMENTS of plan.py, calls as text."""
    tree = ast.parse(TARGET.bare(TARGET.program(wanted)))
    call = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENTS"
    )
    assert isinstance(call, ast.Call)
    return {
        str(word.arg): ast.unparse(word.value) if isinstance(word.value, ast.Call) else ast.literal_eval(word.value)
        for word in call.keywords
    }


def test_interleaved() -> None:
    """Chunks, micro-batches, sequence parallelism in the tensor group."""
    found = arguments(setup(dense(), "8xA100", tp=2, pp=2, v=2, sp=1, zero=1, b=2))
    expected = {
        "tp_size": 2,
        "pp_size": 2,
        "enable_sequence_parallelism": True,
        "sequence_parallelism_mode": "split_gather",
        "zero_stage": 1,
        "precision": "bf16",
        "pp_style": "interleaved",
        "num_model_chunks": 2,
        "num_microbatches": 16,
        "microbatch_size": 2,
    }
    assert {name: found[name] for name in expected} == expected
    assert "num_layers_per_stage" not in found


def test_uneven_stages_are_listed() -> None:
    """The plan's split, not ColossalAI's."""
    found = arguments(setup(dense(), "8xA100", pp=8))
    assert sum(found["num_layers_per_stage"]) == 12
    assert len(found["num_layers_per_stage"]) == 8


def test_some_recomputed_layers() -> None:
    """k of every stage, fewer where a stage has fewer; no word for all of them."""
    some = arguments(setup(dense(), "8xA100", pp=8, recompute_layers=1))["gradient_checkpoint_config"]
    assert some == "PipelineGradientCheckpointConfig(num_ckpt_layers_per_stage=[1, 1, 1, 1, 1, 1, 1, 1])"
    assert "gradient_checkpoint_config" not in arguments(setup(dense(), "8xA100", pp=2, recompute_layers=6))


def test_ring_attention() -> None:
    """cp ranks are ColossalAI's sp."""
    found = arguments(setup(dense(), "8xA100", cp=4, zero=2))
    assert (found["sp_size"], found["sequence_parallelism_mode"]) == (4, "ring_attn")


@pytest.mark.parametrize("wanted", draw(TARGET, "megatron-core"), ids=lambda s: str(s.plan.degrees.values()))
def test_drawn_plans(wanted: Setup) -> None:
    """Layers add up; a micro-batch count for every pipeline."""
    plan, found = wanted.plan, arguments(wanted)
    assert wanted.job.cluster.gpus == found["tp_size"] * found["pp_size"] * plan.dp
    assert ("num_microbatches" in found) == (plan.pp > 1)
    assert sum(found.get("num_layers_per_stage", [12])) == 12
    assert found["zero_stage"] == plan.zero


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"pp": 2, "schedule": "gpipe"}, "colossalai_schedule", "not gpipe"),
        ({"zero": 3}, "colossalai_zero", "0, 1 and 2, not 3"),
        ({"pp": 2, "zero": 2}, "colossalai_zero_pipeline", "pp=2 with zero=2"),
        ({"pp": 8, "b": 16}, "colossalai_batches", "m=4 micro-batches are fewer than the pp=8"),
        ({"pp": 4, "v": 2, "batch": 12}, "colossalai_interleaved_batches", "m=6"),
        ({"pp": 4, "v": 2}, "colossalai_chunks", "4*2"),
        ({"tp": 8}, "colossalai_kv_heads", "tp=8 has to divide the 4"),
        ({"tp": 2, "cp": 2, "sp": 1}, "colossalai_context", "sp=1"),
        ({"recompute_layers": 4}, "colossalai_recompute", "k=4"),
        ({"optimizer": "adam-bf16"}, "colossalai_optimizer", "adam only"),
        ({"offload": "optimizer"}, "colossalai_offload", "zero=0"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_experts_need_another_plugin() -> None:
    """Dense models only."""
    assert "4 experts with ep=2" in said(TARGET, setup(dense(moe=EXPERTS), "8xA100", ep=2))


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")
