"""verl: overrides of its trainer for whole sequences, on its FSDP or its Megatron engine.

The engines are those that an actor of main_ppo has under actor_rollout_ref.actor. Keys: volcengine/verl
verl/trainer/config/sft_trainer_engine.yaml, config/engine/*.yaml, config/model/hf_model.yaml.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing
from planner.launch.described import target
from planner.launch.program import Program, Setup
from planner.launch.trees import field_keys, overrides
from planner.read.format import find_format

SECTIONS = ("data.", "model.", "engine.")


def program(setup: Setup) -> Program:
    """torchrun of sft_trainer, whose engine is chosen by name."""
    engine = "fsdp" if setup.plan.zero == 3 else "megatron"
    chosen = (("--config-name", "sft_trainer_engine"), (f"engine={engine}",), (f"optim={engine}",))
    return Program("-m verl.trainer.sft_trainer", (*chosen, *overrides(keys(setup))), notes=notes(setup))


def keys(setup: Setup) -> dict[str, Any]:
    """Every key by its whole path: what the plan sets, and what keeps micro-batches as planned."""
    whole = setup.plan.recompute_layers > 0
    found = field_keys(find_format("verl"), fields(setup), SECTIONS)
    found |= {"data.use_dynamic_bsz": False, "data.truncation": "right", "trainer.total_training_steps": 20}
    if setup.plan.zero == 3:
        return found | {"model.enable_gradient_checkpointing": whole}
    layer = "engine.override_transformer_config.recompute"
    again = {f"{layer}_granularity": "full", f"{layer}_method": "uniform", f"{layer}_num_layers": 1} if whole else {}
    return found | {"engine.use_distributed_optimizer": setup.plan.zero == 1} | again


def fields(setup: Setup) -> dict[str, Any]:
    """Fields of a job that stand in the table of the format."""
    job, plan, work = setup.job, setup.plan, setup.job.workload
    sizes = {"batch": work.global_batch, "b": plan.b, "seq": work.seq, "model": job.model.hf_id}
    degrees = {"tp": plan.tp, "pp": plan.pp, "cp": plan.cp, "ep": plan.ep, "etp": plan.etp, "sp": bool(plan.sp)}
    degrees |= {"v": plan.v} if plan.v > 1 else {}
    rank = {"rank": work.lora_rank} if job.lora else {}
    nodes = {"nodes": job.cluster.nodes, "per_node": job.cluster.used}
    return sizes | rank | nodes | {"loss": work.loss, "offload": work.offload} | (degrees if plan.zero < 3 else {})


def notes(setup: Setup) -> tuple[str, ...]:
    """What stays with the user."""
    said = "name your files: data.train_files, data.val_files; learning rate and its schedule are verl's defaults"
    return (said, *seeing.notes(setup))


TARGET = target("verl", program)
