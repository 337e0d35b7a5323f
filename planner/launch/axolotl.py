"""Axolotl: the YAML of `axolotl train` for one plan, DeepSpeed's JSON beside it.

Options: axolotl-ai-cloud/axolotl src/axolotl/utils/schemas/*.py; several axes of parallelism: docs/nd_parallelism.qmd.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing, tuner
from planner.launch.described import table
from planner.launch.program import Program, Setup
from planner.launch.transformers import by_fsdp
from planner.training.frameworks import axolotl

TABLE = table("axolotl")
UNCUT = ("samples with images are neither cut nor padded to sequence_len",)


def program(setup: Setup) -> Program:
    """torchrun starts its module."""
    main = tuner.yaml_file("axolotl", config(setup))
    return Program(
        "-m axolotl.cli.train",
        ((main.name,),),
        files=(main, *tuner.engine_files(setup)),
        notes=(*tuner.notes(setup, "datasets"), *seeing.notes(setup), *(UNCUT if setup.job.workload.images else ())),
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file."""
    plan, loss = setup.plan, setup.job.workload.loss
    sharded = {"dp_shard": plan.dp // plan.dp_replicate} if plan.tp * plan.cp * plan.dp_replicate > 1 else {}
    found = tuner.fields(setup) | tuner.shared(setup) | sharded
    found |= {"method": "lora"} if found.get("bits") == 8 else {}
    options = tuner.written("axolotl", found) | (TABLE["liger"] if loss in ("linear", "fused") else {})
    options |= {"ring_attn_func": "batch_ring"} if plan.cp > 1 else {}
    options |= {"activation_offloading": True} if setup.job.workload.offload == "activations" else {}
    return options | images(setup) | (fsdp(setup) if by_fsdp(setup) else {})


def images(setup: Setup) -> dict[str, Any]:
    """What is trained of a tower, and, of images, how large they are and what they need."""
    work, model = setup.job.workload, setup.job.model
    if model.tower is None:
        return {}
    found: dict[str, Any] = {**TABLE["parts"].get(work.tower, {})}
    if not work.images:
        return found
    found |= {"chat_template": seeing.called(model, TABLE["templates"])}
    found |= {} if seeing.pixels(setup) is None else {"image_size": work.image_size}
    return found | dict(TABLE["images"])


def fsdp(setup: Setup) -> dict[str, Any]:
    """FSDP 2: weights are given back behind the forward pass under ZeRO-3."""
    away = {"offload_params": True} if setup.job.workload.offload == "parameters" else {}
    policy = {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT"}
    return {"fsdp_version": 2, "fsdp_config": {"reshard_after_forward": bool(setup.plan.zero == 3), **away, **policy}}


TARGET = tuner.target("axolotl", program, axolotl.MASTERS, *axolotl.PARALLELISM)
