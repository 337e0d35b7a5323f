"""accelerate.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from planner.launch.accelerate import TARGET
from planner.launch.program import Setup
from tests.launch.drawn import EXPERTS, assert_rules_agree, broken, dense, draw, said, setup


def written(wanted: Setup) -> dict[str, Any]:
    """The YAML, read back."""
    return dict(yaml.safe_load(TARGET.bare(TARGET.program(wanted))))


def sizes(found: dict[str, Any]) -> dict[str, int]:
    """Degrees by short name."""
    section = found["parallelism_config"]
    return {name: section[f"parallelism_config_{name}_size"] for name in ("dp_replicate", "dp_shard", "tp", "cp")}


def test_zero_three() -> None:
    """Weights are given back behind the forward pass."""
    found = written(setup(dense(), "2x8xA100", zero=3, recompute_layers=12))
    assert found["distributed_type"] == "FSDP"
    assert (found["num_machines"], found["num_processes"], found["mixed_precision"]) == (2, 16, "bf16")
    section = found["fsdp_config"]
    assert (section["fsdp_version"], section["fsdp_reshard_after_forward"]) == (2, True)
    assert section["fsdp_activation_checkpointing"] is True
    assert sizes(found) == {"dp_replicate": 1, "dp_shard": 16, "tp": 1, "cp": 1}


def test_zero_two_and_none() -> None:
    """Kept weights; plain replicas."""
    assert written(setup(dense(), "8xA100", zero=2))["fsdp_config"]["fsdp_reshard_after_forward"] is False
    plain = written(setup(dense(), "8xA100"))
    assert plain["distributed_type"] == "MULTI_GPU"
    assert "fsdp_config" not in plain


def test_tensor_and_context() -> None:
    """Degrees multiply to all processes."""
    found = written(setup(dense(), "8xA100", tp=2, cp=2, zero=3))
    assert sizes(found) == {"dp_replicate": 1, "dp_shard": 2, "tp": 2, "cp": 2}
    assert found["parallelism_config"]["parallelism_config_cp_comm_strategy"] == "allgather"


def test_pure_bf16() -> None:
    """Mixed precision would keep fp32 copies."""
    assert written(setup(dense(), "8xA100", zero=3, optimizer="adam-bf16"))["mixed_precision"] == "no"


def test_micro_batches_are_a_variable() -> None:
    """Accelerator() reads it (accelerator.py)."""
    program = TARGET.program(setup(dense(), "8xA100", zero=3, b=2))
    assert program.environment == {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}
    assert program.script == "accelerate launch train.py"


@pytest.mark.parametrize("wanted", draw(TARGET, "any"), ids=lambda s: str(s.plan.degrees.values()))
def test_drawn_plans(wanted: Setup) -> None:
    """All ranks have a place."""
    found, product = written(wanted), 1
    if found["distributed_type"] == "FSDP":
        for size in sizes(found).values():
            product *= size
        assert product == found["num_processes"]
    assert wanted.plan.pp == 1


@pytest.mark.parametrize(
    ("plan", "rule", "words"),
    [
        ({"pp": 2}, "accelerate_pipeline", "pp=2 and v=1 have to be 1"),
        ({"zero": 1}, "accelerate_zero", "0 (DDP), 2 or 3, not 1"),
        ({"tp": 2}, "accelerate_replicated", "tp=2 and cp=1 beside dp=4"),
        ({"cp": 8}, "accelerate_context", "cp=8 needs FSDP"),
        ({"tp": 2, "sp": 1, "zero": 3}, "accelerate_sequence_parallel", "sp=1"),
        ({"recompute_layers": 3, "zero": 3}, "accelerate_recompute", "k=3"),
        ({"zero": 3, "optimizer": "adam-8bit"}, "accelerate_optimizer", "adam or adam-bf16"),
    ],
)
def test_refusals(plan: dict[str, Any], rule: str, words: str) -> None:
    """Each with its numbers."""
    wanted = setup(dense(), "8xA100", **plan)
    assert broken(TARGET, wanted)[0] == rule
    assert words in said(TARGET, wanted)


def test_no_expert_parallelism() -> None:
    """Experts may be there, but not spread."""
    assert not broken(TARGET, setup(dense(moe=EXPERTS), "8xA100", zero=3))
    assert broken(TARGET, setup(dense(moe=EXPERTS), "8xA100", zero=3, ep=4)) == ["accelerate_experts"]


def test_rules_hold_on_arrays() -> None:
    """As they do one by one."""
    assert_rules_agree(TARGET, "any")
