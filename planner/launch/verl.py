"""verl: overrides of its trainer for whole sequences, on its FSDP or its Megatron engine.

The engines are those that an actor of main_ppo has under actor_rollout_ref.actor. Keys: volcengine/verl
verl/trainer/config/sft_trainer_engine.yaml, config/engine/*.yaml, config/model/hf_model.yaml.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing
from planner.launch.described import notes, part, target
from planner.launch.program import Program, Setup
from planner.launch.trees import field_keys, overrides
from planner.read.format import find_format

SECTIONS = ("data.", "model.", "engine.")


def program(setup: Setup) -> Program:
    """torchrun of sft_trainer, whose engine is chosen by name."""
    engine = "fsdp" if setup.plan.zero == 3 else "megatron"
    chosen = (("--config-name", "sft_trainer_engine"), (f"engine={engine}",), (f"optim={engine}",))
    return Program(
        "-m verl.trainer.sft_trainer",
        (*chosen, *overrides(keys(setup))),
        notes=(*notes("verl", setup), *seeing.notes(setup)),
    )


def keys(setup: Setup) -> dict[str, Any]:
    """Every key by its whole path: what the plan sets, and what keeps micro-batches as planned."""
    whole = setup.plan.recompute_layers > 0
    found = field_keys(find_format("verl"), part("verl", "fields", setup), SECTIONS)
    found |= {"data.use_dynamic_bsz": False, "data.truncation": "right", "trainer.total_training_steps": 20}
    if setup.plan.zero == 3:
        return found | {"model.enable_gradient_checkpointing": whole}
    layer = "engine.override_transformer_config.recompute"
    again = {f"{layer}_granularity": "full", f"{layer}_method": "uniform", f"{layer}_num_layers": 1} if whole else {}
    return found | {"engine.use_distributed_optimizer": setup.plan.zero == 1} | again


TARGET = target("verl", program)
